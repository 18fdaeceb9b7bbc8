"""k-means, silhouettes and the gap statistic of many small sets of points at once, from their Gram matrices.

Lloyd's algorithm needs only inner products: |x_i - c|^2 = G_ii - 2 mean_j G_ij + mean_jl G_jl over the members j, l of
the cluster of c. Sources: Arthur and Vassilvitskii (2007), k-means++; Rousseeuw (1987), J. Comput. Appl. Math. 20, 53
(silhouettes); Tibshirani, Walther and Hastie (2001), J. R. Statist. Soc. B 63, 411 (gap). Shapes: B sets of m points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.point_sets import eigen

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

N_RESTARTS = 3
MAX_ITERATIONS = 30
MAX_CLUSTERS = 10
# Sets that are held at once: their arrays then stay in the cache.
_BLOCK = 64


@dataclass(frozen=True)
class Clustering:
    """`inertia` (B, K) for k = 1..K: summed squared distances to the centres; `silhouette` (B, K-1) for k = 2..K."""

    inertia: Array
    silhouette: Array


def squared_distances(grams: Array) -> Array:
    """Squared distances (B, m, m) from Gram matrices; never below 0, and 0 on the diagonal."""
    length = np.einsum("bii->bi", grams)
    squared: Array = np.maximum(length[:, :, None] + length[:, None, :] - 2 * grams, 0.0)
    np.einsum("bii->bi", squared)[:] = 0.0
    return squared


def most_clusters(m: int) -> int:
    """The largest k that is tried for m points: at most 10, and at least two points a cluster.

    >>> most_clusters(7), most_clusters(50)
    (3, 10)
    """
    return min(MAX_CLUSTERS, m // 2)


def kmeans(grams: Array, k: int, seeds: Labels) -> tuple[Labels, Array]:
    """Labels (B, m) and inertia (B,) of the best of R restarts that begin with the first k of `seeds` (B, R, K)."""
    n_sets = len(grams)
    length, sets, first = np.einsum("bii->bi", grams), np.arange(n_sets)[:, None, None], seeds[:, :, :k]
    # squared distance to each seed, less G_ii, which is the same for all
    labels = (length[sets, first][..., None] - 2.0 * grams[sets, first]).argmin(axis=2)  # (B, R, m)
    inertia = np.empty(labels.shape[:2])
    moving = np.arange(n_sets)  # sets with a restart that still moves
    for iteration in range(MAX_ITERATIONS + 1):
        before = labels[moving]
        distance = _to_centres(grams[moving], before, k)  # (B, m, R, k): squared, less G_ii
        own = np.take_along_axis(distance, before.transpose(0, 2, 1)[..., None], axis=3)[..., 0]  # (B, m, R)
        inertia[moving] = own.sum(axis=1)
        if iteration == MAX_ITERATIONS:
            break
        moved = distance.argmin(axis=3).transpose(0, 2, 1)
        changed = (moved != before).any(axis=(1, 2))
        moving = moving[changed]
        labels[moving] = moved[changed]
        if not len(moving):
            break
    inertia += length.sum(axis=1)[:, None]
    best = inertia.argmin(axis=1)
    return labels[np.arange(n_sets), best], np.maximum(inertia[np.arange(n_sets), best], 0.0)


def _to_centres(grams: Array, labels: Labels, k: int) -> Array:
    """Squared distances (B, m, R, k) to the centres, less the points' own squared lengths; inf for an empty cluster."""
    n_sets, n_restarts, m = labels.shape
    member = (labels.transpose(0, 2, 1)[..., None] == np.arange(k)).astype(grams.dtype)  # (B, m, R, k)
    size = member.sum(axis=1)  # (B, R, k)
    total = (grams @ member.reshape(n_sets, m, n_restarts * k)).reshape(member.shape)
    with np.errstate(divide="ignore"):
        share = 1.0 / size
    # an empty cluster has no centre: no point may move to it
    finite = np.where(size > 0, share, 0.0)
    within = (member * total).sum(axis=1) * finite**2
    within[size == 0] = np.inf
    distance: Array = total * (-2.0 * finite)[:, None]
    distance += within[:, None]
    return distance


def seed_points(squared: Array, k: int, rng: np.random.Generator, n_restarts: int = N_RESTARTS) -> Labels:
    """k-means++ seeds (B, R, k): each next one with probability by its squared distance to those before.

    The first j seeds are k-means++ seeds for j clusters, so one draw serves every k.
    """
    n_sets, m, _ = squared.shape
    sets = np.arange(n_sets)[:, None]
    seeds = np.empty((n_sets, n_restarts, k), dtype=np.int64)
    seeds[:, :, 0] = rng.integers(0, m, size=(n_sets, n_restarts))
    nearest = squared[sets, seeds[:, :, 0]]  # (B, R, m)
    for j in range(1, k):
        reach = np.cumsum(nearest, axis=2)
        at = rng.random((n_sets, n_restarts)) * reach[:, :, -1]
        seeds[:, :, j] = np.minimum((reach <= at[:, :, None]).sum(axis=2), m - 1)
        nearest = np.minimum(nearest, squared[sets, seeds[:, :, j]])
    return seeds


def silhouettes(distance: Array, labels: Labels, k: int) -> Array:
    """Mean silhouette (B,) of labels (B, m) below k under `distance` (B, m, m); a point alone in a cluster has 0."""
    member = (labels[:, :, None] == np.arange(k)).astype(distance.dtype)  # (B, m, k)
    size = member.sum(axis=1)  # (B, k)
    total = distance @ member  # (B, m, k)
    own_size = np.take_along_axis(size, labels, axis=1)  # (B, m)
    own = np.take_along_axis(total, labels[:, :, None], axis=2)[:, :, 0] / np.maximum(own_size - 1, 1)
    mean = np.where((member > 0) | (size[:, None] == 0), np.inf, total / np.maximum(size, 1)[:, None])
    other = mean.min(axis=2)
    larger = np.maximum(own, other)
    # one cluster only, or points that coincide: no silhouette to speak of
    defined = (own_size > 1) & np.isfinite(larger) & (larger > 0)
    value = np.where(defined, (np.where(defined, other, 0.0) - own) / np.where(defined, larger, 1.0), 0.0)
    mean_value: Array = value.mean(axis=1)
    return mean_value


def cluster(grams: Array, rng: np.random.Generator) -> Clustering:
    """k-means of every set for k = 1 to `most_clusters(m)`."""
    parts = [_cluster(grams[start : start + _BLOCK], rng) for start in range(0, len(grams), _BLOCK)]
    return Clustering(
        np.concatenate([part.inertia for part in parts]), np.concatenate([part.silhouette for part in parts])
    )


def _cluster(grams: Array, rng: np.random.Generator) -> Clustering:
    n_sets, m, _ = grams.shape
    last = most_clusters(m)
    squared = squared_distances(grams)
    distance = np.sqrt(squared)
    seeds = seed_points(squared, last, rng)
    inertia, silhouette = np.empty((n_sets, last)), np.empty((n_sets, last - 1))
    inertia[:, 0] = squared.sum(axis=(1, 2)) / (2 * m)
    for k in range(2, last + 1):
        labels, inertia[:, k - 1] = kmeans(grams, k, seeds)
        silhouette[:, k - 2] = silhouettes(distance, labels, k)
    return Clustering(inertia, silhouette)


def uniform_reference(one: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Gram matrices (n_draws, m, m) of points that are uniform over the range of each principal axis of `one`."""
    values, vectors = (part[0] for part in eigen(one[None]))
    points = vectors * np.sqrt(values)  # (m, m): principal coordinates
    low, high = points.min(axis=0), points.max(axis=0)
    drawn = low + (high - low) * rng.random((n_draws, *points.shape))
    product: Array = drawn @ drawn.transpose(0, 2, 1)
    return product


def log_inertia(inertia: Array) -> Array:
    """Natural log of W_k (B, K); what is zero up to rounding is held at 1e-12 of W_1."""
    logs: Array = np.log(np.maximum(inertia, np.maximum(1e-12 * inertia[:, :1], 1e-300)))
    return logs


def gap_clusters(gap: Array, deviation: Array) -> NDArray[np.int64]:
    """Number of clusters (B,): the smallest k with Gap(k) >= Gap(k + 1) - s(k + 1), from `gap` (B, K) and s (K,).

    Where no k fulfils it, K. 1 means: no clusters.

    >>> gap_clusters(np.array([[0.1, 0.5, 0.4], [0.3, 0.2, 0.1]]), np.zeros(3))
    array([2, 1])
    """
    stops = np.concatenate([gap[:, :-1] >= gap[:, 1:] - deviation[1:], np.ones((len(gap), 1), dtype=bool)], axis=1)
    found: NDArray[np.int64] = stops.argmax(axis=1).astype(np.int64) + 1
    return found
