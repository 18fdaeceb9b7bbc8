"""Partitions that maximise a quality function on dense matrices, many matrices at once: Louvain with restarts.

A quality function here is a symmetric matrix B (m, m), and Q = sum of B_ij over all pairs i, j in one community, i = j
included. Nodes move one at a time to the community that gains most, from single nodes; then whole communities merge
while that gains; then single nodes move again, until nothing gains: what Louvain's levels do, with a refinement of the
single nodes at the end. Source: Blondel et al. (2008), J. Stat. Mech. P10008; the refinement follows Rotta and Noack
(2011), ACM J. Exp. Algorithmics 16. Shapes: G matrices, R restarts, P = G R searches, m nodes, K communities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.int64]

# Bytes of the searches that run at once; more than a processor's cache holds would be slower, fewer cost overhead.
_BLOCK = 1 << 22
_MAX_ROUNDS = 50
# A move must gain this share of the sum of |B|: less is rounding of single precision.
_GAIN = 1e-7


@dataclass(frozen=True)
class Partitions:
    """The best of the restarts for each of G matrices.

    `labels` (G, m) from 0, `quality` (G,), `n_communities` (G,) of two or more nodes, `agreement` (G,) the mean
    adjusted Rand index between two restarts (NaN with one restart).
    """

    labels: Index
    quality: Array
    n_communities: Array
    agreement: Array


def quality(matrix: Array, labels: Index) -> Array:
    """Q (...,) of partitions `labels` (..., m) under `matrix` (..., m, m).

    >>> quality(np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([0, 0]))
    array(1.)
    """
    same = labels[..., :, None] == labels[..., None, :]
    total: Array = np.where(same, matrix, 0.0).sum(axis=(-2, -1))
    return np.asarray(total)


def at_once(m: int, n_restarts: int) -> int:
    """How many graphs are searched at once, at least one: what a block holds."""
    return max(1, _BLOCK // (4 * n_restarts * m * m))


def maximise(matrix: Array, rng: np.random.Generator, n_restarts: int = 20, n_kinds: int = 1) -> Partitions:
    """The best of `n_restarts` searches for each of G quality matrices (G, m, m).

    Every search visits the nodes in an order of its own. The same generator gives the same partitions. The matrices may
    be of several kinds, G / `n_kinds` of each one after another: they are searched at once, with the partitions that
    one kind after another gives.

    >>> blocks = np.kron(np.eye(2), np.ones((3, 3))) - 0.5
    >>> maximise(blocks[None], np.random.default_rng(0), 3).labels
    array([[0, 0, 0, 1, 1, 1]])
    """
    n_graphs, m, _ = matrix.shape
    step = at_once(m, n_restarts) if n_kinds == 1 else max(1, n_graphs)
    labels = np.zeros((n_graphs, n_restarts, m), dtype=np.int64)
    for start in range(0, n_graphs, step):
        block = slice(start, start + step)
        labels[block] = _restarts(matrix[block], rng, n_restarts, n_kinds)
    found = np.stack([quality(matrix, labels[:, r]) for r in range(n_restarts)], axis=1)  # (G, R)
    best = found.argmax(axis=1)
    rows = np.arange(n_graphs)
    chosen = _in_order_of_nodes(labels[rows, best])
    sizes = (chosen[:, :, None] == np.arange(m)).sum(axis=1)  # (G, m)
    return Partitions(chosen, found[rows, best], (sizes > 1).sum(axis=1).astype(np.float64), agreement(labels))


def adjusted_rand(first: Index, second: Index) -> Array:
    """Adjusted Rand index (...,) of partitions (..., m) and (..., m): 1 equal, 0 as by chance.

    Source: Hubert and Arabie (1985), Journal of Classification 2, equation 5; two equal trivial partitions give 1.

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    array(1.)
    """
    m = first.shape[-1]
    upper = np.triu_indices(m, 1)
    a = (first[..., :, None] == first[..., None, :])[..., upper[0], upper[1]]
    b = (second[..., :, None] == second[..., None, :])[..., upper[0], upper[1]]
    both, in_a, in_b = (each.sum(axis=-1).astype(np.float64) for each in (a & b, a, b))
    return _adjust(both, in_a, in_b, m * (m - 1) / 2)


def agreement(labels: Index) -> Array:
    """Mean adjusted Rand index (G,) over the pairs of R partitions `labels` (G, R, m); NaN where R < 2."""
    n_graphs, n_restarts, m = labels.shape
    if n_restarts < 2:
        return np.full(n_graphs, np.nan)
    upper = np.triu_indices(m, 1)
    pairs = np.triu_indices(n_restarts, 1)
    means = np.zeros(n_graphs)
    step = at_once(m, n_restarts)
    for start in range(0, n_graphs, step):
        part = labels[start : start + step]
        same = (part[..., upper[0]] == part[..., upper[1]]).astype(np.float32)  # (G, R, pairs of nodes)
        both = (same @ same.transpose(0, 2, 1)).astype(np.float64)
        alone = np.diagonal(both, axis1=1, axis2=2)
        index = _adjust(both[:, *pairs], alone[:, pairs[0]], alone[:, pairs[1]], m * (m - 1) / 2)
        means[start : start + step] = index.mean(axis=1)
    return means


def _adjust(both: Array, in_a: Array, in_b: Array, total: float) -> Array:
    """Adjusted Rand index from numbers of node pairs that are together in both, in one, in the other."""
    by_chance = in_a * in_b / max(total, 1.0)
    span = 0.5 * (in_a + in_b) - by_chance
    index: Array = np.where(span > 1e-9, (both - by_chance) / np.where(span > 1e-9, span, 1.0), 1.0)
    return np.asarray(index)


def _in_order_of_nodes(labels: Index) -> Index:
    """Labels (G, m) renamed 0, 1, ... in the order in which they appear along the nodes."""
    first = (labels[:, :, None] == labels[:, None, :]).argmax(axis=2)  # the first node of each node's community
    new = first == np.arange(labels.shape[1])
    rank = np.cumsum(new, axis=1) - 1
    return np.asarray(np.take_along_axis(rank, first, axis=1))


def _restarts(matrix: Array, rng: np.random.Generator, n_restarts: int, n_kinds: int) -> Index:
    """Labels (G, R, m) of every restart."""
    n_graphs, m, _ = matrix.shape
    n_searches = n_graphs * n_restarts
    order = np.argsort(rng.random((n_searches, m)), axis=1)
    scale = np.abs(matrix).sum(axis=(1, 2), keepdims=True)
    single = (matrix / np.where(scale > 0, scale, 1.0)).astype(np.float32)
    single[:, np.arange(m), np.arange(m)] = 0.0  # a node is always with itself
    graph = np.repeat(np.arange(n_graphs), n_restarts)
    row = (graph * m)[:, None] + order
    shuffled = single.reshape(-1).take(row[:, :, None] * m + order[:, None, :])  # (P, m, m)
    found = _search(shuffled, graph * n_kinds // n_graphs)
    labels = np.empty_like(found)
    np.put_along_axis(labels, order, found, axis=1)
    return labels.reshape(n_graphs, n_restarts, m)


def _search(matrix: Single, kind: Index) -> Index:
    """Labels (P, m) at which neither a node's move nor a merger gains; `kind` (P,) of each search."""
    n_searches, m, _ = matrix.shape
    labels = np.tile(np.arange(m), (n_searches, 1))
    # one round leaves few communities: those to come look at these, not at one for each node
    _move_nodes(matrix, labels, kind, n_rounds=1)
    labels = _compact(labels)
    active = np.arange(n_searches)
    for _ in range(_MAX_ROUNDS):
        part, moved = matrix[active], labels[active]
        _move_nodes(part, moved, kind[active])
        moved, has_merged = _merge(part, moved)
        labels[active] = moved
        active = active[has_merged]
        if not len(active):
            break
    return labels


def _compact(labels: Index) -> Index:
    """Labels (P, m) renamed so that those in use are 0 to K - 1 in each row."""
    used = np.zeros(labels.shape, dtype=np.int64)
    np.put_along_axis(used, labels, 1, axis=1)
    return np.asarray(np.take_along_axis(np.cumsum(used, axis=1) - 1, labels, axis=1))


def _links(matrix: Single, labels: Index, n_labels: int) -> Single:
    """Sum of B (P, K, m) between each community and each node."""
    if n_labels == labels.shape[1] and (labels == np.arange(n_labels)).all():
        return matrix.copy()
    member = (labels[:, None, :] == np.arange(n_labels)[None, :, None]).astype(np.float32)  # (P, K, m)
    return np.asarray(member @ matrix)


def _move_nodes(matrix: Single, labels: Index, kind: Index, n_rounds: int = _MAX_ROUNDS) -> None:
    """Moves single nodes, in order, while that gains, at most `n_rounds`; changes `labels` (P, m) in place."""
    m = labels.shape[1]
    # one community more than a search of the same `kind` (P,) has: a node may leave for an empty one
    n_labels = np.zeros(kind.max(initial=0) + 1, dtype=np.int64)
    np.maximum.at(n_labels, kind, np.minimum(labels.max(axis=1) + 2, m))
    links = _links(matrix, labels, int(n_labels.max()))
    links[np.arange(links.shape[1]) >= n_labels[kind, None]] = -np.inf
    place = np.arange(len(labels))  # rows of `labels` that still change
    current = labels.copy()
    for _ in range(n_rounds):
        changed = np.zeros(len(current), dtype=bool)
        rows = np.arange(len(current))
        for node in range(m):
            gains = links[:, :, node]  # (P, K)
            best, own = gains.argmax(axis=1), current[:, node]
            better = (gains[rows, best] > gains[rows, own] + _GAIN).nonzero()[0]
            if len(better):
                row, to, back = matrix[better, node], best[better], own[better]
                links[better, to] += row
                links[better, back] -= row
                current[better, node] = to
                changed[better] = True
        labels[place] = current
        if not changed.any():
            break
        if changed.mean() < 0.7:
            place, current, links, matrix = place[changed], current[changed], links[changed], matrix[changed]


def _merge(matrix: Single, labels: Index) -> tuple[Index, NDArray[np.bool_]]:
    """Labels (P, m) after merging the pair of communities that gains most while one gains; which searches merged."""
    labels = _compact(labels)
    n_labels = int(labels.max(initial=0)) + 1
    member = (labels[:, :, None] == np.arange(n_labels)).astype(np.float32)  # (P, m, K)
    between = _links(matrix, labels, n_labels) @ member  # (P, K, K)
    between[:, np.arange(n_labels), np.arange(n_labels)] = 0.0
    has_merged = np.zeros(len(labels), dtype=bool)
    active = np.arange(len(labels))
    while len(active):
        flat = between[active].reshape(len(active), -1)
        pair = flat.argmax(axis=1)
        gains = flat[np.arange(len(active)), pair] > _GAIN
        active, pair = active[gains], pair[gains]
        into, gone = pair // n_labels, pair % n_labels
        between[active, into] += between[active, gone]
        between[active, :, into] += between[active, :, gone]
        between[active, into, into] = 0.0
        between[active, gone] = between[active, :, gone] = 0.0
        labels[active] = np.where(labels[active] == gone[:, None], into[:, None], labels[active])
        has_merged[active] = True
    return _compact(labels), has_merged
