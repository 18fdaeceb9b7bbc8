"""How neurons correlate within a group and with all others: means and shares over pairs, for many groups at once.

Every measure but the median is a mean of some f(r_ij) over pairs. Over the pairs of a group and the rest it is the
group's row totals less the pairs within, so a random group costs no more than its own m x m block, and as much for each
of the groups (targets) that it is paired with.
Shapes: T positions, N neurons, B groups of m, K = 27 measures, P pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from queries.stats.dimension import unit_columns
from queries.stats.left_out import without_sets
from queries.stats.nulls import circular_shifts

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

STRONG, NEGATIVE, ANGLES = 0.5, -0.1, (80.0, 100.0)
_RIGHT_ANGLE = float(np.cos(np.radians(ANGLES[0])))
# Measures of pairs; the last is of the cosine of raw activation profiles, the others of Pearson's r
PAIRS: Mapping[str, Callable[[Floats], NDArray[np.generic]]] = {
    "mean_r": lambda r: r,
    "share_positive": lambda r: r > 0,
    "share_strong": lambda r: np.abs(r) > STRONG,
    "share_negative": lambda r: r < NEGATIVE,
    "mean_abs_r": np.abs,
    "share_orthogonal": lambda cosine: np.abs(cosine) <= _RIGHT_ANGLE,
}
WITHIN = (*PAIRS, "median_r")
BETWEEN = tuple(PAIRS)
# Measures whose value turns with the sign of a neuron
SIGNED = ("mean_r", "median_r", "share_positive", "share_negative")
# Groups that a group is paired with, neuron by neuron
TARGETS = ("power_law", "decay")
# What a statistic holds, in order: pairs within the group, of the group and all other neurons, of it and each target
MEASURES = (
    *(("within", name) for name in WITHIN),
    *(("rest", name) for name in BETWEEN),
    *((target, name) for target in TARGETS for name in WITHIN),
)
# Pairs that are held at once: what a processor's cache holds
_BLOCK = 1 << 16


def group_coactivation(values: Floats, targets: Mapping[str, Index]) -> Callable[[Index], Array]:
    """A function that gives the measures (B, K) of groups (B, m) of the neurons in `values` (T, N).

    `targets` (m,) are the neurons of other groups by name; a target that is not there has NaN.
    """
    unit, level = unit_columns(values)
    r = unit.T @ unit
    cosine = _cosine(r, level, level)
    # sums over all other neurons, (N,) each; the neuron itself is taken out
    rows = {name: _row_sums(cosine if name == "share_orthogonal" else r, f) for name, f in PAIRS.items()}

    def of_groups(groups: Index) -> Array:
        step = max(1, _BLOCK // groups.shape[1] ** 2)
        blocks = (groups[i : i + step] for i in range(0, len(groups), step))
        return np.concatenate(
            [
                np.hstack(
                    [
                        _measure(r, cosine, rows, block),
                        *(_with_target(near, angle, block, each) for near, angle, each in paired),
                    ]
                )
                for block in blocks
            ]
        )

    known = [targets.get(name, np.empty(0, dtype=np.int64)) for name in TARGETS]
    paired = [(r[:, each], cosine[:, each], each) for each in known]
    return of_groups


def _cosine(r: Floats, a: Array, b: Array) -> NDArray[np.float32]:
    """Cosines (n_a, n_b) of columns with the levels `a` and `b`, from their `r`, see `unit_columns`."""
    one, other, of_one, of_other = (each.astype(np.float32) for each in (np.sqrt(1 - a**2), np.sqrt(1 - b**2), a, b))
    cosine: NDArray[np.float32] = r * one[:, None] * other + of_one[:, None] * of_other
    return cosine


def _row_sums(matrix: Floats, of_pair: Callable[[Floats], NDArray[np.generic]]) -> Array:
    """Sum over the other neurons of f of each row of `matrix` (N, N): (N,)."""
    sums: Array = of_pair(matrix).sum(axis=1, dtype=np.float64) - of_pair(np.diagonal(matrix)).astype(np.float64)
    return sums


def _measure(r: Floats, cosine: Floats, rows: Mapping[str, Array], groups: Index) -> Array:
    """The measures (B, 13) of `groups` (B, m)."""
    m, n = groups.shape[1], len(r)
    i, j = np.triu_indices(m, 1)
    pairs, angles = r[groups[:, i], groups[:, j]], cosine[groups[:, i], groups[:, j]]  # (B, m (m - 1) / 2)
    sums = {name: _sum(f(angles if name == "share_orthogonal" else pairs)) for name, f in PAIRS.items()}
    within = [total / len(i) for total in sums.values()]
    n_rest = m * (n - m)
    rest = [(rows[name][groups].sum(axis=1) - 2.0 * sums[name]) / (n_rest or np.nan) for name in PAIRS]
    return np.stack([*within, _median(pairs, np.full(len(pairs), len(i))), *rest], axis=1)


def _with_target(r: Floats, cosine: Floats, groups: Index, target: Index) -> Array:
    """The measures (B, 7) of all pairs of a neuron of `groups` (B, m) and another of the `target` (t,).

    `r` and `cosine` (N, t) are those of all neurons with the target's.
    """
    n = len(groups)
    is_pair = groups[:, :, None] != target
    return _of_pairs(r[groups].reshape(n, -1), cosine[groups].reshape(n, -1), is_pair.reshape(n, -1))


def _of_pairs(r: Floats, cosine: Floats, is_pair: NDArray[np.bool_]) -> Array:
    """The measures (B, 7) of `r` and `cosine` (B, P), of those that are pairs (B, P); NaN without any."""
    if is_pair.all():
        return _with_median(r, cosine)
    n = is_pair.sum(axis=1)
    if not n.all():
        return np.full((len(n), len(WITHIN)), np.nan)
    # what is no pair has no part in any sum, and is sorted to the end
    means = _means(np.where(is_pair, r, 0), np.where(is_pair, cosine, np.inf)) * (is_pair.shape[1] / n)[:, None]
    return np.column_stack([means, _median(np.where(is_pair, r, np.inf), n)])


def _median(values: Floats, n: Index) -> Array:
    """Median (B,) of the `n` (B,) smallest of each row of `values` (B, P); sorting is faster than `np.median`."""
    ordered, row = np.sort(values, axis=1), np.arange(len(n))
    median: Array = 0.5 * (ordered[row, (n - 1) // 2].astype(np.float64) + ordered[row, n // 2])
    return median


def left_out_coactivation(values: Floats, set_of: Index, members: Index, targets: Mapping[str, Index]) -> Array:
    """The measures (G, K) of `members` (m,) at `values` (T, N) without one set of `set_of` (T,) at a time."""
    i, j = np.triu_indices(len(members), 1)
    rest = np.setdiff1d(np.arange(values.shape[1]), members)
    pairs = [(i, members[j])]
    for target in (targets.get(name, rest[:0]) for name in TARGETS):
        i, j = (members[:, None] != target[None, :]).nonzero()
        pairs.append((i, target[j]))
    found = []
    for r, cosine in without_sets(values, set_of, members):
        within, *paired = (_with_median(r[:, i, j], cosine[:, i, j]) for i, j in pairs)
        outside = _means(*(each[:, :, rest].reshape(len(r), -1) for each in (r, cosine)))
        found.append(np.hstack([within, outside, *paired]))
    return np.concatenate(found)


def _with_median(r: Floats, cosine: Floats) -> Array:
    """The measures (B, 7) of pairs with `r` and `cosine` (B, P); NaN without any."""
    if not r.shape[1]:
        return np.full((len(r), len(WITHIN)), np.nan)
    return np.column_stack([_means(r, cosine), _median(r, np.full(len(r), r.shape[1]))])


def _means(r: Floats, cosine: Floats) -> Array:
    """The measures (B, 6) of pairs that are means."""
    if not r.shape[1]:
        return np.full((len(r), len(PAIRS)), np.nan)
    sums = [_sum(f(cosine if name == "share_orthogonal" else r)) for name, f in PAIRS.items()]
    means: Array = np.stack(sums, axis=1) / r.shape[1]
    return means


def _sum(values: NDArray[np.generic]) -> Array:
    """Sum (B,) of each row of `values` (B, P)."""
    if values.dtype == np.bool_:  # counted in 32 bits, which is twice as fast
        return np.asarray(values.sum(axis=1, dtype=np.uint32), np.float64)
    return np.asarray(values.sum(axis=1, dtype=np.float64))


@dataclass(frozen=True)
class _Around:
    """Neurons that a group of m is paired with: `unit` (T, n) and `level` (n,), see `unit_columns`.

    Where in n the `rest` is, all others, and each of the `targets`, with who is not the neuron itself (m, t).
    """

    unit: NDArray[np.float32]
    level: Array
    rest: slice
    targets: list[tuple[slice, NDArray[np.bool_]]]


def _around(values: Floats, members: Index, targets: Mapping[str, Index]) -> _Around:
    known = [targets.get(name, np.empty(0, dtype=np.int64)) for name in TARGETS]
    parts = [np.setdiff1d(np.arange(values.shape[1]), members), *known]
    ends = np.cumsum([0, *map(len, parts)])
    rest, *of_targets = (slice(*each) for each in pairwise(ends.tolist()))
    is_pair = [members[:, None] != each[None, :] for each in known]
    return _Around(*unit_columns(values[:, np.concatenate(parts)]), rest, list(zip(of_targets, is_pair, strict=True)))


def shift_null(
    values: Floats, document: Index, samples: Sequence[Index], members: Index, targets: Mapping[str, Index],
    n_draws: int, rng: np.random.Generator,
) -> Array:  # fmt: skip
    """The measures (n_draws, K) with the group turned in circles within documents, the rest as it is: its noise floor.

    `values` (T, N) are all positions of a class, `samples` the draws of them that the statistic is averaged over. All
    positions are turned once for each null draw, and the same turned copy is sampled as the data is: samples that
    share positions are averaged over turned neurons that share them too, so the null is as wide as the value.
    A neuron keeps its values and its mean in every document, so what documents do to all neurons stays.
    """
    seed = int(rng.integers(2**63))
    found = []
    for rows in samples:
        outside = _around(values[rows], members, targets)
        # the seed gives every sample the same turned copies, which are not held all at once
        turned = circular_shifts(values[:, members], document, n_draws, np.random.default_rng(seed), rows)
        found.append([_of_turned(each, outside) for each in turned])
    return np.asarray(np.mean(found, axis=0))


def _of_turned(values: Floats, outside: _Around) -> Array:
    """The measures (K,) of a group (T, m) and what is around it."""
    unit, level = unit_columns(values)
    i, j = np.triu_indices(unit.shape[1], 1)
    own, r = unit.T @ unit, unit.T @ outside.unit
    within, cosine = _cosine(own, level, level), _cosine(r, level, outside.level)
    rest = _means(r[:, outside.rest].reshape(1, -1), cosine[:, outside.rest].reshape(1, -1))
    paired = [
        _of_pairs(r[:, place].reshape(1, -1), cosine[:, place].reshape(1, -1), is_pair.reshape(1, -1))
        for place, is_pair in outside.targets
    ]
    found: Array = np.hstack([_with_median(own[None, i, j], within[None, i, j]), rest, *paired])[0]
    return found


def noise_floor(n_positions: int) -> dict[str, float]:
    """What independent Gaussian neurons give at `n_positions`: the expectation of each measure of r.

    (r + 1) / 2 has the law Beta(a, a), a = (T - 2) / 2, and E|r| = Gamma((T - 1)/2) / (sqrt(pi) Gamma(T/2)), which is
    close to sqrt(2 / (pi T)). Source: Fisher (1915), Biometrika 10, 507.

    >>> floor = noise_floor(100)
    >>> round(floor["mean_abs_r"], 3), round(floor["share_negative"], 3)
    (0.08, 0.161)
    """
    a = 0.5 * (n_positions - 2)
    size = np.exp(special.gammaln((n_positions - 1) / 2) - special.gammaln(n_positions / 2)) / np.sqrt(np.pi)
    return {
        "mean_r": 0.0, "median_r": 0.0, "share_positive": 0.5,
        "share_strong": 2 * float(stats.beta.sf((1 + STRONG) / 2, a, a)),
        "share_negative": float(stats.beta.cdf((1 + NEGATIVE) / 2, a, a)), "mean_abs_r": float(size),
    }  # fmt: skip
