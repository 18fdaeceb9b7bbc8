"""A statistic of groups of neurons against everything they are compared with: nulls, planted clusters, an interval.

The statistic is a function of Gram matrices, so one comparison serves every statistic of how points lie to each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.groups import floor_p, monte_carlo_p, random_groups, strata
from queries.stats.point_sets import (
    Array,
    Index,
    Space,
    gaussian_grams,
    group_grams,
    permuted_grams,
    planted_grams,
    shifted_grams,
    unit_rows,
)
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

Row = dict[str, Any]
Statistic = Callable[[Array, np.random.Generator], Array]

NULLS = ("any", "activation", "influence", "gaussian", "shuffled")
GROUPS = ("plateau", "power_law", "decay")
MIN_NEURONS = 5
MAX_NEURONS = 60
MIN_POSITIONS = 20
N_WEIGHT_BLOCKS = 20
# What must be seen before "no clusters" means anything.
PLANTED_STRENGTH, PLANTED_CLUSTERS = 0.3, 3


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups` of each kind, of the other two nulls (`clouds`), and `planted` sets for the power.

    `other` is for the regimes that no verdict is about. Calibration makes do with fewer.
    """

    groups: int = 1000
    clouds: int = 200
    other: int = 100
    planted: int = 100


FULL = Effort()
P_FLOORS = tuple(floor_p(n_draws) for n_draws in (FULL.groups, FULL.clouds, FULL.other))


@dataclass(frozen=True)
class Neurons:
    """What is known of the N neurons of a run: `regime`, `is_core`, `influence`, `mean` and `sd` of the activation."""

    regime: NDArray[np.object_]
    is_core: NDArray[np.bool_]
    influence: Array
    mean: Array
    sd: Array

    def strata(self, m: int) -> dict[str, Index]:
        """The stratum (N,) of each neuron by kind of matching, for a group of m: tenths of influence; mean and sd.

        Fewer strata where tenths would hold less than four times the group: a pool that is hardly more than the group
        would give the group itself as its null.
        """
        n_strata = max(1, min(10, len(self.influence) // (4 * m)))
        side = int(np.sqrt(n_strata))
        return {
            "activation": side * strata(self.mean, side) + strata(self.sd, side),
            "influence": strata(np.nan_to_num(self.influence), n_strata),
        }


@dataclass(frozen=True)
class SetTest:
    """S measures of one group: `observed`, `low`, `high` (S,), draws of each null (B, S), `power` (S,), and its size.

    `power` is the share of random groups with planted clusters that exceed 95 % of every null. `reason` says why there
    is no estimate, `interval_reason` why no interval.
    """

    observed: Array
    low: Array
    high: Array
    nulls: Mapping[str, Array]
    power: Array
    n_neurons: int
    reason: str = ""
    interval_reason: str = ""

    def p(self, null: str, measure: int) -> float:
        """One-sided Monte-Carlo p of a measure as large as the observed; NaN where the null does not apply."""
        if null not in self.nulls:
            return float("nan")
        return monte_carlo_p(float(self.observed[measure]), self.nulls[null][:, measure], "greater")

    def largest_p(self, measure: int) -> float:
        """The largest p over the nulls: a group is clustered only if none of them explains it."""
        known = [p for name in self.nulls if np.isfinite(p := self.p(name, measure))]
        return max(known) if known else float("nan")


def activation_space(activation: NDArray[np.float32], document: Index, token_class: str) -> Space:
    """The space of activation profiles from the `activation` (T, N) at the positions of a class."""
    return Space("activation", token_class, unit_rows(activation.T, is_centred=True), document, is_centred=True)


def weight_space(weight: NDArray[np.float32] | None, n_neurons: int, rng: np.random.Generator) -> Space:
    """The space of directions of `weight` (N, d), without columns where there is none; 20 random blocks of columns."""
    if weight is None:
        weight = np.zeros((n_neurons, 0), dtype=np.float32)
    block = rng.permutation(np.arange(weight.shape[1]) % N_WEIGHT_BLOCKS).astype(np.int64)
    return Space("weight", "all", unit_rows(weight, is_centred=False), block, is_centred=False)


def members_of(neurons: Neurons, known: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Index]:
    """Neurons of each group, those that do not vary left out; larger groups are cut to a random part.

    All groups are at most as large as the plateau's stable core, and never above 60: what is compared has equal size.
    """
    of_group = {
        name: np.flatnonzero((neurons.regime == name) & known & (neurons.is_core if name == "plateau" else True))
        for name in GROUPS
    }
    core = len(of_group["plateau"])
    size = min(core, MAX_NEURONS) if core >= MIN_NEURONS else MAX_NEURONS
    return {
        name: members if len(members) <= size else np.sort(rng.choice(members, size, replace=False))
        for name, members in of_group.items()
    }


def shortage(space: Space, members: Index) -> str:
    """Why a group has no statistic in a space; empty where it has one."""
    if space.name == "weight" and not space.rows.shape[1]:
        return "this run has no output weights"
    if space.name == "activation" and space.rows.shape[1] < MIN_POSITIONS:
        return f"only {counted(space.rows.shape[1], 'position')} of this class; at least {MIN_POSITIONS} are needed"
    if len(members) < MIN_NEURONS:
        return f"only {counted(len(members), 'neuron')} in this group; at least {MIN_NEURONS} are needed"
    return ""


def without_answer(reason: str, n_measures: int, n_neurons: int) -> SetTest:
    """A test that could not be made."""
    nothing = np.full(n_measures, np.nan)
    return SetTest(nothing, nothing, nothing, {}, nothing, n_neurons, reason, reason)


def set_test(
    space: Space,
    whole: NDArray[np.float32],
    members: Index,
    neurons: Neurons,
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    is_shifted: bool,
    is_judged: bool,
    effort: Effort = FULL,
) -> SetTest:
    """`statistic` of `members` (m,) in `space` with Gram matrix `whole` (N, N), against all nulls.

    `is_shifted`: the last null turns each neuron's columns within documents; else it deals each column anew. Unless
    `is_judged`, the nulls have fewer draws and the power is not measured.
    """
    one = space.gram(members)
    n_groups, n_clouds = (effort.groups, effort.clouds) if is_judged else (effort.other, effort.other)
    pool = np.flatnonzero(space.known)
    place = np.searchsorted(pool, members)
    shuffle = shifted_grams if is_shifted else permuted_grams
    free = pool[random_groups(place, len(pool), n_groups, rng)]
    nulls = {"any": statistic(group_grams(whole, free), rng)}
    for name, stratum in neurons.strata(len(members)).items():
        groups = pool[random_groups(place, len(pool), n_groups, rng, stratum[pool])]
        nulls[name] = statistic(group_grams(whole, groups), rng)
    nulls["gaussian"] = statistic(gaussian_grams(one, n_clouds, rng), rng)
    nulls["shuffled"] = statistic(shuffle(space, members, n_clouds, rng), rng)
    observed = statistic(one[None], rng)[0]
    low, high, reason = jackknife(space, members, observed, statistic, rng)
    power = np.full(len(observed), np.nan)
    if is_judged:
        power = detection(group_grams(whole, free[: effort.planted]), nulls, statistic, rng)
    return SetTest(observed, low, high, nulls, power, len(members), "", reason)


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
    half = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    return observed - half, observed + half, ""


def detection(grams: Array, nulls: Mapping[str, Array], statistic: Statistic, rng: np.random.Generator) -> Array:
    """Power (S,): the share of `grams` (B, m, m) that exceed 95 % of every null once clusters are planted in them.

    The Gaussian null is drawn anew, one cloud for each planted set, since it takes over the planted covariance.
    """
    planted = planted_grams(grams, PLANTED_STRENGTH, PLANTED_CLUSTERS, rng)
    clouds = np.concatenate([gaussian_grams(each, 1, rng) for each in planted])
    draws = {**nulls, "gaussian": statistic(clouds, rng)}
    critical = np.max([np.nanquantile(each, 1 - LEVEL, axis=0) for each in draws.values()], axis=0)
    share: Array = (statistic(planted, rng) > critical).mean(axis=0)
    return share


def estimate_rows(space: Space, group: str, test: SetTest, bounds: Mapping[str, tuple[float, float]]) -> list[Row]:
    """One row per measure; `bounds` are its name and the range that its interval is held in.

    `null_*` is the influence-matched null, `p` the largest over the nulls.
    """
    rows: list[Row] = []
    for i, (measure, (least, most)) in enumerate(bounds.items()):
        row: Row = {
            "space": space.name, "token_class": space.token_class, "group": group, "measure": measure,
            "estimate": float(test.observed[i]), "low": max(least, float(test.low[i])),
            "high": min(most, float(test.high[i])), "n": test.n_neurons, "n_columns": space.rows.shape[1],
            "p": test.largest_p(i), "power": float(test.power[i]), "reason": test.reason or test.interval_reason,
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
    rng: np.random.Generator,
    *,
    turns_activations: bool,
    effort: Effort = FULL,
) -> list[Row]:
    """Rows of every space and group of a run; `statistic_of(gram, rng)` is the statistic for the group with that Gram.

    `turns_activations`: the shuffled null of the activations turns them within documents, else deals each column anew.
    """
    rows: list[Row] = []
    for space in spaces:
        whole = space.rows @ space.rows.T  # (N, N)
        for group, members in members_of(neurons, space.known, rng).items():
            if reason := shortage(space, members):
                test = without_answer(reason, len(bounds), len(members))
            else:
                test = set_test(
                    space, whole, members, neurons, statistic_of(space.gram(members), rng), rng,
                    is_shifted=turns_activations and space.name == "activation",
                    is_judged=group == "plateau", effort=effort,
                )  # fmt: skip
            rows += estimate_rows(space, group, test, bounds)
    return rows
