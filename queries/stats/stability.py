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
from queries.stats.ranking import halves_of, ordinal_ranks
from queries.stats.segmentation import MIN_RANKS, fit_values
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
    parts = []
    for block in replicate_blocks(len(values), values.shape[1]):
        end = fit_values(values[block]).quantity[:, QUANTITIES.index("plateau_end")]
        parts.append(ordinal_ranks(values[block]) <= np.nan_to_num(end, nan=0.0)[:, None])
    return np.concatenate(parts)


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
    jaccard = _mean_jaccard(sums, halves, 1.0 - halves)
    n_groups = min(N_GROUPS, n_documents)
    group = rng.permutation(n_documents) % n_groups
    keys = rng.random((effort.group_splits, n_documents))
    left_out = []
    for g in range(n_groups):
        kept = group != g
        halves = halves_of(keys, kept)
        left_out.append(_angle(_mean_jaccard(sums, halves, kept - halves)))
    error = np.sqrt((n_groups - 1) * np.var(left_out))
    reach = float(stats.t.ppf(0.975, n_groups - 1) * error)
    low, high = (float(np.sin(np.clip(_angle(jaccard) + side * reach, 0.0, np.pi / 2)) ** 2) for side in (-1.0, 1.0))
    null = np.array([_null_jaccard(sums, rng) for _ in range(effort.null)])
    p = (1 + int((null >= jaccard).sum())) / (1 + effort.null)
    return jaccard, min(low, jaccard), max(high, jaccard), float(null.mean()), p


def _angle(share: float) -> float:
    return float(np.arcsin(np.sqrt(share)))


def _mean_jaccard(sums: Array, halves: Array, others: Array) -> float:
    """Mean over the splits: `halves` and `others` (n_splits, D) say who is in which half."""
    return float(jaccard_rows(plateau_members(halves @ sums), plateau_members(others @ sums)).mean())


def _null_jaccard(sums: Array, rng: np.random.Generator) -> float:
    """One draw of the null: the neurons of every document permuted on their own, then split `NULL_SPLITS` times."""
    n_documents = len(sums)
    permuted = rng.permuted(sums, axis=1)
    halves = halves_of(rng.random((NULL_SPLITS, n_documents)), np.ones(n_documents, dtype=bool))
    return _mean_jaccard(permuted, halves, 1.0 - halves)
