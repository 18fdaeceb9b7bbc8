"""What the search for three regimes tries: log-spaced bins of ranks, and a design for every place of two breakpoints.

Designs depend on the number of ranks and bins only, so they are made once for any number of curves. A bin that a
breakpoint cuts is not given to one side: each column of the design is the mean, over the ranks of the bin, of what the
model says at each rank. So breakpoints are not bound to bin edges and a cut bin does not bend the lines.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_BINS = 30
MIN_BINS = 3
# Candidates for the two breakpoints in each bin. A step one rank off bends the line that follows, so it is sought at
# every rank where bins are small; the place of the kink is refined from its candidates.
STEPS_PER_BIN = 8
KINKS_PER_BIN = 3


@dataclass(frozen=True)
class Bins:
    """Log-spaced bins of the ranks 1..n: `start` (K,) index of the first rank, `size` (K,), `x` (K,) mean ln rank.

    `sum_x` (n + 1,): sum of ln rank over the first 0, 1, ..., n ranks.
    """

    n: int
    start: NDArray[np.int64]
    size: Array
    x: Array
    sum_x: Array


@dataclass(frozen=True)
class Designs:
    """Every place for the two breakpoints, as columns averaged over the ranks of each of K bins.

    `steps` (S,): last rank before the first breakpoint, 0 for none. `kinks` (H,): ln rank of the second.
    `bases` (S, 4, K): orthonormal, two lines (one line and zeros where there is no step); `triangles` (S, 4, 4) times
    the basis is what the lines were before.
    `hinges` (P, K): the kinks that are far enough from their step, step by step, made orthogonal to the basis of the
    step and of length 1. The first T steps have any: from hinge `start` (T,) on all kinks from `first` (T,) on.
    """

    steps: NDArray[np.int64]
    kinks: Array
    bases: Array
    triangles: Array
    hinges: Array
    start: NDArray[np.int64]
    first: NDArray[np.int64]


@lru_cache(maxsize=256)
def rank_bins(n: int, n_bins: int = N_BINS) -> Bins:
    """Bins of the ranks 1..n, empty ones dropped.

    >>> rank_bins(100, 4).size
    array([ 3.,  7., 21., 69.])
    """
    x = np.log(np.arange(1, n + 1))
    code = np.minimum((x / (np.log(n) * (1 + 1e-12)) * n_bins).astype(np.int64), n_bins - 1)
    _, start = np.unique(code, return_index=True)
    size = np.diff(np.append(start, n)).astype(np.float64)
    return Bins(n, start, size, np.add.reduceat(x, start) / size, np.concatenate([[0.0], np.cumsum(x)]))


@lru_cache(maxsize=64)
def designs_of(n: int, n_bins: int) -> Designs:
    """All that are tried on a curve of the ranks 1..n in `n_bins` bins."""
    bins = rank_bins(n, n_bins)
    k = len(bins.start)
    edge = np.append(bins.start, n)
    # each regime has about MIN_BINS whole bins or more
    places = [
        np.unique(np.linspace(edge[i], edge[i + 1], STEPS_PER_BIN + 1).astype(np.int64)[:-1])
        for i in range(MIN_BINS, k)
    ]
    steps = np.concatenate([[0], *places[: k - 2 * MIN_BINS + 1]])
    kinks = np.log(
        np.concatenate(
            [np.linspace(edge[j], edge[j + 1], KINKS_PER_BIN + 1)[:-1] for j in range(MIN_BINS, k - MIN_BINS + 1)]
        )
        + 0.5
    )
    bent = bends(kinks, bins)
    orthonormal, triangles = np.linalg.qr(_lines(steps, bins))
    orthonormal[0, :, 2:] = 0.0  # without a step there is one line
    bases = np.ascontiguousarray(orthonormal.transpose(0, 2, 1))
    step_bin = np.searchsorted(edge, steps, side="left")  # whole bins up to the cut one, that one included
    kink_bin = np.searchsorted(edge, np.exp(kinks) - 0.5, side="right") - 1
    apart = kink_bin - np.where(steps > 0, step_bin, 0)[:, None] >= MIN_BINS  # (S, H): all kinks from some kink on
    left = (bent - (bent @ orthonormal) @ bases)[apart]
    length = np.linalg.norm(left, axis=1, keepdims=True)
    hinges = left / np.where(length > 0, length, 1.0)
    n_kinks = apart.sum(axis=1)
    n_kinks = n_kinks[n_kinks > 0]
    return Designs(steps, kinks, bases, triangles, hinges, np.cumsum(n_kinks) - n_kinks, len(kinks) - n_kinks)


def _lines(steps: NDArray[np.int64], bins: Bins) -> Array:
    """Level and slope up to each of `steps` (S,), the first 0, then level and slope after it, by bin (S, K, 4)."""
    edge, size, sum_x = np.append(bins.start, bins.n), bins.size, bins.sum_x
    cut = np.clip(steps[:, None], edge[:-1], edge[1:])
    count, total = cut - edge[:-1], sum_x[cut] - sum_x[edge[:-1]]
    lines: Array = np.stack([count, total, size - count, np.diff(sum_x[edge]) - total], axis=2) / size[:, None]
    # without a step: the line first, then filling that spans nothing new in what the fit uses
    lines[0] = np.stack([np.ones(len(size)), bins.x, bins.x**2, bins.x**3], axis=1)
    return lines


def bends(kinks: Array, bins: Bins) -> Array:
    """max(ln rank - kink, 0) averaged in bins (H, K), for `kinks` (H,)."""
    edge = np.append(bins.start, bins.n)
    cut = np.clip(np.exp(kinks).astype(np.int64)[:, None], edge[:-1], edge[1:])  # ranks up to here stay straight
    found: Array = (bins.sum_x[edge[1:]] - bins.sum_x[cut] - kinks[:, None] * (edge[1:] - cut)) / bins.size
    return found
