"""The positions where a neuron is most active, by the size of its activation: the k largest of any number of pieces.

Equal sizes go by position, the earlier first, so that the result does not depend on how the text was cut. A position
where the activation is 0 is none. Shapes: N neurons, k contexts, T positions.
"""

import numpy as np
from numpy.typing import NDArray

_HALF = 1 << 31


class TopContexts:
    """Of N neurons: `key` (N, k) int64 descending, which orders contexts, and `activation` (N, k) float32."""

    def __init__(self, n_neurons: int, k: int) -> None:
        self.key = np.zeros((n_neurons, k), dtype=np.int64)
        self.activation = np.zeros((n_neurons, k), dtype=np.float32)

    def update(self, token_index: NDArray[np.integer], activation: NDArray[np.float32]) -> None:
        """Add positions: `token_index` (T,) and `activation` (N, T)."""
        # the bits of a float32 that is not negative are ordered as it is
        size = np.abs(np.ascontiguousarray(activation, dtype=np.float32)).view(np.int32).astype(np.int64)
        fresh = np.where(size > 0, size * _HALF + (_HALF - 1 - token_index), 0)
        keys = np.concatenate([self.key, fresh], axis=1)
        k = self.key.shape[1]
        largest = np.argpartition(keys, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(keys, largest, axis=1), axis=1, kind="stable")
        chosen = np.take_along_axis(largest, order, axis=1)
        is_fresh = chosen >= k
        value = np.take_along_axis(activation, np.maximum(chosen - k, 0), axis=1)
        kept = np.take_along_axis(self.activation, np.minimum(chosen, k - 1), axis=1)
        self.key, self.activation = np.take_along_axis(keys, chosen, axis=1), np.where(is_fresh, value, kept)

    @property
    def token_index(self) -> NDArray[np.int64]:
        """(N, k), from the largest on; -1 where the neuron has fewer contexts."""
        return np.where(self.key > 0, _HALF - 1 - self.key % _HALF, -1)
