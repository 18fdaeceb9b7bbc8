"""The activation mass of every neuron by token type: exact while the text has few types, else by counters with a bound.

Shapes: N neurons, T positions, D types of the text, U types of a shard.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from extract.heavy_hitters import HeavyHitters

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Index = NDArray[np.int64]
EXACT = 8192  # types, at most, whose masses are all kept
COUNTERS = 1024  # per neuron, where there are more
SAMPLED = 32  # neurons whose masses are kept for each part of the documents too


class ExactMass:
    """The mass of all `types` (D,) of a text, which are sorted and all different: `mass` (D, N) float64."""

    def __init__(self, n_neurons: int, types: Index) -> None:
        self.types = types
        self.mass = np.zeros((len(types), n_neurons))
        self.error = np.zeros(n_neurons)

    def begin(self, types: Index) -> None:
        """A shard with these types begins."""

    def add(self, types: Index, size: Floats) -> None:
        """Add positions with input tokens `types` (T,) and activations of `size` (T, N)."""
        _add(self.mass, np.searchsorted(self.types, types), size)

    def finish(self) -> None:
        """The shard is over."""

    def largest(self, k: int) -> tuple[Index, Array]:
        """Types (N, k) with the largest mass and that mass, largest first; equal masses by token."""
        order = np.argsort(-self.mass, axis=0, kind="stable")[:k].T
        return self.types[order], np.take_along_axis(self.mass.T, order, axis=1)

    def bounds(self, share: float, n_types: int) -> tuple[Index, Index]:
        """How many types (N,) hold `share` of the mass, twice: the count is exact."""
        count = types_of(self.mass, share)
        return count, count

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What is kept on disk."""
        return {"type_mass": self.mass}


class CountedMass:
    """The mass of the types that hold most of it, in `COUNTERS` counters per neuron."""

    def __init__(self, n_neurons: int) -> None:
        self.counters = HeavyHitters(n_neurons, COUNTERS)
        self._types, self._mass = np.zeros(0, dtype=np.int64), np.zeros((0, n_neurons))

    @property
    def error(self) -> Array:
        """By so much (N,) at most a counter is below the truth."""
        return self.counters.error

    def begin(self, types: Index) -> None:
        """A shard with these types (U,), sorted, begins."""
        self._types, self._mass = types, np.zeros((len(types), self._mass.shape[1]))

    def add(self, types: Index, size: Floats) -> None:
        """Add positions with input tokens `types` (T,) of the shard and activations of `size` (T, N)."""
        _add(self._mass, np.searchsorted(self._types, types), size)

    def finish(self) -> None:
        """The shard is over: its masses go to the counters."""
        self.counters.update(self._types, self._mass.T)
        self._mass = self._mass[:0]

    def largest(self, k: int) -> tuple[Index, Array]:
        """Types (N, k) with the largest counters and those, largest first; equal ones by token."""
        order = np.lexsort((self.counters.types, -self.counters.mass), axis=1)[:, :k]
        types = np.take_along_axis(self.counters.types, order, axis=1).astype(np.int64)
        return types, np.take_along_axis(self.counters.mass, order, axis=1)

    def bounds(self, share: float, n_types: int) -> tuple[Index, Index]:
        """The least and the most types (N,) that hold `share` of the mass, of `n_types` in all."""
        return self.counters.bounds(share, n_types)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What is kept on disk."""
        names = ("types", "mass", "total", "error")
        return {f"counter_{name}": getattr(self.counters, name) for name in names}


TypeMass = ExactMass | CountedMass


class PartMass:
    """The mass by type of some neurons of a layer for each of P parts of the documents: `mass` (P, D, n) float64.

    `neurons` (n,) are spread evenly over the layer, whose order is arbitrary. None where the text has more types than
    are all kept: a count within bounds would say little of how it differs between documents.
    """

    def __init__(self, n_parts: int, n_neurons: int, types: Index) -> None:
        n = min(SAMPLED, n_neurons) if len(types) <= EXACT else 0
        self.neurons = np.unique(np.linspace(0, n_neurons - 1, n).round().astype(np.int64))
        self.types = types
        self.mass = np.zeros((n_parts, len(types) if n else 0, len(self.neurons)))

    def add(self, part: int, types: Index, size: Floats) -> None:
        """Add positions of one part, with input tokens `types` (T,) and activations of `size` (T, N)."""
        if len(self.neurons):
            _add(self.mass[part], np.searchsorted(self.types, types), size[:, self.neurons])

    def without(self, part: int, share: float) -> Index:
        """How many types (n,) hold `share` of the mass of all other parts."""
        return types_of(np.delete(self.mass, part, axis=0).sum(axis=0), share)


def types_of(mass: Array, share: float) -> Index:
    """How many types (N,) hold `share` of their `mass` (D, N); 0 where there is none.

    >>> types_of(np.array([[6.0, 0.0], [3.0, 0.0], [1.0, 0.0]]), 0.9).tolist()
    [2, 0]
    """
    held = -np.sort(-mass, axis=0)
    total = held.sum(axis=0)
    count = 1 + (held.cumsum(axis=0) < share * total * (1 - 1e-12)).sum(axis=0)
    return np.where(total > 0, np.minimum(count, len(mass)), 0)


def type_mass(n_neurons: int, types: Index) -> TypeMass:
    """For N neurons and a text with these `types` (D,), sorted."""
    return ExactMass(n_neurons, types) if len(types) <= EXACT else CountedMass(n_neurons)


def bytes_per_neuron(n_types: int, n_positions: int) -> int:
    """Memory that the mass of a neuron takes for a text of `n_types`, in shards of at most `n_positions`."""
    return n_types * 8 if n_types <= EXACT else COUNTERS * 12 + n_positions * 8


def bytes_of_parts(n_parts: int, n_types: int) -> int:
    """Memory that `PartMass` takes for a layer."""
    return n_parts * n_types * SAMPLED * 8 if n_types <= EXACT else 0


def _add(mass: Array, place: Index, size: Floats) -> None:
    # torch adds rows at repeated places many times faster than NumPy
    torch.from_numpy(mass).index_add_(0, torch.from_numpy(place), torch.from_numpy(size).double())
