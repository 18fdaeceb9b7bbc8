"""The positions where a neuron is most active, by the size of its activation: the k largest of each part of the text.

Of a part any number of pieces may come. Equal sizes go by position, the earlier first, so that the result does not
depend on how the text was cut. A position where the activation is 0 is none. Parts are kept apart so that each can be
left out: an interval over documents needs what the others hold. Shapes: P parts, N neurons, k contexts, T positions.
"""

import numpy as np
from numpy.typing import NDArray

_HALF = 1 << 31


class TopContexts:
    """Of P parts and N neurons: `key` (P, N, k) int64 descending, which orders contexts, and `activation` float32."""

    def __init__(self, n_parts: int, n_neurons: int, k: int) -> None:
        self.key = np.zeros((n_parts, n_neurons, k), dtype=np.int64)
        self.activation = np.zeros((n_parts, n_neurons, k), dtype=np.float32)

    def update(self, part: int, token_index: NDArray[np.integer], activation: NDArray[np.float32]) -> None:
        """Add positions of one part: `token_index` (T,) and `activation` (N, T)."""
        size = np.abs(activation, order="C")
        held, of_held = self.key[part], self.activation[part]
        n, k = held.shape
        # what is below the k-th largest so far, or of these positions, is none
        floor = np.abs(of_held).min(axis=1)
        if size.shape[1] > k:
            floor = np.maximum(floor, np.partition(size, -k, axis=1)[:, -k])
        neuron, place = np.nonzero((size >= floor[:, None]) & (size > 0))
        if not len(neuron):
            return
        counts = np.bincount(neuron, minlength=n)
        column = k + np.arange(len(neuron)) - (np.cumsum(counts) - counts)[neuron]
        keys = np.zeros((n, k + counts.max()), dtype=np.int64)
        values = np.zeros(keys.shape, dtype=np.float32)
        keys[:, :k], values[:, :k] = held, of_held
        # the bits of a float32 that is not negative are ordered as it is
        bits = size[neuron, place].view(np.int32).astype(np.int64)
        keys[neuron, column] = bits * _HALF + (_HALF - 1 - token_index[place])
        values[neuron, column] = activation[neuron, place]
        order = np.argsort(-keys, axis=1, kind="stable")[:, :k]
        held[...] = np.take_along_axis(keys, order, axis=1)
        of_held[...] = np.take_along_axis(values, order, axis=1)

    @property
    def token_index(self) -> NDArray[np.int64]:
        """(P, N, k), from the largest on; -1 where the neuron has fewer contexts."""
        return np.where(self.key > 0, _HALF - 1 - self.key % _HALF, -1)
