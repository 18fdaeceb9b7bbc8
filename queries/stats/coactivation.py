"""How neurons correlate within a group and with all others: means and shares over pairs, for many groups at once.

Every measure but the median is a mean of some f(r_ij) over pairs. Over the pairs of a group and the rest it is the
group's row totals less the pairs within, so a random group costs no more than its own m x m block, and as much for each
of the groups (targets) that it is paired with.
Shapes: T positions, N neurons, B groups of m, K = 27 measures, P pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from queries.stats.dimension import correlation, unit_columns
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
_BLOCK = 1 << 21


def group_coactivation(values: Floats, targets: Mapping[str, Index]) -> Callable[[Index], Array]:
    """A function that gives the measures (B, K) of groups (B, m) of the neurons in `values` (T, N).

    `targets` (m,) are the neurons of other groups by name; a target that is not there has NaN.
    """
    r, cosine = correlation(values), _gram(unit_columns(values, is_centred=False))
    # sums over all other neurons, (N,) each; the neuron itself is taken out
    rows = {name: _row_sums(cosine if name == "share_orthogonal" else r, f) for name, f in PAIRS.items()}

    def of_groups(groups: Index) -> Array:
        step = max(1, _BLOCK // groups.shape[1] ** 2)
        blocks = (groups[i : i + step] for i in range(0, len(groups), step))
        return np.concatenate(
            [
                np.hstack(
                    [_measure(r, cosine, rows, block), *(_with_target(r, cosine, block, each) for each in paired)]
                )
                for block in blocks
            ]
        )

    paired = [targets.get(name, np.empty(0, dtype=np.int64)) for name in TARGETS]
    return of_groups


def _gram(unit: Floats) -> NDArray[np.float32]:
    product: NDArray[np.float32] = (unit.T @ unit).astype(np.float32)
    return product


def _row_sums(matrix: Floats, of_pair: Callable[[Floats], NDArray[np.generic]]) -> Array:
    """Sum over the other neurons of f of each row of `matrix` (N, N): (N,)."""
    sums: Array = of_pair(matrix).sum(axis=1, dtype=np.float64) - of_pair(np.diagonal(matrix)).astype(np.float64)
    return sums


def _measure(r: Floats, cosine: Floats, rows: Mapping[str, Array], groups: Index) -> Array:
    """The measures (B, 13) of `groups` (B, m)."""
    m, n = groups.shape[1], len(r)
    i, j = np.triu_indices(m, 1)
    pairs, angles = r[groups[:, i], groups[:, j]], cosine[groups[:, i], groups[:, j]]  # (B, m (m - 1) / 2)
    sums = {
        name: f(angles if name == "share_orthogonal" else pairs).sum(axis=1, dtype=np.float64)
        for name, f in PAIRS.items()
    }
    within = [total / len(i) for total in sums.values()]
    n_rest = m * (n - m)
    rest = [(rows[name][groups].sum(axis=1) - 2.0 * sums[name]) / (n_rest or np.nan) for name in PAIRS]
    return np.stack([*within, np.median(pairs, axis=1), *rest], axis=1)


def _with_target(r: Floats, cosine: Floats, groups: Index, target: Index) -> Array:
    """The measures (B, 7) of all pairs of a neuron of `groups` (B, m) and another of the `target` (t,)."""
    inside, other, n = groups[:, :, None], target[None, None, :], len(groups)
    is_pair = inside != other
    return _of_pairs(r[inside, other].reshape(n, -1), cosine[inside, other].reshape(n, -1), is_pair.reshape(n, -1))


def _of_pairs(r: Floats, cosine: Floats, is_pair: NDArray[np.bool_]) -> Array:
    """The measures (B, 7) of `r` and `cosine` (B, P), of those that are pairs (B, P); NaN without any."""
    n = is_pair.sum(axis=1)
    sums = [
        np.where(is_pair, f(cosine if name == "share_orthogonal" else r), 0).sum(axis=1, dtype=np.float64)
        for name, f in PAIRS.items()
    ]
    if not n.all():
        return np.full((len(n), len(WITHIN)), np.nan)
    # what is no pair is sorted to the end
    ordered, row = np.sort(np.where(is_pair, r, np.inf), axis=1), np.arange(len(n))
    median = (ordered[row, (n - 1) // 2] + ordered[row, n // 2]) / 2
    return np.stack([*(total / n for total in sums), median], axis=1)


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


def _with_median(r: Array, cosine: Array) -> Array:
    """The measures (B, 7) of pairs with `r` and `cosine` (B, P); NaN without any."""
    median = np.median(r, axis=1) if r.shape[1] else np.full(len(r), np.nan)
    return np.column_stack([_means(r, cosine), median])


def _means(r: Array, cosine: Array) -> Array:
    """The measures (B, 6) of pairs that are means."""
    if not r.shape[1]:
        return np.full((len(r), len(PAIRS)), np.nan)
    of_pair = {name: f(cosine if name == "share_orthogonal" else r) for name, f in PAIRS.items()}
    return np.stack([each.mean(axis=1, dtype=np.float64) for each in of_pair.values()], axis=1)


_Units = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class _Around:
    """What a group is paired with: the units of all other neurons and of each target, and who is not itself (m, t)."""

    rest: _Units
    targets: list[tuple[_Units, NDArray[np.bool_]]]


def _around(values: Floats, members: Index, targets: Mapping[str, Index]) -> _Around:
    known = [targets.get(name, np.empty(0, dtype=np.int64)) for name in TARGETS]
    paired = [(_units(values[:, each]), members[:, None] != each[None, :]) for each in known]
    return _Around(_units(np.delete(values, members, axis=1)), paired)


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
        found.append([_of_units(_units(each), outside) for each in turned])
    return np.asarray(np.mean(found, axis=0))


def _units(values: Floats) -> _Units:
    """Columns of unit length, centred and as they are."""
    return unit_columns(values), unit_columns(values, is_centred=False)


def _of_units(inside: _Units, outside: _Around) -> Array:
    """The measures (K,) of a group (T, m) and what is around it."""
    i, j = np.triu_indices(inside[0].shape[1], 1)
    within, rest = (
        [_gram(each)[i, j] for each in inside],
        [a.T @ b for a, b in zip(inside, outside.rest, strict=True)],
    )
    means = [
        f(pairs[name == "share_orthogonal"]).mean(dtype=np.float64) if pairs[0].size else np.nan
        for pairs in (within, rest)
        for name, f in PAIRS.items()
    ]
    paired = []
    for units, is_pair in outside.targets:
        r, cosine = (a.T @ b for a, b in zip(inside, units, strict=True))
        paired.append(_of_pairs(r.reshape(1, -1), cosine.reshape(1, -1), is_pair.reshape(1, -1))[0])
    return np.concatenate([means[: len(PAIRS)], [np.median(within[0])], means[len(PAIRS) :], *paired])


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
