"""Ward linkage of neurons by 1 - |r|: how well the tree keeps the distances, and the cut with the best silhouette.

Source: Ward (1963), J. Am. Stat. Assoc. 58, 236; cophenetic correlation: Sokal and Rohlf (1962), Taxon 11, 33.
Ward's criterion is meant for Euclidean distances; 1 - |r| is used because the literature on these neurons does.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from queries.stats.kmeans import most_clusters, silhouettes

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def ward(grams: Array) -> tuple[Array, Array]:
    """Cophenetic correlation (B,) and silhouettes (B, K-1) of the cuts into k = 2..K clusters, of each set.

    >>> ward(np.kron(np.eye(2), np.ones((3, 3)))[None])[0].round(6)
    array([1.])
    """
    n_sets, m, _ = grams.shape
    last = most_clusters(m)
    distance = 1.0 - np.minimum(np.abs(grams), 1.0)
    np.einsum("bii->bi", distance)[:] = 0.0
    upper = np.triu_indices(m, 1)
    pairs = distance[:, upper[0], upper[1]]  # (B, m (m - 1) / 2)
    merges = np.array([hierarchy.linkage(each, "ward") for each in pairs]).reshape(n_sets, m - 1, 4)
    labels, place, heights = read_trees(merges, last)
    found = np.stack([silhouettes(distance, labels[k - 2], k) for k in range(2, last + 1)], axis=1)
    return _row_correlation(pairs, cophenetic(place, heights)[:, upper[0], upper[1]]), found


def read_trees(merges: Array, last: int) -> tuple[Labels, Labels, Array]:
    """Cuts, places and heights of linkages `merges` (B, m-1, 4).

    Labels (last-1, B, m), from 0, of the cuts into 2..`last` clusters; the place (B, m) of every point among the leaves
    from left to right, and the heights (B, m-1) at which each leaf joins the next. A cluster is a stretch of leaves, so
    from the top down every merge says only where its second cluster starts.
    """
    n_sets, m = len(merges), merges.shape[1] + 1
    sets, children = np.arange(n_sets), merges[:, :, :2].astype(np.int64)
    size = np.ones((n_sets, 2 * m - 1), dtype=np.int64)
    size[:, m:] = merges[:, :, 3]
    start, is_start = np.zeros((n_sets, 2 * m - 1), dtype=np.int64), np.zeros((n_sets, m), dtype=np.int64)
    heights, along = np.empty((n_sets, m - 1)), []
    for step in range(m - 2, -1, -1):
        first, second = children[:, step].T
        place = start[:, m + step]
        start[sets, first] = place
        place = place + size[sets, first]
        start[sets, second] = place
        heights[sets, place - 1] = merges[:, step, 2]
        is_start[sets, place] = 1
        if m - step <= last:
            along.append(np.cumsum(is_start, axis=1))
    places = start[:, :m]
    return np.stack([np.take_along_axis(labels, places, axis=1) for labels in along]), places, heights


def cophenetic(place: Labels, heights: Array) -> Array:
    """Distances (B, m, m) in trees, from `place` (B, m) and `heights` (B, m-1): the highest join between two leaves.

    `scipy.cluster.hierarchy.cophenet` takes one tree, and most of its time to check it.
    """
    n_sets, m = place.shape
    along = np.zeros((n_sets, m, m))
    for i in range(m - 1):
        along[:, i, i + 1 :] = along[:, i + 1 :, i] = np.maximum.accumulate(heights[:, i:], axis=1)
    found: Array = along[np.arange(n_sets)[:, None, None], place[:, :, None], place[:, None, :]]
    return found


def _row_correlation(a: Array, b: Array) -> Array:
    """Pearson correlation (B,) of the rows of two matrices; NaN for a row that does not vary."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation: Array = (a * b).sum(axis=1) / np.where(scale > 1e-12, scale, np.nan)
    return correlation
