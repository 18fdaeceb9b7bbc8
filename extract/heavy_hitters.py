"""Which token types hold most of a neuron's activation mass: K counters per neuron, whatever the length of the text.

A weighted Misra-Gries summary: where more than K types have a counter, the size of the (K+1)-th largest is taken off
all of them, and those that reach 0 are dropped. A counter is then never above the type's true mass, and below it by at
most `error`, which is what was taken off in all, and never more than (total - counters) / (K + 1). As long as a neuron
has met at most K types its counters are exact.
Source: Misra and Gries (1982), Sci. Comput. Program. 2, 143; Agarwal et al. (2012), Mergeable summaries, PODS.
Shapes: N neurons, K counters, U types of a piece.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_BLOCK = 1 << 20  # values of a block of neurons that are looked at at once
FREE = -1  # the type of a counter that is not in use


class HeavyHitters:
    """Counters of N neurons: `types` (N, K) int32 in no order, `mass` (N, K), `total` and `error` (N,) float64."""

    def __init__(self, n_neurons: int, n_counters: int) -> None:
        self.types = np.full((n_neurons, n_counters), FREE, dtype=np.int32)
        self.mass = np.zeros((n_neurons, n_counters))
        self.total = np.zeros(n_neurons)
        self.error = np.zeros(n_neurons)

    def update(self, types: NDArray[np.integer], mass: NDArray[np.floating]) -> None:
        """Add the exact `mass` (N, U), at least 0, of `types` (U,), which are sorted and all different."""
        self.total += mass.sum(axis=1, dtype=np.float64)
        step = max(1, _BLOCK // (len(types) + self.types.shape[1]))
        for start in range(0, len(self.types), step):
            rows = slice(start, start + step)
            self._merge(rows, types.astype(np.int32), mass[rows].astype(np.float64))

    def _merge(self, rows: slice, types: NDArray[np.int32], mass: Array) -> None:
        """Counters of the neurons `rows` and `mass` (n, U) of `types` together, cut back to K."""
        held, weight = self.types[rows], self.mass[rows]
        place = np.minimum(np.searchsorted(types, held), len(types) - 1)
        is_here = types[place] == held  # a free counter is below every type
        here = np.nonzero(is_here)
        mass[here[0], place[here]] += weight[here]
        sums = np.concatenate([np.where(is_here, 0.0, weight), mass], axis=1)  # (n, K + U)
        names = np.concatenate([held, np.broadcast_to(types, mass.shape)], axis=1)
        k = held.shape[1]
        if sums.shape[1] > k:
            order = np.argpartition(sums, -k - 1, axis=1)[:, -k - 1 :]  # the (K+1)-th largest comes first
            largest = np.take_along_axis(sums, order, axis=1)
            kept, which = largest[:, 1:] - largest[:, :1], order[:, 1:]
            self.error[rows] += largest[:, 0]
            names = np.take_along_axis(names, which, axis=1)
        else:
            kept = sums
        self.mass[rows] = kept
        self.types[rows] = np.where(kept > 0, names, FREE)

    def bounds(self, share: float, n_types: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The least and the most types (N,) that hold `share` of the mass, of `n_types` that were read in all.

        Equal where the counters are exact, 0 where there is no mass. At least: each counter is short by `error`, all
        together by what they lack of the total. At most: what no counter holds is spread evenly over all types.
        """
        held = -np.sort(-self.mass, axis=1)
        held.cumsum(axis=1, out=held)
        k = np.arange(1, held.shape[1] + 1)
        wanted = (share * self.total * (1 - 1e-12))[:, None]
        lacking = np.maximum(self.total - held[:, -1], 0.0)[:, None]
        short = held + np.minimum(k * self.error[:, None], lacking) < wanted
        # the counters alone, or k of them and as many other types as an even spread of the rest asks for
        held = np.concatenate([np.zeros((len(held), 1)), held], axis=1)
        rest = np.maximum(self.total[:, None] - held, np.finfo(float).tiny)
        more = np.ceil(n_types * np.maximum(wanted - held, 0.0) / rest)
        high = np.minimum((np.arange(held.shape[1]) + more).min(axis=1), n_types).astype(np.int64)
        low = np.minimum(1 + short.sum(axis=1), high)
        none = self.total == 0
        return np.where(none, 0, low), np.where(none, 0, high)
