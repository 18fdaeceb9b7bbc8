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
    labels = np.empty((last - 1, n_sets, m), dtype=np.int64)
    leaves, heights = np.empty((n_sets, m), dtype=np.int64), np.empty((n_sets, m - 1))
    for i, each in enumerate(pairs):
        labels[:, i], leaves[i], heights[i] = read_tree(hierarchy.linkage(each, "ward"), last)
    found = np.stack([silhouettes(distance, labels[k - 2], k) for k in range(2, last + 1)], axis=1)
    return _row_correlation(pairs, cophenetic(leaves, heights)[:, upper[0], upper[1]]), found


def read_tree(merges: Array, last: int) -> tuple[Labels, list[int], list[float]]:
    """Cuts, leaves and heights of a linkage (m-1, 4).

    Labels (last-1, m), from 0, of its cuts into 2..`last` clusters; its m leaves from left to right, and the m-1
    heights at which each of them joins the next.
    """
    m = len(merges) + 1
    leaves: dict[int, list[int]] = {i: [i] for i in range(m)}
    heights: dict[int, list[float]] = {i: [] for i in range(m)}
    labels = np.empty((last - 1, m), dtype=np.int64)
    for step, (a, b, height, _) in enumerate(merges.tolist()):
        k = m - step
        if 2 <= k <= last:
            for label, points in enumerate(leaves.values()):
                labels[k - 2, points] = label
        leaves[m + step] = leaves.pop(int(a)) + leaves.pop(int(b))
        heights[m + step] = [*heights.pop(int(a)), height, *heights.pop(int(b))]
    return labels, leaves[2 * m - 2], heights[2 * m - 2]


def cophenetic(leaves: Labels, heights: Array) -> Array:
    """Distances (B, m, m) in trees, from `leaves` (B, m) and `heights` (B, m-1): the highest join between two leaves.

    `scipy.cluster.hierarchy.cophenet` takes one tree, and most of its time to check it.
    """
    n_sets, m = leaves.shape
    along = np.zeros((n_sets, m, m))
    for i in range(m - 1):
        along[:, i, i + 1 :] = along[:, i + 1 :, i] = np.maximum.accumulate(heights[:, i:], axis=1)
    place = np.argsort(leaves, axis=1)
    found: Array = along[np.arange(n_sets)[:, None, None], place[:, :, None], place[:, None, :]]
    return found


def _row_correlation(a: Array, b: Array) -> Array:
    """Pearson correlation (B,) of the rows of two matrices; NaN for a row that does not vary."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation: Array = (a * b).sum(axis=1) / np.where(scale > 1e-12, scale, np.nan)
    return correlation
