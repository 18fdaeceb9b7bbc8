"""What is kept of the neurons of a layer while the text goes by, whatever its length; and how it is kept on disk.

Shapes: P parts of the documents, N neurons, k contexts of a part, D token types.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.layer_moments import NAMES, Moments
from extract.top_contexts import TopContexts
from extract.type_mass import Index, PartMass, type_mass
from warehouse.files import disk_errors, sha256, sync_folder
from warehouse.shards import Shard

PARTS = 10  # of the documents, apart from each other, so that intervals can leave one out
CONTEXTS = 20  # positions per neuron and part
CLUSTERED = 20  # of those, at least so many of all parts together are compared with each other
# Bytes per neuron: sums of all parts, contexts.
BYTES = PARTS * len(NAMES) * 8 + PARTS * CONTEXTS * 12


class Summary:
    """Moments, mass by token type and top contexts of the N neurons of one layer, for a text of `types` (D,)."""

    def __init__(self, n_neurons: int, types: Index) -> None:
        self.moments = Moments(PARTS, n_neurons)
        self.types = type_mass(n_neurons, types)
        self.part_types = PartMass(PARTS, n_neurons, types)
        self.contexts = TopContexts(PARTS, n_neurons, CONTEXTS)

    @property
    def parts(self) -> Index:
        """The parts that hold a document."""
        return np.flatnonzero(self.moments.n)

    def compared(self) -> Index:
        """Token index (N, K) of the contexts whose embeddings are compared: the strongest of each part.

        Rank by rank, part by part; -1 where the neuron has fewer. With fewer parts, more of each.
        """
        each = -(-CLUSTERED // max(len(self.parts), 1))
        index = self.contexts.token_index[self.parts, :, :each]  # (P, N, k)
        return np.ascontiguousarray(index.transpose(1, 2, 0)).reshape(index.shape[1], -1)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All of it, by name; the arrays themselves, not copies."""
        return {
            "n": self.moments.n,
            **self.moments.sums,
            **self.types.arrays(),
            "part_mass": self.part_types.mass,
            "key": self.contexts.key,
            "activation": self.contexts.activation,
        }

    def drop_types(self) -> None:
        """Let go of the mass by type, which takes most of the memory, when it is written."""
        none = np.zeros(0, dtype=np.int64)
        self.types, self.part_types = type_mass(0, none), PartMass(PARTS, 0, none)

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
