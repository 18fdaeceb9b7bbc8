"""Do attention heads move a group of neurons more at rare than at common positions, and more so than other groups?

Shapes: H heads, D documents, N neurons, G groups of neurons; changes are sums over positions, in sd of the neuron.
Source: Gini (1912) as the mean difference over twice the mean; jackknife t as in `queries.stats.contrast`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import Array, replicate_blocks
from queries.stats.contrast import Studentised, studentise
from queries.stats.nulls import FEW

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """What ablating heads does to neurons at the positions of one class, D documents with `counts` (D,) positions.

    `by_head` (H, N): sums over documents. `by_document` (D, N): sums over heads. `of_group` (D, H): means over the
    neurons of the group that is asked about.
    """

    counts: Array
    by_head: Array
    by_document: Array
    of_group: Array


def membership(groups: Index, n_neurons: int) -> Array:
    """Groups (G, m) as columns (N, G) that take their mean.

    >>> membership(np.array([[0, 2]]), 3).ravel().tolist()
    [0.5, 0.0, 0.5]
    """
    matrix = np.zeros((n_neurons, len(groups)))
    matrix[groups.ravel(), np.repeat(np.arange(len(groups)), groups.shape[1])] = 1.0 / groups.shape[1]
    return matrix


def selectivity(rare: Changes, common: Changes) -> Array:
    """Mean change at rare minus that at common positions of each head and neuron, (H, N).

    Times `membership` (N, G) it is that of each group.
    """
    return np.asarray(rare.by_head / rare.counts.sum() - common.by_head / common.counts.sum())


def group_p(difference: Array, value: Array, first: Array, draw: Callable[[int], Index], n_more: int) -> Array:
    """One-sided p (H,) of the `value` (H,) that heads have for a group, against random groups; never 0.

    `first` (H, G) are their values for G random groups. A head that fewer than `FEW` of them reach is held against
    `n_more` groups in all, from `draw(size)`, (size, m): with many heads only a small p can have a small q.
    `difference` (H, N) is `selectivity`. Source: Besag and Clifford (1991), Biometrika 78, 301 (sequential p).
    """
    reached, n_first = (first >= value[:, None]).sum(axis=1), first.shape[1]
    p: Array = (1.0 + reached) / (n_first + 1.0)
    few = np.flatnonzero(reached < FEW)
    if len(few) and n_more > n_first:
        total = reached[few]
        for block in replicate_blocks(n_more - n_first, difference.shape[1]):
            groups = draw(block.stop - block.start)
            total += [int((difference[head][groups].mean(axis=1) >= value[head]).sum()) for head in few]
        p[few] = (1.0 + total) / (n_more + 1.0)
    return p


def log_ratios(rare: Changes, common: Changes, members: Array) -> tuple[Array, Array]:
    """Ln of the change at rare over that at common positions, by all heads together, of every group.

    Of all documents (G,), and without each of them in turn (D, G); NaN where a group does not move.
    """
    totals = [each.by_document @ members for each in (rare, common)]
    counts = [each.counts for each in (rare, common)]
    whole = _log_ratio([each.sum(0) for each in totals], [each.sum() for each in counts])
    left = [each.sum(0) - each for each in totals]
    without = _log_ratio(left, [(each.sum() - each)[:, None] for each in counts])
    return whole, without


def _log_ratio(totals: list[Array], counts: list[Array]) -> Array:
    rare, common = (total / np.where(count > 0, count, np.nan) for total, count in zip(totals, counts, strict=True))
    known = (rare > 0) & (common > 0)
    return np.where(known, np.log(np.where(known, rare, 1.0) / np.where(known, common, 1.0)), np.nan)


def excess(whole: Array, without: Array) -> Studentised:
    """By how much the first group's log ratio exceeds the mean of the other groups', with a jackknife t interval (1,).

    >>> found = excess(np.array([0.5, 0.1, 0.3]), np.array([[0.4, 0.1, 0.3], [0.6, 0.1, 0.3]]))
    >>> float(found.estimate[0].round(9))
    0.3
    """
    return studentise(whole[:1] - whole[1:].mean(keepdims=True), without[:, :1] - without[:, 1:].mean(1, keepdims=True))


def gini(values: Array) -> Array:
    """Gini coefficient (...) of non-negative `values` (..., H): 0 if all are equal, 1 - 1/H if one has everything.

    >>> gini(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 4.0]])).tolist()
    [0.0, 0.75]
    """
    ordered = np.sort(values, axis=-1)
    n = values.shape[-1]
    total = ordered.sum(axis=-1)
    weight = 2.0 * np.arange(1, n + 1) - n - 1.0
    return np.where(total > 0, (ordered * weight).sum(axis=-1) / (n * np.where(total > 0, total, 1.0)), np.nan)


def heads_of_half(values: Array) -> Array:
    """How many of the largest `values` (..., H) make half of their sum; between two whole numbers by interpolation.

    >>> heads_of_half(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 4.0]])).tolist()
    [2.0, 0.5]
    """
    ordered = -np.sort(-values, axis=-1)
    total = ordered.sum(axis=-1, keepdims=True)
    running = np.cumsum(ordered, axis=-1)
    whole = (running < 0.5 * total).sum(axis=-1, keepdims=True)
    whole = np.minimum(whole, values.shape[-1] - 1)
    last = np.take_along_axis(ordered, whole, axis=-1)
    before = np.take_along_axis(running, whole, axis=-1) - last
    part = np.where(total > 0, (0.5 * total - before) / np.where(last > 0, last, 1.0), np.nan)
    return np.asarray((whole + part)[..., 0])


def concentration(rare: Array, common: Array) -> dict[str, Studentised]:
    """Gini and the number of heads that carry half, of changes (D, H) of each class and their difference.

    By `gini/rare` and the like: rare, common, rare_minus_common. Jackknife t intervals, (1,) each.
    """
    found = {}
    for name, statistic in (("gini", gini), ("heads_of_half", heads_of_half)):
        parts = {}
        for token_class, sums in (("rare", rare), ("common", common)):
            total = sums.sum(axis=0)
            parts[token_class] = np.atleast_1d(statistic(total)), statistic(total - sums)[:, None]
        parts["rare_minus_common"] = tuple(  # type: ignore[assignment]
            one - other for one, other in zip(parts["rare"], parts["common"], strict=True)
        )
        for token_class, (whole, without) in parts.items():
            found[f"{name}/{token_class}"] = studentise(whole, without)
    return found
