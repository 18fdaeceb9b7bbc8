"""What is kept of the neurons of a layer while the text goes by, whatever its length; and how it is kept on disk.

Shapes: P parts of the documents, N neurons, k contexts, D token types.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.layer_moments import NAMES, Moments
from extract.top_contexts import TopContexts
from extract.type_mass import Index, type_mass
from warehouse.files import disk_errors, sha256, sync_folder
from warehouse.shards import Shard

PARTS = 10  # of the documents, apart from each other, so that intervals can leave one out
CONTEXTS = 20  # positions per neuron
# Bytes per neuron: sums of all parts, contexts.
BYTES = PARTS * len(NAMES) * 8 + CONTEXTS * 12


class Summary:
    """Moments, mass by token type and top contexts of the N neurons of one layer, for a text of `types` (D,)."""

    def __init__(self, n_neurons: int, types: Index) -> None:
        self.moments = Moments(PARTS, n_neurons)
        self.types = type_mass(n_neurons, types)
        self.contexts = TopContexts(n_neurons, CONTEXTS)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All of it, by name; the arrays themselves, not copies."""
        return {
            "n": self.moments.n,
            **self.moments.sums,
            **self.types.arrays(),
            "key": self.contexts.key,
            "activation": self.contexts.activation,
        }

    def drop_types(self) -> None:
        """Let go of the mass by type, which takes most of the memory, when it is written."""
        self.types = type_mass(0, np.zeros(0, dtype=np.int64))

    def fill(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take the values of `arrays`."""
        for name, values in self.arrays().items():
            values[...] = arrays[name]


def save(path: Path, root: Path, summaries: Mapping[int, Summary]) -> Shard:
    """Write the summaries of some layers into one file, which appears when it is whole."""
    named = {f"{layer}.{name}": array for layer, of in summaries.items() for name, array in of.arrays().items()}
    temporary = path.with_name(f"{path.name}.partial")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, **named)  # type: ignore[arg-type]  # its stub takes no mapping of arrays
        digest, size = sha256(temporary), temporary.stat().st_size
        temporary.rename(path)
        sync_folder(path.parent)
    return Shard(path.relative_to(root).as_posix(), len(named), size, digest)


def load(path: Path, summaries: Mapping[int, Summary]) -> None:
    """Fill summaries from a file of `save`."""
    with np.load(path) as saved:
        for layer, of in summaries.items():
            of.fill({name: saved[f"{layer}.{name}"] for name in of.arrays()})
