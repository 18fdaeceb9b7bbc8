"""Two corpora compared: documents of either are resampled, or dealt anew, apart from those of the other.

Nothing pairs a document of one corpus with one of the other, so the errors of both add up. The interval of a ratio of
means is BCa from independent resamples of both; the one of a rank correlation leaves each document of either out in
turn, since resampling documents would add noise to both rankings and draw the correlation down.
The null: documents of both, pooled and dealt into two sets of the same sizes. It keeps what so few documents do to a
ranking, and takes away what the two corpora do.
Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 8, 14 and 15; Satterthwaite (1946).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import (
    Intervals,
    acceleration,
    bca_ends,
    bca_reach,
    document_weights,
    replicate_blocks,
    replicates,
)
from queries.stats.ranking import ordinal_ranks, spearman_rows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Documents of one corpus: `sums` (D, N) over positions and the number of positions `counts` (D,), above 0."""

    sums: Array
    counts: Array

    @property
    def present(self) -> "Sample":
        """Only the documents that have positions."""
        has = self.counts > 0
        return Sample(self.sums[has], self.counts[has])

    @property
    def means(self) -> Array:
        """Mean of each column over the positions (N,)."""
        means: Array = self.sums.sum(axis=0) / self.counts.sum()
        return means

    @property
    def left_out(self) -> Array:
        """`means` without each document in turn (D, N)."""
        left: Array = (self.sums.sum(axis=0) - self.sums) / (self.counts.sum() - self.counts)[:, None]
        return left


def log_ratio_intervals(one: Sample, other: Sample, n_replicates: int, rng: np.random.Generator) -> Intervals:
    """BCa intervals (N,) of ln(mean of `other` / mean of `one`), documents of both resampled independently.

    Every document must have positions, and every column a positive mean in each sample without any one document.
    """
    drawn = _log_means(other, n_replicates, rng) - _log_means(one, n_replicates, rng)  # (B, N)
    estimate = np.log(other.means) - np.log(one.means)
    # what leads up in one sample leads down in the ratio
    moved = [_moved(np.log(other.left_out)), -_moved(np.log(one.left_out))]
    spread = np.concatenate(moved)
    reach = bca_reach(spread, np.sqrt(_variance(moved) / (spread**2).sum(axis=0)))
    low, high = bca_ends(np.sort(drawn.T, axis=1), estimate, acceleration(spread), reach)
    return Intervals(np.minimum(low, estimate), np.maximum(high, estimate))


def _log_means(sample: Sample, n_replicates: int, rng: np.random.Generator) -> Array:
    weights = document_weights(len(sample.counts), n_replicates, rng)
    return np.log(replicates(sample.sums, sample.counts, weights))


def _moved(left: Array) -> Array:
    """How far each document moves an estimate (D, N), from the estimates without each (D, N)."""
    n = len(left)
    moved: Array = (n - 1) / n * (left.mean(axis=0) - left)
    return moved


def _variance(moved: Sequence[Array]) -> Array:
    """Jackknife variance (N,) of an estimate that documents of several samples move (D, N)."""
    parts = [len(each) / (len(each) - 1) * (each**2).sum(axis=0) for each in moved]
    variance: Array = np.sum(parts, axis=0)
    return variance


def rank_correlation(one: Sample, other: Sample) -> tuple[float, float, float]:
    """Spearman correlation of the two rankings of N neurons, with the ends of its jackknife interval on Fisher's z.

    NaN ends where leaving out a document changes no rank.
    """
    rho = float(spearman(one.means[None], other.means[None])[0])
    pairs = ((one.left_out, other.means[None]), (one.means[None], other.left_out))
    moved = [_moved(_fisher(spearman(*pair))[:, None]) for pair in pairs]
    spread = np.concatenate(moved)
    if not spread.any():
        return rho, float("nan"), float("nan")
    freedom = max(float((spread**2).sum() ** 2 / (spread**4).sum()) - 1.0, 1.0)
    reach = float(stats.t.ppf(0.975, freedom) * np.sqrt(_variance(moved)[0]))
    centre = float(_fisher(np.array(rho)))
    return rho, min(float(np.tanh(centre - reach)), rho), max(float(np.tanh(centre + reach)), rho)


def spearman(one: Array, other: Array) -> Array:
    """Spearman correlation (b,) of the rows of two arrays, (b, N) or (1, N); ties in the order of the columns."""
    return spearman_rows(ordinal_ranks(one).astype(np.float64), ordinal_ranks(other).astype(np.float64))


def _fisher(rho: Array) -> Array:
    z: Array = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return z


def dealt_anew(
    one: Sample, other: Sample, statistic: Callable[[Array, Array], Array], n_draws: int, rng: np.random.Generator
) -> Array:
    """`statistic` of the means (b, N) of both samples, for `n_draws` deals of the pooled documents: (n_draws, ...).

    Every deal has as many documents in each sample as the data.
    """
    sums, counts = np.concatenate([one.sums, other.sums]), np.concatenate([one.counts, other.counts])
    found = []
    for block in replicate_blocks(n_draws, 2 * sums.shape[1]):
        keys = rng.random((block.stop - block.start, len(counts)))
        first = (keys.argsort(axis=1).argsort(axis=1) < len(one.counts)).astype(np.float64)
        found.append(statistic(replicates(sums, counts, first), replicates(sums, counts, 1.0 - first)))
    return np.concatenate(found)
