"""Groups of neurons compared at equal numbers of positions and neurons, with random groups and documents left out.

A statistic of a group is a row of K numbers. It is computed for a group, for random groups of the same size (free, from
the same strata of activation, from the same strata of influence), and without some of the documents; rare and common
positions are compared on the same neurons, the same random groups, and as many positions of each document.
The plateau leads the ranking by influence, so no random group is its equal: even those from its stratum are lower. What
a smooth dependence on influence makes of its rank is the trend over windows of the other neurons, continued to it.
Shapes: T positions, N neurons, m neurons of a group, B random groups, W windows, G sets of documents, K numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.groups import FIRST_DRAWS, random_groups, strata
from queries.stats.samples import equal_samples, is_finite, moments, varying
from queries.stats.trend import MIN_WINDOWS, place_of, windows
from queries.stats.words import counted

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

CLASSES = ("rare", "common")
CONTRAST = "rare_minus_common"
GROUPS = ("plateau", "power_law", "decay")
NULLS = ("any", "activation", "influence")
# The null that is predicted and not drawn; of the plateau only, since the other groups have equals
TREND = "trend"
MAX_SETS = 20
MIN_NEURONS = 5
MIN_POSITIONS = 30
# Strata of mean and of variance of the activation (crossed), and at most so many of influence
N_ACTIVATION_STRATA, N_INFLUENCE_STRATA = 5, 10
# Neurons of a stratum of influence for each of a group: the plateau leads by influence, and a stratum that holds
# hardly anyone else would compare it with itself
POOL = 4


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups` of each kind and turns within documents (`shifts`).

    Groups beyond the first 200 are looked at for the plateau only, where these leave the answer open, see
    `queries.stats.groups.is_open`. No verdict is about other groups: they have at most `other_groups` of a kind and
    `other_shifts`. Calibration makes do with fewer.
    """

    groups: int = 1000
    shifts: int = 200
    other_groups: int = FIRST_DRAWS
    other_shifts: int = 40


FULL = Effort()


@dataclass(frozen=True)
class Design:
    """What is compared with what, on the neurons that vary at the positions of every class.

    `values` (T, N), `document` (T,); `rows` all positions of each class and `samples` the draws of them, each sorted;
    `members` (m,) of each group; `draws` (B, m) of each group and null; `windows` (W, m) of the ranking without the
    plateau, at `place` (W,), and `at` the place of the plateau, in ln nats; `reasons` says why a class or a group has
    no answer; `is_gated`: the sign of a neuron is arbitrary.
    """

    values: Floats
    document: Index
    rows: Mapping[str, Index]
    samples: Mapping[str, list[Index]]
    members: Mapping[str, Index]
    draws: Mapping[str, Mapping[str, Index]]
    windows: Index
    place: Array
    at: float
    reasons: Mapping[str, str]
    is_gated: bool

    def reason(self, token_class: str, group: str) -> str:
        """Why there is no estimate for this class and group; empty where there is one."""
        classes = CLASSES if token_class == CONTRAST else (token_class,)
        return next((self.reasons[name] for name in (*classes, group) if self.reasons.get(name)), "")


@dataclass(frozen=True)
class Found:
    """One class and group: the statistic `value` (K,), `left_out` (G, K), and `nulls` (B, K) by name.

    Under `trend` the plateau has the statistic (W, K) of the windows, if these are enough.
    """

    value: Array
    left_out: Array
    nulls: Mapping[str, Array]

    def __sub__(self, other: "Found") -> "Found":
        """The difference of two classes: same neurons, same random groups, same documents left out."""
        nulls = {name: null - other.nulls[name] for name, null in self.nulls.items()}
        return Found(self.value - other.value, self.left_out - other.left_out, nulls)


def design(
    values: Floats, document: Index, is_rare: Flags, regime: NDArray[np.object_], is_core: Flags, influence: Array,
    rng: np.random.Generator, effort: Effort = FULL, is_gated: bool = False,
) -> Design:  # fmt: skip
    """The comparisons for activations `values` (T, N) at positions of `document` (T,) and class `is_rare` (T,).

    `regime`, `is_core` and `influence` (N,) describe the neurons. All groups have the size m of the plateau's stable
    core: of power law and decay, m neurons evenly spread over the regime's ranks.
    """
    finite = is_finite(values)
    if not finite.all():
        values, document, is_rare = values[finite], document[finite], is_rare[finite]
    samples = equal_samples(document, is_rare, rng)
    reasons = {name: _too_few(len(samples[name][0])) for name in CLASSES}
    kept = np.isfinite(influence)
    for name in CLASSES:
        for rows in samples[name] if not reasons[name] else ():
            kept &= varying(values[rows])
    if not kept.all():
        values, influence, regime, is_core = values[:, kept], influence[kept], regime[kept], is_core[kept]
    members, missing = _members(regime, is_core, influence)
    draws: dict[str, dict[str, Index]] = {}
    if members and not all(reasons[name] for name in CLASSES):
        draws = _draws(values, influence, members, rng, effort)
    of_class = {"rare": np.flatnonzero(is_rare), "common": np.flatnonzero(~is_rare)}
    ranked, place, at = _ranking(influence, members)
    why = {**reasons, **missing}
    return Design(values, document, of_class, samples, members, draws, ranked, place, at, why, is_gated)


def _too_few(n_positions: int) -> str:
    if n_positions >= MIN_POSITIONS:
        return ""
    few = counted(n_positions, "position") if n_positions else "no positions"
    return f"{few} of the class can be compared; at least {MIN_POSITIONS} are needed"


def _members(regime: NDArray[np.object_], is_core: Flags, influence: Array) -> tuple[dict[str, Index], dict[str, str]]:
    """Members of each group, all as many as the plateau's core has, and why a group has none."""
    plateau = np.flatnonzero((regime == "plateau") & is_core)
    m = len(plateau)
    if m < MIN_NEURONS:
        few = f"{counted(m, 'neuron')} of changing activation"
        short = f"the stable core of the plateau has {few}; at least {MIN_NEURONS} are needed"
        return {}, dict.fromkeys(GROUPS, short)
    members, reasons = {"plateau": plateau}, {}
    for name in GROUPS[1:]:
        of_regime = np.flatnonzero(regime == name)
        ranked = of_regime[np.argsort(-influence[of_regime], kind="stable")]
        if len(ranked) < m:
            reasons[name] = f"the regime has {counted(len(ranked), 'neuron')}, fewer than the {m} of the plateau's core"
        else:
            members[name] = ranked[np.linspace(0, len(ranked) - 1, m).round().astype(np.int64)]
    return members, reasons


def _ranking(influence: Array, members: Mapping[str, Index]) -> tuple[Index, Array, float]:
    """Windows (W, m) of the neurons outside the plateau, their places (W,) and that of the plateau; none without it."""
    if not members:
        return np.empty((0, 0), dtype=np.int64), np.empty(0), float("nan")
    ranked = windows(influence, members["plateau"])
    return ranked, place_of(influence, ranked), float(place_of(influence, members["plateau"]))


def _draws(
    values: Floats, influence: Array, members: Mapping[str, Index], rng: np.random.Generator, effort: Effort
) -> dict[str, dict[str, Index]]:
    """Random groups (B, m) for each group and null; those of any neurons serve all groups."""
    mean, variance = moments(values)
    n = N_ACTIVATION_STRATA
    by_activation = strata(mean, n) * n + strata(variance, n)
    n_strata = len(influence) // (POOL * len(members["plateau"]))
    by_influence = strata(influence, min(max(n_strata, 1), N_INFLUENCE_STRATA))
    anyone = random_groups(members["plateau"], len(influence), effort.groups, rng)
    drawn: dict[str, dict[str, Index]] = {}
    for name, each in members.items():
        n_groups = effort.groups if name == "plateau" else min(effort.groups, effort.other_groups)
        drawn[name] = {
            "any": anyone,
            "activation": random_groups(each, len(influence), n_groups, rng, by_activation),
            "influence": random_groups(each, len(influence), n_groups, rng, by_influence),
        }
    return drawn


def assess(
    plan: Design,
    of_groups: Callable[[Floats], Callable[[Index], Array]],
    of_left_out: Callable[[Floats, Index, Index], Array],
    rng: np.random.Generator,
    is_open: Callable[[Mapping[tuple[str, str], Found]], bool] = lambda found: True,
) -> dict[tuple[str, str], Found]:
    """The statistic of every class and group with an answer, and of the contrast of the classes.

    `of_groups(values)` prepares positions (T, N) and returns a function of groups (B, m) that gives (B, K);
    `of_left_out(values, set_of, members)` gives (G, K) of one group without one set of `set_of` (T,) at a time.
    `is_open` says whether what the first random groups leave of the classes asks for all of the plateau's.
    """
    documents = np.unique(np.concatenate([plan.document[each[0]] for each in plan.samples.values()]))
    part = rng.permutation(len(documents)) % min(MAX_SETS, max(1, len(documents)))
    names = [name for name in GROUPS if name in plan.members]
    found: dict[tuple[str, str], Found] = {}
    for token_class in CLASSES:
        if plan.reasons[token_class] or not names:
            continue
        parts: dict[str, list[Found]] = {name: [] for name in names}
        for rows in plan.samples[token_class]:
            values = plan.values[rows]
            statistic = of_groups(values)
            set_of = part[np.searchsorted(documents, plan.document[rows])]
            shared = {"any": statistic(plan.draws[names[0]]["any"][:FIRST_DRAWS])}
            for name in names:
                null = shared | {each: statistic(plan.draws[name][each][:FIRST_DRAWS]) for each in NULLS[1:]}
                if name == "plateau" and len(plan.windows) >= MIN_WINDOWS:
                    null[TREND] = statistic(plan.windows)
                value = statistic(plan.members[name][None])[0]
                parts[name].append(Found(value, of_left_out(values, set_of, plan.members[name]), null))
        found |= {(token_class, name): _mean(each) for name, each in parts.items()}
    if found and len(plan.draws["plateau"]["any"]) > FIRST_DRAWS and is_open(found):
        found |= _with_all_groups(plan, of_groups, found)
    for name in names:
        if all((token_class, name) in found for token_class in CLASSES):
            found[CONTRAST, name] = found["rare", name] - found["common", name]
    return found


def _with_all_groups(
    plan: Design, of_groups: Callable[[Floats], Callable[[Index], Array]], found: Mapping[tuple[str, str], Found]
) -> dict[tuple[str, str], Found]:
    """What `found` holds of the plateau, with all random groups."""
    more = {name: groups[FIRST_DRAWS:] for name, groups in plan.draws["plateau"].items()}
    whole = {}
    for token_class in (each for each in CLASSES if (each, "plateau") in found):
        one = found[token_class, "plateau"]
        parts = []
        for rows in plan.samples[token_class]:
            statistic = of_groups(plan.values[rows])
            parts.append({name: statistic(groups) for name, groups in more.items()})
        nulls = {
            name: np.concatenate([one.nulls[name], np.mean([part[name] for part in parts], axis=0)]) for name in more
        }
        whole[token_class, "plateau"] = replace(one, nulls={**one.nulls, **nulls})
    return whole


def _mean(parts: list[Found]) -> Found:
    """Mean over draws of positions."""
    nulls = {name: np.mean([each.nulls[name] for each in parts], axis=0) for name in parts[0].nulls}
    value, left_out = (np.mean([getattr(each, name) for each in parts], axis=0) for name in ("value", "left_out"))
    return Found(np.asarray(value), np.asarray(left_out), nulls)


def n_documents(plan: Design, token_class: str) -> int:
    """Documents that hold positions of the class, of both classes for the contrast."""
    classes = CLASSES if token_class == CONTRAST else (token_class,)
    return min(len(np.unique(plan.document[plan.samples[name][0]])) for name in classes)


def jackknife_reach(left_out: Array) -> Array:
    """Half-width (K,) of 95 % intervals from values (G, K) without one set of documents; NaN below 5 sets.

    Student's t with G - 1 degrees of freedom times sqrt((G - 1) / G * sum of squares about the mean).
    Source: Kott (2001), Journal of Official Statistics 17, 521.

    >>> jackknife_reach(np.array([[0.9], [1.1], [1.0], [1.0], [1.0]])).round(3)
    array([0.351])
    """
    reach: Array = special.stdtrit(max(len(left_out) - 1, 1), 0.975) * jackknife_error(left_out)
    return reach


def jackknife_error(left_out: Array) -> Array:
    """Standard error (K,) from values (G, K) without one set of documents; NaN below 5 sets. Source: Kott, as above."""
    n = len(left_out)
    if n < MIN_DOCUMENTS:
        return np.full(left_out.shape[1], np.nan)
    squares = ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    error: Array = np.sqrt((n - 1) / n * squares)
    return error
