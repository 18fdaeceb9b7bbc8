"""A statistic of groups of neurons against everything they are compared with: nulls, planted clusters, an interval.

The statistic is a function of Gram matrices, so one comparison serves every statistic of how points lie to each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.groups import FIRST_DRAWS, floor_p, is_open, monte_carlo_p, random_groups
from queries.stats.point_sets import (
    Array,
    Index,
    Space,
    aligned,
    gaussian_grams,
    group_grams,
    permuted_grams,
    planted_grams,
    shifted_grams,
    turned,
)
from queries.stats.set_groups import Neurons, members_of, ranked_windows, shortage
from queries.stats.trend import MIN_WINDOWS, Trend, continued, place_of
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

Row = dict[str, Any]
Statistic = Callable[[Array, np.random.Generator], Array]

NULLS = ("any", "activation", "influence", "gaussian", "shuffled")
# What must be seen before "no clusters" means anything.
PLANTED_STRENGTH, PLANTED_CLUSTERS = 0.3, 3


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups` of each kind, of the other two nulls (`clouds`), and `planted` sets for the power.

    Groups beyond the first 200 are drawn where these leave the answer open, see `queries.stats.groups.is_open`.
    `other` is for the regimes that no verdict is about. Calibration makes do with fewer.
    """

    groups: int = 1000
    clouds: int = 200
    other: int = 100
    planted: int = 100


FULL = Effort()
P_FLOORS = tuple(floor_p(n_draws) for n_draws in (FULL.groups, FIRST_DRAWS, FULL.clouds, FULL.other))


@dataclass(frozen=True)
class SetTest:
    """S measures of one group: `observed`, `low`, `high` (S,), draws of each null (B, S), `power` (S,), and its size.

    `trend` is what the ranking by influence, continued to the group, predicts. `power` is the share of random groups
    with planted clusters that exceed 95 % of every null. `reason` says why there is no estimate, `interval_reason` why
    no interval.
    """

    observed: Array
    low: Array
    high: Array
    nulls: Mapping[str, Array]
    trend: Trend
    power: Array
    n_neurons: int
    reason: str = ""
    interval_reason: str = ""

    def p(self, null: str, measure: int) -> float:
        """One-sided Monte-Carlo p of a measure as large as the observed; NaN where the null does not apply."""
        if null not in self.nulls:
            return float("nan")
        return monte_carlo_p(float(self.observed[measure]), self.nulls[null][:, measure], "greater")

    def p_trend(self, measure: int) -> float:
        """One-sided p of a measure as large as the observed where the trend leads; NaN where there is none."""
        return float(self.trend.p(self.observed, "greater")[measure])

    def largest_p(self, measure: int) -> float:
        """The largest p over nulls and trend: a group is clustered only if none of them explains it."""
        found = [*(self.p(name, measure) for name in self.nulls), self.p_trend(measure)]
        known = [p for p in found if np.isfinite(p)]
        return max(known) if known else float("nan")


def without_answer(reason: str, n_measures: int, n_neurons: int) -> SetTest:
    """A test that could not be made."""
    nothing = np.full(n_measures, np.nan)
    return SetTest(nothing, nothing, nothing, {}, Trend(nothing, nothing, 0), nothing, n_neurons, reason, reason)


def set_test(
    space: Space,
    whole: NDArray[np.float32],
    members: Index,
    neurons: Neurons,
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    is_shifted: bool,
    judged: Sequence[int],
    effort: Effort = FULL,
) -> SetTest:
    """`statistic` of `members` (m,) in `space` with Gram matrix `whole` (N, N), against all nulls.

    `is_shifted`: the last null turns each neuron's columns within documents; else it deals each column anew. `judged`
    are the measures that a verdict is about: without any, the nulls have fewer draws and the power is not measured.
    """
    one = space.gram(members)
    n_groups, n_clouds = (effort.groups, effort.clouds) if judged else (effort.other, effort.other)
    pool = np.flatnonzero(space.known)
    place = np.searchsorted(pool, members)
    strata = {"any": None, **{name: each[pool] for name, each in neurons.strata(len(members)).items()}}

    def groups(null: str, n: int) -> Index:
        return pool[random_groups(place, len(pool), n, rng, strata[null])]

    n_first = min(n_groups, FIRST_DRAWS)
    first, nulls = {}, {}
    for null in strata:
        first[null] = groups(null, n_first)
        nulls[null] = statistic(group_grams(whole, first[null]), rng)
    nulls["gaussian"] = statistic(gaussian_grams(one, n_clouds, rng), rng)
    shuffle = shifted_grams if is_shifted else permuted_grams
    nulls["shuffled"] = statistic(shuffle(space, members, n_clouds, rng), rng)
    observed = statistic(one[None], rng)[0]
    low, high, reason = jackknife(space, members, observed, statistic, rng)
    trend = ranked_trend(space, whole, members, neurons, statistic, len(observed), rng)
    unknown = np.full(len(observed), np.nan)
    found = SetTest(observed, low, high, nulls, trend, unknown, len(members), "", reason)
    if not judged:
        return found
    if n_groups > n_first and is_open(found.largest_p(measure) for measure in judged):
        for null in strata:
            more = statistic(group_grams(whole, groups(null, n_groups - n_first)), rng)
            nulls[null] = np.concatenate([nulls[null], more])
    grams = group_grams(whole, first["any"][: effort.planted])
    if neurons.is_gated:
        grams = turned(aligned(grams), rng)
    return replace(found, nulls=nulls, power=detection(grams, nulls, trend, statistic, rng))


def ranked_trend(
    space: Space,
    whole: NDArray[np.float32],
    members: Index,
    neurons: Neurons,
    statistic: Statistic,
    n_measures: int,
    rng: np.random.Generator,
) -> Trend:
    """What windows of the ranking, continued to the place of `members` (m,), predict of `n_measures` measures.

    The plateau's core leads the ranking, so no group of its influence can be drawn beside it. NaN with few windows.
    """
    found = ranked_windows(neurons, space.known, members)
    values = np.full((len(found), n_measures), np.nan)
    if len(found) >= MIN_WINDOWS:
        values = statistic(group_grams(whole, found), rng)
    return continued(place_of(neurons.influence, found), values, float(place_of(neurons.influence, members)))


def jackknife(
    space: Space, members: Index, observed: Array, statistic: Statistic, rng: np.random.Generator
) -> tuple[Array, Array, str]:
    """Ends (S,) of the 95 % interval that leaves out groups of blocks in turn, and why there is none.

    The statistics are maxima over numbers of clusters and are biased when columns are drawn twice, so the columns are
    not resampled. Source: Shao and Wu (1989), Ann. Stat. 17, 1176 (delete-a-group jackknife).
    """
    nothing = np.full(len(observed), np.nan)
    n_blocks = len(np.unique(space.block))
    if n_blocks < MIN_DOCUMENTS:
        few = counted(n_blocks, "document")
        return nothing, nothing, f"only {few} with this class; at least {MIN_DOCUMENTS} are needed"
    left = statistic(space.leave_out(members), rng)  # (G, S)
    n = len(left)
    half = special.stdtrit(n - 1, 0.975) * np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    return observed - half, observed + half, ""


def detection(
    grams: Array, nulls: Mapping[str, Array], trend: Trend, statistic: Statistic, rng: np.random.Generator
) -> Array:
    """Power (S,): the share of `grams` (B, m, m) that exceed 95 % of every null once clusters are planted in them.

    The Gaussian null is drawn anew, one cloud for each planted set, since it takes over the planted covariance.
    """
    planted = planted_grams(grams, PLANTED_STRENGTH, PLANTED_CLUSTERS, rng)
    clouds = np.concatenate([gaussian_grams(each, 1, rng) for each in planted])
    draws = {**nulls, "gaussian": statistic(clouds, rng)}
    critical = np.max([np.nanquantile(each, 1 - LEVEL, axis=0) for each in draws.values()], axis=0)
    share: Array = (statistic(planted, rng) > np.fmax(critical, trend_limit(trend, LEVEL))).mean(axis=0)
    return share


def trend_limit(trend: Trend, level: float) -> Array:
    """Values (S,) that are exceeded with probability `level` where the trend leads; NaN without a trend."""
    if trend.freedom <= 0:
        return np.full(len(trend.mean), np.nan)
    limit: Array = trend.mean + special.stdtrit(trend.freedom, 1 - level) * trend.error
    return limit


def estimate_rows(space: Space, group: str, test: SetTest, bounds: Mapping[str, tuple[float, float]]) -> list[Row]:
    """One row per measure; `bounds` are its name and the range that its interval is held in, the trend too.

    `null_*` is the null from the same tenths of influence, `p` the largest over nulls and trend.
    """
    rows: list[Row] = []
    # a line may leave the range of the measure
    trend = dict(zip(("mean", "low", "high"), (test.trend.mean, *test.trend.range()), strict=True))
    for i, (measure, (least, most)) in enumerate(bounds.items()):
        row: Row = {
            "space": space.name, "token_class": space.token_class, "group": group, "measure": measure,
            "estimate": float(test.observed[i]), "low": max(least, float(test.low[i])),
            "high": min(most, float(test.high[i])), "n": test.n_neurons, "n_columns": space.rows.shape[1],
            "p": test.largest_p(i), "power": float(test.power[i]), "reason": test.reason or test.interval_reason,
            **{f"trend_{end}": float(np.clip(trend[end][i], least, most)) for end in trend}, "p_trend": test.p_trend(i),
        }  # fmt: skip
        for null in NULLS:
            drawn = test.nulls[null][:, i] if null in test.nulls else np.empty(0)
            drawn = drawn[np.isfinite(drawn)]
            low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
            name = "null" if null == "influence" else null
            row |= {f"{name}_mean": float(drawn.mean()) if len(drawn) else np.nan, f"p_{null}": test.p(null, i)}
            if null in ("influence", "gaussian"):
                row |= {f"{name}_low": float(low), f"{name}_high": float(high)}
        if np.isnan(test.low[i]):
            row["low"] = row["high"] = np.nan
        if np.isnan(test.observed[i]):
            row["reason"] = row["reason"] or "the measure is not defined for this group"
        rows.append(row)
    return rows


def run_tests(
    spaces: Sequence[Space],
    neurons: Neurons,
    statistic_of: Callable[[Array, np.random.Generator], Statistic],
    bounds: Mapping[str, tuple[float, float]],
    tested: Sequence[str],
    rng: np.random.Generator,
    *,
    turns_activations: bool,
    effort: Effort = FULL,
) -> list[Row]:
    """Rows of every space and group of a run; `statistic_of(gram, rng)` is the statistic for the group with that Gram.

    `bounds` are the range of each measure; the verdict on the plateau is about those that are `tested`.
    `turns_activations`: the shuffled null of the activations turns them within documents, else deals each column anew.
    """
    rows: list[Row] = []
    judged = [i for i, measure in enumerate(bounds) if measure in tested]
    for space in spaces:
        whole = space.rows @ space.rows.T  # (N, N)
        for group, members in members_of(neurons, space.known, rng).items():
            if reason := shortage(space, members):
                test = without_answer(reason, len(bounds), len(members))
            else:
                own = space.aligned(members) if neurons.is_gated else space
                statistic = statistic_of(own.gram(members), rng)
                test = set_test(
                    own, whole, members, neurons, of_any_sign(statistic) if neurons.is_gated else statistic, rng,
                    is_shifted=turns_activations and space.name == "activation",
                    judged=judged if group == "plateau" else (), effort=effort,
                )  # fmt: skip
            rows += estimate_rows(space, group, test, bounds)
    return rows


def of_any_sign(statistic: Statistic) -> Statistic:
    """`statistic` of the sets after their points are turned to one side, whatever signs they came with."""
    return lambda grams, rng: statistic(aligned(grams), rng)
