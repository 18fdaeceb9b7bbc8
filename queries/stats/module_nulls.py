"""What a group's modularity is compared with: other groups, the trend over the ranking, turned neurons, noise.

Shapes: B draws, m neurons of a group, N neurons in all. Every null is searched as the group is, with `NULL_RESTARTS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from queries.stats.correlations import independent, of_groups, shifted
from queries.stats.groups import FIRST_DRAWS, monte_carlo_p, random_groups, strata
from queries.stats.module_measures import (
    HEADLINE,
    MEASURES,
    NULL_RESTARTS,
    QUALITIES,
    SWEEP,
    Array,
    Effort,
    Index,
    Sample,
)
from queries.stats.trend import Trend, continued, place_of, windows

NULLS = ("any", "activation", "influence", "trend", "shift", "noise")
# Other neurons of the same run; and those of them that a group must be like to be nothing special for its influence
OTHERS = ("any", "activation", "influence", "trend")
OF_RANK = ("influence", "trend")
# In a stratum there are so many other neurons for each of the group
MIN_OTHERS = 2


def judges(name: str) -> tuple[str, ...]:
    """The nulls that must all be exceeded in the measure `name`.

    Turned neurons are no alternative to a measure that is free of scale: turning shrinks the correlations, and how
    cleanly what remains parts the neurons, by chance, is no less. Noise is a floor, not an alternative.

    >>> judges("signed_q")
    ('any', 'activation', 'influence', 'trend')
    """
    return (*OTHERS, "shift") if name == "mg_q" else OTHERS


@dataclass(frozen=True)
class Comparison:
    """One measure of one group against one null.

    `mean` of the null, its middle 95 %, the `p`, its 95 % point `limit`, and `n_draws`, 0 where there is no null: then
    all else is NaN.
    """

    mean: float
    low: float
    high: float
    p: float
    limit: float
    n_draws: int


NOTHING = Comparison(np.nan, np.nan, np.nan, np.nan, np.nan, n_draws=0)


def compare(name: str, observed: float, null: Array) -> Comparison:
    """`observed` against draws `null` (B,): one-sided (greater) for qualities, two-sided for the others."""
    if not len(null):
        return NOTHING
    low, limit, high = (float(each) for each in np.quantile(null, [0.025, 0.95, 0.975]))
    p = monte_carlo_p(observed, null, "greater" if name in QUALITIES else "two")
    return Comparison(float(null.mean()), low, high, p, limit, len(null))


def compare_trend(observed: Mapping[str, float], trend: Trend) -> dict[str, Comparison]:
    """Every measure of `observed` against its prediction from the ranking, in the order of `MEASURES`."""
    if trend.freedom <= 0:
        return dict.fromkeys(MEASURES, NOTHING)
    value = np.array([observed[name] for name in MEASURES])
    # all windows and the group have the same value: that is no surprise
    is_same = (trend.error == 0) & (value == trend.mean)
    greater, two = (np.where(is_same, 1.0, trend.p(value, side)) for side in ("greater", "two"))
    low, high = trend.range()
    limit = trend.mean + special.stdtrit(trend.freedom, 0.95) * trend.error
    return {
        name: Comparison(
            float(trend.mean[k]), float(low[k]), float(high[k]),
            float(greater[k] if name in QUALITIES else two[k]), float(limit[k]), trend.n_windows,
        )
        for k, name in enumerate(MEASURES)
    }  # fmt: skip


def matching_strata(features: Sequence[Array], members: Index, n_strata: int) -> Index | None:
    """Strata (N,) by quantiles of every one of `features` (N,), with others enough beside `members` (m,) in each.

    The finest, from `n_strata` quantiles of each feature down to one, in which for every member there are two other
    neurons; None where there are not as many in all.

    >>> matching_strata([np.arange(12.0)], np.arange(2), 10)
    array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    """
    for n in (*range(n_strata, 1, -1), 1):
        cell = np.zeros(len(features[0]), dtype=np.int64)
        for feature in features:
            cell = cell * n + (strata(feature, n) if n > 1 else 0)
        taken = np.bincount(cell[members], minlength=int(cell.max()) + 1)
        if (np.bincount(cell) - taken >= MIN_OTHERS * taken).all():
            return cell
    return None


def matched_groups(members: Index, stratum: Index, n_groups: int, rng: np.random.Generator) -> Index:
    """Groups (n_groups, m) of others than `members` (m,), as many of each `stratum` (N,) as the members are.

    >>> matched_groups(np.array([0, 3]), np.array([0, 0, 1, 1]), 1, np.random.default_rng(0)).tolist()
    [[1, 2]]
    """
    others = np.setdiff1d(np.arange(len(stratum)), members)
    parts = []
    for each, size in zip(*np.unique(stratum[members], return_counts=True), strict=True):
        pool = others[stratum[others] == each]
        # the first columns of a random order are a sample without replacement
        parts.append(pool[np.argsort(rng.random((n_groups, len(pool))), axis=1)[:, :size]])
    return np.concatenate(parts, axis=1).astype(np.int64)


def shared_nulls(sample: Sample, m: int, rng: np.random.Generator, effort: Effort) -> dict[str, dict[str, Array]]:
    """The nulls that all groups of `m` neurons share, `any` and `noise`: every measure by null."""
    n_positions, n_neurons = sample.values.shape
    n_draws = min(effort.groups, FIRST_DRAWS)
    anyone = random_groups(np.arange(m), n_neurons, n_draws, rng)
    noise = independent(m, n_positions, n_draws, rng)
    return {
        "any": _null(sample, of_groups(sample.correlations, anyone), rng, effort),
        "noise": _null(sample, noise, rng, effort),
    }


def own_nulls(sample: Sample, members: Index, rng: np.random.Generator, effort: Effort) -> dict[str, dict[str, Array]]:
    """The nulls of one group, `activation`, `influence` and `shift`; no draws where too few others are alike."""
    nulls: dict[str, dict[str, Array]] = {}
    for name, stratum in _strata(sample, members).items():
        if stratum is None:
            nulls[name] = {each: np.empty(0) for each in MEASURES}
            continue
        matched = matched_groups(members, stratum, min(effort.groups, FIRST_DRAWS), rng)
        nulls[name] = _null(sample, of_groups(sample.correlations, matched), rng, effort)
    turned = shifted(sample.values[:, members], sample.document, effort.shifts, rng)
    return nulls | {"shift": _null(sample, turned, rng, effort)}


def with_all_groups(
    nulls: Mapping[str, Mapping[str, Array]], sample: Sample, members: Index, rng: np.random.Generator, effort: Effort
) -> dict[str, dict[str, Array]]:
    """`nulls` of one group with all `effort.groups` draws of other groups, where `nulls` has the first of them."""
    n_more = effort.groups - FIRST_DRAWS
    drawn = {
        name: matched_groups(members, stratum, n_more, rng)
        for name, stratum in _strata(sample, members).items()
        if stratum is not None
    }
    drawn["any"] = random_groups(members, sample.values.shape[1], n_more, rng)
    found = {name: dict(of_null) for name, of_null in nulls.items()}
    for name, groups in drawn.items():
        more = sample.measure(of_groups(sample.correlations, groups), HEADLINE, rng, NULL_RESTARTS)
        found[name] |= {each: np.concatenate([found[name][each], more[each]]) for each in HEADLINE}
    return found


def _strata(sample: Sample, members: Index) -> dict[str, Index | None]:
    """Strata (N,) of activation and of influence, see `matching_strata`."""
    moments = [sample.values.mean(axis=0), sample.values.var(axis=0)]
    return {
        "activation": matching_strata(moments, members, 5),
        "influence": matching_strata([sample.influence], members, 10),
    }


def ranking_trend(sample: Sample, members: Index, rng: np.random.Generator) -> Trend:
    """What windows of the ranking by influence predict at the place of `members` (m,), in the order of `MEASURES`."""
    groups = windows(sample.influence, members)
    found = sample.measure(of_groups(sample.correlations, groups), QUALITIES, rng, NULL_RESTARTS)
    values = np.stack([found[name] for name in MEASURES], axis=1)
    at = float(place_of(sample.influence, members))
    return continued(place_of(sample.influence, groups), values, at)


def _null(sample: Sample, correlations: Array, rng: np.random.Generator, effort: Effort) -> dict[str, Array]:
    """Every measure of the draws of a null; those of the sweep of the first `effort.sweep` draws only."""
    found = sample.measure(correlations, HEADLINE, rng, NULL_RESTARTS)
    return found | sample.measure(correlations[: effort.sweep], SWEEP, rng, NULL_RESTARTS)
