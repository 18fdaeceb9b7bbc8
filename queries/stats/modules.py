"""How modular a group of neurons is: every measure of its correlation matrix, with interval, nulls and power.

Shapes: G groups or draws, m neurons. A search for the best partition finds some structure in anything, so every number
is compared with what the same search, with as many restarts, finds in a null.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.correlations import independent, of_groups, shifted, with_modules, without_documents
from queries.stats.groups import monte_carlo_p, random_groups, strata
from queries.stats.louvain import maximise
from queries.stats.modularity import correlation_modularity_matrix, keep_strongest, signed_modularity_matrix
from queries.stats.module_verdict import PLANTED_R

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Share of a group's own neurons in the groups that it is matched with, at most
MAX_OVERLAP = 0.5
JACKKNIFE_SETS = 20
# Draws of a null and replicates; the observed value that a null is compared with has as many
NULL_RESTARTS = 2
HEADLINE = ("signed_q", "mg_q")
OF_PARTITION = ("n_communities", "ari")
NULLS = ("any", "activation", "influence", "shift", "noise")
# The comparisons that must all be exceeded: noise is a floor, not an alternative
GROUP_NULLS = ("any", "activation", "influence", "shift")

_MATRICES: Mapping[str, Callable[[Array, int], Array]] = {
    "signed_q": lambda r, n: signed_modularity_matrix(r),
    "mg_q": correlation_modularity_matrix,
    "abs_q": lambda r, n: signed_modularity_matrix(np.abs(r)),
    "signed_q_gamma_0.5": lambda r, n: signed_modularity_matrix(r, 0.5),
    "signed_q_gamma_1.5": lambda r, n: signed_modularity_matrix(r, 1.5),
    "signed_q_gamma_2": lambda r, n: signed_modularity_matrix(r, 2.0),
    "signed_q_density_10": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.10)),
    "signed_q_density_25": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.25)),
    "signed_q_density_50": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.50)),
}
QUALITIES = tuple(_MATRICES)
SWEEP = tuple(name for name in QUALITIES if name not in HEADLINE)
MEASURES = (*QUALITIES, *OF_PARTITION)


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups`, turns within documents (`shifts`), `planted` sets, `restarts` of a search.

    A measure of the `sweep` has fewer groups: it describes, and no verdict rests on it. Calibration makes do with
    fewer of all.
    """

    groups: int = 1000
    sweep: int = 200
    shifts: int = 200
    planted: int = 100
    restarts: int = 20


FULL = Effort()


@dataclass(frozen=True)
class Comparison:
    """One measure of one group against one null: `mean` of the null, its middle 95 % and the Monte-Carlo `p`."""

    mean: float
    low: float
    high: float
    p: float
    n_draws: int


def measure(
    correlations: Array, n_positions: int, names: tuple[str, ...], rng: np.random.Generator, n_restarts: int
) -> dict[str, Array]:
    """Each quality in `names`, (G,), of `correlations` (G, m, m) over `n_positions` positions.

    With `signed_q` come `n_communities` (those of two or more neurons) and `ari` (agreement between restarts) of its
    partition.
    """
    found: dict[str, Array] = {}
    for name in names:
        best = maximise(_MATRICES[name](correlations, n_positions), rng, n_restarts)
        found[name] = best.quality
        if name == "signed_q":
            found["n_communities"], found["ari"] = best.n_communities, best.agreement
    return found


def compare(name: str, observed: float, null: Array) -> Comparison:
    """`observed` against draws `null` (B,): one-sided (greater) for qualities, two-sided for the others."""
    low, high = np.quantile(null, [0.025, 0.975]) if len(null) else (np.nan, np.nan)
    p = monte_carlo_p(observed, null, "greater" if name in QUALITIES else "two")
    return Comparison(float(null.mean()) if len(null) else np.nan, float(low), float(high), p, len(null))


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
    reach = float(stats.t.ppf(0.975, n - 1) * error)
    return max(estimate - reach, min(bounds[0], estimate)), min(estimate + reach, max(bounds[1], estimate))


@dataclass(frozen=True)
class Sample:
    """Positions of one class.

    `values` (T, N), `document` (T,), the `correlations` (N, N) of all neurons and their `influence` (N,).
    """

    values: Array
    document: Index
    correlations: Array
    influence: Array


@dataclass(frozen=True)
class Assessment:
    """One measure of one group: `estimate` with its interval, `nulls` by `NULLS`, and what planted modules give.

    `overlap` is the largest mean share of the group's own neurons in matched groups.
    """

    estimate: float
    low: float
    high: float
    nulls: Mapping[str, Comparison]
    planted: float
    power: float
    overlap: float


def matching_strata(features: Sequence[Array], members: Index, n_strata: int) -> tuple[Index, float]:
    """Strata (N,) by quantiles of every one of `features` (N,), and the share of `members` that a matched group holds.

    A group that fills a stratum would be matched with itself, and no test could ever find anything. So the strata are
    the finest, from `n_strata` quantiles of each feature down to one, in which matched groups hold at most half of the
    members on average.

    >>> matching_strata([np.arange(40.0)], np.arange(4), 10)
    (array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2,
           2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]), 0.5)
    """
    for n in (*range(n_strata, 1, -1), 1):
        cell = np.zeros(len(features[0]), dtype=np.int64)
        for feature in features:
            cell = cell * n + (strata(feature, n) if n > 1 else 0)
        in_cell, of_members = np.bincount(cell), np.bincount(cell[members], minlength=int(cell.max()) + 1)
        overlap = float((of_members / np.maximum(in_cell, 1))[cell[members]].mean())
        if overlap <= MAX_OVERLAP:
            break
    return cell, overlap


def noise_floor(sample: Sample, m: int, rng: np.random.Generator, effort: Effort) -> dict[str, dict[str, Array]]:
    """The nulls that all groups of `m` neurons share, `any` and `noise`: every measure by null."""
    n_positions, n_neurons = sample.values.shape
    anyone = random_groups(np.arange(m), n_neurons, effort.groups, rng)
    noise = independent(m, n_positions, effort.groups, rng)
    return {
        "any": _null(of_groups(sample.correlations, anyone), n_positions, rng, effort),
        "noise": _null(noise, n_positions, rng, effort),
    }


def assess(
    sample: Sample,
    members: Index,
    shared: Mapping[str, Mapping[str, Array]],
    rng: np.random.Generator,
    effort: Effort,
) -> dict[str, Assessment]:
    """Every measure of the group `members` (m,); `shared` from `noise_floor`.

    The interval is a delete-a-group jackknife over documents, NaN where fewer than 5 documents have positions.
    """
    n_positions = len(sample.values)
    values = sample.values[:, members]
    whole = of_groups(sample.correlations, members[None])
    own, overlap = _own_nulls(sample, members, rng, effort)
    nulls = {**shared, **own}
    found = measure(whole, n_positions, QUALITIES, rng, effort.restarts)
    # with as many restarts as the nulls had, or the larger effort alone would look modular
    alike = measure(whole, n_positions, QUALITIES, rng, NULL_RESTARTS)
    left_out = _left_out(sample, values, rng, effort.restarts)
    modules = with_modules(values, PLANTED_R, effort.planted, rng)
    planted = measure(modules, n_positions, ("signed_q",), rng, NULL_RESTARTS)
    results = {}
    for name in MEASURES:
        value = float(found[name][0])
        bounds = (0.0, float(len(members))) if name == "n_communities" else (-1.0, 1.0)
        low, high = jackknife_interval(value, left_out[name], bounds) if left_out else (np.nan, np.nan)
        # the agreement of two searches does not grow with the number of searches
        fair = value if name == "ari" else float(alike[name][0])
        compared = {null: compare(name, fair, nulls[null][name]) for null in NULLS}
        middle = power = float("nan")
        if name == "signed_q":
            limit = max(float(np.quantile(nulls[null][name], 0.95)) for null in GROUP_NULLS)
            middle, power = float(np.median(planted[name])), float((planted[name] > limit).mean())
        results[name] = Assessment(value, low, high, compared, middle, power, overlap)
    return results


def _own_nulls(
    sample: Sample, members: Index, rng: np.random.Generator, effort: Effort
) -> tuple[dict[str, Mapping[str, Array]], float]:
    """The nulls of one group, `activation`, `influence` and `shift`, and its largest overlap with matched groups."""
    n_positions, n_neurons = sample.values.shape
    moments = [sample.values.mean(axis=0), sample.values.var(axis=0)]
    nulls: dict[str, Mapping[str, Array]] = {}
    overlaps = []
    for name, features, n_strata in (("activation", moments, 5), ("influence", [sample.influence], 10)):
        stratum, overlap = matching_strata(features, members, n_strata)
        overlaps.append(overlap)
        matched = random_groups(members, n_neurons, effort.groups, rng, stratum)
        nulls[name] = _null(of_groups(sample.correlations, matched), n_positions, rng, effort)
    turned = shifted(sample.values[:, members], sample.document, effort.shifts, rng)
    return nulls | {"shift": _null(turned, n_positions, rng, effort)}, max(overlaps)


def _null(correlations: Array, n_positions: int, rng: np.random.Generator, effort: Effort) -> dict[str, Array]:
    """Every measure of the draws of a null; those of the sweep of the first `effort.sweep` draws only."""
    found = measure(correlations, n_positions, HEADLINE, rng, NULL_RESTARTS)
    return found | measure(correlations[: effort.sweep], n_positions, SWEEP, rng, NULL_RESTARTS)


def _left_out(sample: Sample, values: Array, rng: np.random.Generator, restarts: int) -> dict[str, Array]:
    """Every measure (G,) without one set of documents; empty where there are too few documents."""
    if len(np.unique(sample.document)) < MIN_DOCUMENTS:
        return {}
    replicates = without_documents(values, sample.document, JACKKNIFE_SETS, rng)
    return measure(replicates, len(values), QUALITIES, rng, restarts)
