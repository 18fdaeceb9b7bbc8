"""How modular a group of neurons is: every measure of its correlation matrix, with interval, nulls and power.

Shapes: G groups or draws, m neurons. A search for the best partition finds some structure in anything, so every number
is compared with what the same search, with as many restarts, finds in a null.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.correlations import of_groups, with_modules, without_documents
from queries.stats.groups import FIRST_DRAWS, is_open
from queries.stats.module_measures import HEADLINE, MEASURES, NULL_RESTARTS, QUALITIES, Array, Effort, Index, Sample
from queries.stats.module_nulls import (
    NOTHING,
    Comparison,
    compare,
    compare_trend,
    judges,
    own_nulls,
    ranking_trend,
    with_all_groups,
)
from queries.stats.module_verdict import PLANTED_R

JACKKNIFE_SETS = 20


def jackknife_interval(estimate: float, replicates: Array, bounds: tuple[float, float]) -> tuple[float, float]:
    """Ends of the 95 % interval around `estimate` from G `replicates` (G,), each without one set of documents.

    Error^2 = (G - 1) / G * sum of squares about the mean of the replicates, Student's t with G - 1 degrees of freedom,
    cut to `bounds`. NaN where the replicates do not differ: that is no precision, but a value at its bound or an
    integer. Source: Kott (2001), Journal of Official Statistics 17, 521.

    >>> low, high = jackknife_interval(1.0, np.array([0.9, 1.1, 1.0, 1.0, 1.0]), (-np.inf, np.inf))
    >>> round(low, 3), round(high, 3)
    (0.649, 1.351)
    """
    n = len(replicates)
    if np.ptp(replicates) == 0.0:
        return float("nan"), float("nan")
    error = np.sqrt((n - 1) / n * ((replicates - replicates.mean()) ** 2).sum())
    reach = float(special.stdtrit(n - 1, 0.975) * error)
    return max(estimate - reach, min(bounds[0], estimate)), min(estimate + reach, max(bounds[1], estimate))


@dataclass(frozen=True)
class Assessment:
    """One measure of one group: `estimate` with its interval, `nulls` by name, and what planted modules give.

    `planted` is the median with two planted modules, `power` the share of such draws beyond the 95 % points of all
    nulls that judge; NaN where it is not asked.
    """

    estimate: float
    low: float
    high: float
    nulls: Mapping[str, Comparison]
    planted: float = float("nan")
    power: float = float("nan")


def assess(
    sample: Sample,
    members: Index,
    shared: Mapping[str, Mapping[str, Array]],
    rng: np.random.Generator,
    effort: Effort,
    *,
    is_plateau: bool,
) -> dict[str, Assessment]:
    """Every measure of the group `members` (m,); `shared` from `shared_nulls`.

    The interval is a delete-a-group jackknife over documents, NaN where fewer than 5 documents have positions.
    `is_plateau`: the group is compared with the trend over the ranking, too, and a verdict is about it.
    """
    effort = effort if is_plateau else effort.of_other()
    values = sample.values[:, members]
    whole = of_groups(sample.correlations, members[None])
    found = sample.measure(whole, QUALITIES, rng, effort.restarts)
    # with as many restarts as the nulls had, or the larger effort alone would look modular; one search is a draw
    alike = sample.measure(np.repeat(whole, effort.repeats, axis=0), QUALITIES, rng, NULL_RESTARTS)
    fair = {name: float(each.mean()) for name, each in alike.items()}
    left_out = _left_out(sample, values, rng, effort.restarts)
    draws: dict[str, Mapping[str, Array]] = {**shared, **own_nulls(sample, members, rng, effort)}
    trend = compare_trend(fair, ranking_trend(sample, members, rng)) if is_plateau else {}
    if is_plateau and effort.groups > FIRST_DRAWS and is_open(_largest_p(fair, draws, trend)):
        draws |= with_all_groups(draws, sample, members, rng, effort)
    planted = sample.measure(with_modules(values, PLANTED_R, effort.planted, rng), HEADLINE, rng, NULL_RESTARTS)
    results = {}
    for name in MEASURES:
        value = float(found[name][0])
        bounds = (0.0, float(len(members))) if name == "n_communities" else (-1.0, 1.0)
        low, high = jackknife_interval(value, left_out[name], bounds) if left_out else (np.nan, np.nan)
        nulls = {null: compare(name, fair[name], each[name]) for null, each in draws.items()}
        nulls["trend"] = trend.get(name, NOTHING)
        middle, power = _power(name, planted[name], nulls) if name in HEADLINE else (np.nan, np.nan)
        results[name] = Assessment(value, low, high, nulls, middle, power)
    return results


def _largest_p(
    observed: Mapping[str, float], draws: Mapping[str, Mapping[str, Array]], trend: Mapping[str, Comparison]
) -> list[float]:
    """Of each headline measure, the largest p over the nulls that judge it."""
    found = []
    for name in HEADLINE:
        nulls = {null: compare(name, observed[name], each[name]) for null, each in draws.items()}
        nulls["trend"] = trend[name]
        found.append(max(nulls[null].p for null in judges(name) if nulls[null].n_draws))
    return found


def _power(name: str, planted: Array, nulls: Mapping[str, Comparison]) -> tuple[float, float]:
    """Median of `planted` (G,), and its share beyond the 95 % points of all nulls that there are and that judge."""
    limits = [nulls[null].limit for null in judges(name) if nulls[null].n_draws]
    return float(np.median(planted)), float((planted > max(limits)).mean())


def _left_out(sample: Sample, values: Array, rng: np.random.Generator, restarts: int) -> dict[str, Array]:
    """Every measure (G,) without one set of documents; empty where there are too few documents."""
    if len(np.unique(sample.document)) < MIN_DOCUMENTS:
        return {}
    replicates, n_positions = without_documents(values, sample.document, JACKKNIFE_SETS, rng)
    return sample.measure(replicates, QUALITIES, rng, restarts, n_positions)
