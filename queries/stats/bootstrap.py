"""Resampling of documents: weights, replicates of ratio estimators, percentile and BCa intervals.

The document is the unit that is resampled, because tokens of one document are not independent. Every estimate here is a
ratio of sums over documents, so one matrix product with the weights gives the replicates of every neuron at once.

A resample of D documents varies less than D new documents would, all the more if a few of them carry most of the error,
and BCa does not know it: plain 95 % intervals cover 85 % with 8 documents and 90 % with 24. So the percentiles are
taken further out, by Student's t with as many degrees of freedom as documents really contribute, less one.
Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 14; Hesterberg (2015), The
American Statistician 69, 371, for expanded percentiles; Satterthwaite (1946), Biometrics Bulletin 2, 110.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.words import counted

Array = NDArray[np.float64]

N_REPLICATES = 2000
MIN_DOCUMENTS = 5
MAX_ABSENT_SHARE = 0.05
# Values of a block of replicates that are held at once: 8 bytes each.
BLOCK = 1 << 22
# The same where every value is read several times: what a processor's cache holds.
CACHED = 1 << 18


@dataclass(frozen=True)
class Intervals:
    """Ends of the intervals of N estimates, `low` and `high` (N,); NaN with a `reason` where there is no answer."""

    low: Array
    high: Array
    reason: str = ""


def document_weights(n_documents: int, n_replicates: int, rng: np.random.Generator) -> Array:
    """How often each document is in each resample: multinomial counts (n_replicates, n_documents).

    >>> document_weights(3, 2, np.random.default_rng(0)).sum(axis=1)
    array([3., 3.])
    """
    if n_documents == 0:
        return np.zeros((n_replicates, 0))
    shares = np.full(n_documents, 1.0 / n_documents)
    return rng.multinomial(n_documents, shares, size=n_replicates).astype(np.float64)


def replicates(sums: Array, counts: Array, weights: Array) -> Array:
    """Ratios of sums in each resample: (B, N) from `sums` (D, N), `counts` (D,), `weights` (B, D).

    NaN where a resample has no position of the class at all.

    >>> replicates(np.array([[2.0], [6.0]]), np.array([1.0, 3.0]), np.array([[2.0, 0.0], [0.0, 2.0]]))
    array([[2.],
           [2.]])
    """
    positions = weights @ counts  # (B,)
    ratios: Array = weights @ sums  # (B, N)
    ratios /= np.where(positions > 0, positions, np.nan)[:, None]
    return ratios


def replicate_blocks(n_replicates: int, n_values: int, most: int = BLOCK) -> list[slice]:
    """Slices of the replicates such that a block of (replicates, n_values) stays within `most` values."""
    step = max(1, most // max(1, n_values))
    return [slice(start, min(start + step, n_replicates)) for start in range(0, n_replicates, step)]


def absence_reason(counts: Array, weights: Array) -> str:
    """Why documents cannot be resampled for a class with `counts` (D,) positions; empty where they can."""
    present = int((counts > 0).sum())
    if present == 0:
        return "no position of this class"
    if present < MIN_DOCUMENTS:
        return f"only {counted(present, 'document')} with this class; at least {MIN_DOCUMENTS} are needed"
    absent = float((weights @ counts == 0).mean())
    if absent > MAX_ABSENT_SHARE:
        at_most = f"at most {100 * MAX_ABSENT_SHARE:.0f} % may be"
        return f"the class is absent from {100 * absent:.0f} % of the resamples; {at_most}"
    return ""


def percentile_interval(values: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval over the first axis of `values` (B, ...), NaN replicates left out."""
    tail = 0.5 * (1.0 - level)
    if np.isnan(values).any():
        low, high = np.nanpercentile(values, [100.0 * tail, 100.0 * (1.0 - tail)], axis=0)
        return low, high
    # the same numbers, many times faster: NumPy sorts with vector instructions, but does not select with them
    shape, columns = values.shape[1:], values.reshape(len(values), -1)
    low, high = np.empty(columns.shape[1]), np.empty(columns.shape[1])
    for block in replicate_blocks(columns.shape[1], len(values), CACHED):
        ranked = columns[:, block].T.copy()  # each column in one piece of memory
        ranked.sort(axis=1)
        low[block], high[block] = _quantile(ranked, tail), _quantile(ranked, 1.0 - tail)
    return low.reshape(shape)[()], high.reshape(shape)[()]


def _quantile(ranked: Array, share: float) -> Array:
    """Quantile (N,) of each sorted row of `ranked` (N, B), linear between its neighbours as NumPy's."""
    place = share * (ranked.shape[1] - 1)
    left = int(place)
    right = min(left + 1, ranked.shape[1] - 1)
    between: Array = ranked[:, left] + (ranked[:, right] - ranked[:, left]) * (place - left)
    return between


def ratio_intervals(sums: Array, counts: Array, weights: Array, level: float = 0.95) -> Intervals:
    """BCa intervals of N ratios `sums.sum(0) / counts.sum()`, blocks of neurons at a time.

    Bias correction from the share of replicates below the estimate, acceleration from the jackknife over documents;
    where every replicate lies on one side of the estimate, the percentile interval. Few documents that
    contribute widen it, see the head of this file.
    """
    n = sums.shape[1]
    if reason := absence_reason(counts, weights):
        return Intervals(np.full(n, np.nan), np.full(n, np.nan), reason)
    positions = weights @ counts
    weights, positions = weights[positions > 0], positions[positions > 0]
    turned = np.ascontiguousarray(weights.T)  # (D, B): a neuron's replicates lie together as the product makes them
    estimate, columns = sums.sum(axis=0) / counts.sum(), np.ascontiguousarray(sums.T)
    spread = _left_out(sums, counts)
    reach, skew = bca_reach(spread, np.sqrt(len(spread) / (len(spread) - 1.0)), level), acceleration(spread)
    low, high = np.empty(n), np.empty(n)
    for block in replicate_blocks(n, len(weights), CACHED):
        drawn = columns[block] @ turned  # (block, B)
        drawn /= positions
        drawn.sort(axis=1)
        low[block], high[block] = bca_ends(drawn, estimate[block], skew[block], reach[block])
    # the estimate itself is always inside: only rounding of an index could leave it out
    return Intervals(np.minimum(low, estimate), np.maximum(high, estimate))


def bca_ends(ranked: Array, estimate: Array, acceleration: Array, reach: Array) -> tuple[Array, Array]:
    """BCa ends (N,) and (N,) from the sorted replicates `ranked` (N, B) of each estimate."""
    n_replicates = ranked.shape[1]
    below = np.array([_share_below(row, value) for row, value in zip(ranked, estimate, strict=True)])
    inside = (below > 0) & (below < 1)
    bias = np.where(inside, special.ndtri(np.where(inside, below, 0.5)), 0.0)
    acceleration = np.where(inside, acceleration, 0.0)
    ends = []
    for z in (bias - reach, bias + reach):
        # beyond this point the BCa map folds back on itself: hold it there
        share = special.ndtr(bias + z / np.maximum(1.0 - acceleration * z, 0.1))
        index = np.clip(np.round(share * (n_replicates - 1)).astype(int), 0, n_replicates - 1)
        ends.append(np.take_along_axis(ranked, index[:, None], axis=1)[:, 0])
    return ends[0], ends[1]


def _share_below(ranked: Array, value: float) -> float:
    """Share of the sorted `ranked` (B,) below `value`; what equals it counts half."""
    left, right = np.searchsorted(ranked, value, "left"), np.searchsorted(ranked, value, "right")
    return float(left + right) / (2 * len(ranked))


def _left_out(sums: Array, counts: Array) -> Array:
    """What leaving out each of the D documents that hold the class takes from their mean (D, N)."""
    present = counts > 0
    sums, counts = sums[present], counts[present]
    left = (sums.sum(axis=0) - sums) / (counts.sum() - counts)[:, None]
    spread: Array = left.mean(axis=0) - left
    return spread


def acceleration(spread: Array) -> Array:
    """Acceleration (N,) of BCa from what each of the D documents contributes (D, N)."""
    square = spread**2
    scale = square.sum(axis=0) ** 1.5
    skew: Array = (square * spread).sum(axis=0) / (6.0 * np.where(scale > 0, scale, 1.0))
    return np.where(scale > 0, skew, 0.0)


def bca_reach(spread: Array, stretch: Array | float, level: float = 0.95) -> Array:
    """Standard errors (N,) to either end of an interval, for many documents 1.96 at 95 %.

    `spread` (D, N) is what each document contributes to the error; `stretch` by how much the error of so many documents
    is larger than the spread of their resamples.
    """
    squares = spread**2
    square = squares.sum(axis=0)
    known = square > 0
    contributing = np.where(known, square**2 / np.where(known, (squares**2).sum(axis=0), 1.0), len(spread))
    reach: Array = special.stdtrit(np.maximum(contributing - 1.0, 1.0), 0.5 * (1.0 + level)) * stretch
    return reach
