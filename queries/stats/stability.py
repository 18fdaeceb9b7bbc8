"""Which neurons are in the plateau set in resample after resample, and do two halves of the documents name the same?

The plateau set of a curve is the neurons up to its first breakpoint (`segmentation`). It is read off again, ranking and
breakpoint, in every resample of documents and in every half.

The share of resamples in which a neuron belongs is a bootstrap probability of a region: its normal quantile measures
the distance to the region's edge in standard errors, whose own standard error is 1. That gives the interval.
Source: Meinshausen and Buehlmann (2010), J. R. Statist. Soc. B 72, 417, for stability selection; Efron and Tibshirani
(1998), Annals of Statistics 26, 1687, for bootstrap probabilities of regions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import N_REPLICATES, absence_reason, replicate_blocks, replicates
from queries.stats.ranking import halves_of, ordinal_ranks, permuted_halves
from queries.stats.segmentation import MIN_RANKS, first_breakpoints, fit_values
from queries.stats.three_regimes import QUANTITIES
from queries.stats.words import counted

Array = NDArray[np.float64]
Members = NDArray[np.bool_]

CORE_SHARE = 0.8
N_GROUPS = 20
NULL_SPLITS = 5
# sd of ln influence below which neurons are all alike: what is left is rounding
_MIN_SPREAD = 1e-9


@dataclass(frozen=True)
class Effort:
    """Draws: `replicates` of the documents, `splits` into halves, of each set left out, `null` draws.

    Calibration makes do with fewer.
    """

    replicates: int = N_REPLICATES
    splits: int = 200
    group_splits: int = 50
    null: int = 199


FULL = Effort()


@dataclass(frozen=True)
class Memberships:
    """Of one class, arrays (N,): `regime` is 0 plateau, 1 power law, 2 decay, of the data as they are.

    `share` of the `n_draws` resamples in which the neuron is in the plateau.
    """

    regime: NDArray[np.int64]
    share: Array
    n_plateau: int
    n_draws: int

    @property
    def is_core(self) -> Members:
        """In the plateau of the data as they are and in at least `CORE_SHARE` of the resamples (N,)."""
        return core_of(self.regime, self.share)


def core_of(regime: NDArray[np.int64], share: Array) -> Members:
    """Who is in the plateau (regime 0) and in at least `CORE_SHARE` of the resamples (N,)."""
    core: Members = (regime == 0) & (share >= CORE_SHARE)
    return core


@dataclass(frozen=True)
class Stability:
    """The plateau set of one class: arrays (N,), and what holds for the set.

    `regime` and `share` as in `Memberships`, `low` and `high` the interval of the share.
    """

    regime: NDArray[np.int64]
    share: Array
    low: Array
    high: Array
    n_plateau: int
    jaccard: float
    jaccard_low: float
    jaccard_high: float
    jaccard_null: float
    p: float

    @property
    def is_core(self) -> Members:
        """In the plateau of the data as they are and in at least `CORE_SHARE` of the resamples (N,)."""
        return core_of(self.regime, self.share)


def plateau_members(values: Array) -> Members:
    """Who is in the plateau set of each curve (B, N), from `values` (B, N); nobody where it cannot be segmented."""
    members = np.zeros(values.shape, dtype=bool)
    for block in replicate_blocks(*values.shape):
        ranked = -np.sort(-values[block], axis=1)
        size = np.nan_to_num(first_breakpoints(ranked), nan=0.0).astype(np.int64)[:, None]
        least = np.take_along_axis(ranked, np.maximum(size - 1, 0), axis=1)
        members[block] = (values[block] >= least) & (size > 0)
        # of values that are equal at the edge, the first by column
        tied = block.start + np.flatnonzero(members[block].sum(axis=1) > size[:, 0])
        members[tied] = ordinal_ranks(values[tied]) <= size[tied - block.start]
    return members


def jaccard_rows(first: Members, second: Members) -> Array:
    """Members in both sets over members in either (B,), of the rows of (B, N) and (B, N); two empty sets share 0.

    >>> jaccard_rows(np.array([[True, True, False]]), np.array([[False, True, True]])).round(3)
    array([0.333])
    """
    both, either = (first & second).sum(axis=1), (first | second).sum(axis=1)
    shared: Array = both / np.maximum(either, 1)
    return shared


def membership_interval(share: Array, n_draws: int, n_documents: int) -> tuple[Array, Array]:
    """Ends of 95 % intervals (N,) and (N,) of the probability that as many other documents put a neuron into the set.

    `share` (N,) of `n_draws` resamples. Its normal quantile is where the neuron lies from the edge of the set in units
    of its own error, so that error is 1, widened for few documents: sqrt(D / (D - 1)) and Student's t. The error of
    counting the resamples (Wilson) is on top. Wide, as one corpus says little about a neuron at the edge.

    >>> low, high = membership_interval(np.array([0.5]), 10**9, 10**6)
    >>> bool(round(low[0], 3) == 0.025), bool(round(high[0], 3) == 0.975)
    (True, True)
    """
    z2 = stats.norm.ppf(0.975) ** 2 / n_draws
    centre, half = (share + z2 / 2) / (1 + z2), np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    reach = stats.t.ppf(0.975, n_documents - 1) * np.sqrt(n_documents / (n_documents - 1))
    low = stats.norm.cdf(stats.norm.ppf(np.clip(centre - half, 0.0, 1.0)) - reach)
    high = stats.norm.cdf(stats.norm.ppf(np.clip(centre + half, 0.0, 1.0)) + reach)
    return np.minimum(low, share), np.maximum(high, share)


def plateau_stability(
    sums: Array, counts: Array, weights: Array, rng: np.random.Generator, effort: Effort = FULL
) -> tuple[Stability | None, str]:
    """The plateau set of `sums` (D, N) over `counts` (D,) in the resamples `weights` (B, D), or why there is none."""
    found, reason = plateau_memberships(sums, counts, weights)
    if found is None:
        return None, reason
    present = counts > 0
    low, high = membership_interval(found.share, found.n_draws, int(present.sum()))
    halves = split_jaccard(sums[present], rng, effort)
    return Stability(found.regime, found.share, low, high, found.n_plateau, *halves), ""


def plateau_memberships(sums: Array, counts: Array, weights: Array) -> tuple[Memberships | None, str]:
    """How often each neuron is in the plateau set of the resamples, without halves, or why there is no such set."""
    reason = absence_reason(counts, weights)
    values = sums.sum(axis=0)
    positive = values[values > 0]
    fit = fit_values(values[None]).quantity[0]
    if not reason and len(positive) < MIN_RANKS:
        reason = f"{counted(len(positive), 'neuron')} with a nonzero influence; at least {MIN_RANKS} are needed"
    if not reason and np.log(positive).std() < _MIN_SPREAD:
        reason = "the neurons do not differ in influence"
    if not reason and np.isnan(fit[0]):
        reason = "the curve bends down nowhere, so it has no regimes"
    if reason:
        return None, reason
    end, elbow = fit[QUANTITIES.index("plateau_end")], fit[QUANTITIES.index("elbow")]
    rank = ordinal_ranks(values[None])[0]
    regime = np.where(rank <= end, 0, np.where((rank <= elbow) & (values > 0), 1, 2))
    weights = weights[weights @ counts > 0]
    blocks = replicate_blocks(len(weights), len(values))
    members = np.concatenate([plateau_members(replicates(sums, counts, weights[block])) for block in blocks])
    return Memberships(regime, members.mean(axis=0), int(end), len(weights)), ""


def split_jaccard(
    sums: Array, rng: np.random.Generator, effort: Effort = FULL
) -> tuple[float, float, float, float, float]:
    """Mean Jaccard of the plateau sets of two halves, its interval's ends, its mean under the null, and one-sided p.

    `sums` (D, N), documents that hold the class. Interval: delete-a-group jackknife on the arcsine of the root. Null:
    neurons permuted within each document.
    """
    n_documents = len(sums)
    everyone = np.ones(n_documents, dtype=bool)
    halves = halves_of(rng.random((effort.splits, n_documents)), everyone)
    n_groups = min(N_GROUPS, n_documents)
    group = rng.permutation(n_documents) % n_groups
    keys = rng.random((effort.group_splits, n_documents))
    first, second = [halves], [1.0 - halves]
    for g in range(n_groups):
        kept = group != g
        first.append(halves_of(keys, kept))
        second.append(kept - first[-1])
    shared = _shared(sums, np.concatenate(first), np.concatenate(second))
    jaccard = float(shared[: effort.splits].mean())
    left_out = _angle(shared[effort.splits :].reshape(n_groups, -1).mean(axis=1))
    error = np.sqrt((n_groups - 1) * np.var(left_out))
    reach = float(stats.t.ppf(0.975, n_groups - 1) * error)
    low, high = (float(np.sin(np.clip(_angle(jaccard) + side * reach, 0.0, np.pi / 2)) ** 2) for side in (-1.0, 1.0))
    null = _null(sums, rng, effort.null)
    p = (1 + int((null >= jaccard).sum())) / (1 + effort.null)
    return jaccard, min(low, jaccard), max(high, jaccard), float(null.mean()), p


def _angle(share: Array | float) -> Array:
    angle: Array = np.arcsin(np.sqrt(share))
    return angle


def _shared(sums: Array, first: Array, second: Array) -> Array:
    """Jaccard (n_splits,) of the plateau sets of two halves of `sums` (D, N), `first` and `second` (n_splits, D)."""
    blocks = replicate_blocks(len(first), 2 * sums.shape[1])
    return np.concatenate([_jaccard(first[block] @ sums, second[block] @ sums) for block in blocks])


def _jaccard(first: Array, second: Array) -> Array:
    """Jaccard (B,) of the plateau sets of the rows of (B, N) and (B, N)."""
    return jaccard_rows(*np.split(plateau_members(np.concatenate([first, second])), 2))


def _null(sums: Array, rng: np.random.Generator, n_draws: int) -> Array:
    """Means over splits (n_draws,) of the null of `permuted_halves`."""
    n = sums.shape[1]
    means = [
        _jaccard(first.reshape(-1, n), second.reshape(-1, n)).reshape(-1, NULL_SPLITS).mean(axis=1)
        for first, second in permuted_halves(sums, n_draws, NULL_SPLITS, rng)
    ]
    return np.concatenate(means)
