"""The Hopkins statistic: are points nearer to each other than uniform points are to them?

H = sum u^D / (sum u^D + sum w^D): u, distances of n uniform points to the nearest data point; w, distances of n data
points to their nearest neighbour; D, the dimension. For uniform data H follows Beta(n, n). Source: Hopkins and Skellam
(1954), Ann. Bot. 18, 213; Wright (2022), The R Journal 14/3, 282, on the exponent.
"""

import numpy as np
from numpy.typing import NDArray

from queries.stats.point_sets import eigen

Array = NDArray[np.float64]

N_REPEATS = 200
MAX_DIMENSIONS = 5
MIN_SAMPLE = 5
# Distances that are held at once: what a processor's cache holds.
_BLOCK = 1 << 16


def dimensions(m: int) -> int:
    """Principal components that m points are projected to: one for every five points, at most 5.

    >>> dimensions(8), dimensions(40)
    (1, 5)
    """
    return max(1, min(MAX_DIMENSIONS, m // 5))


def sample_size(m: int) -> int:
    """Points in a sample: a tenth of the m points, at least 5.

    >>> sample_size(30), sample_size(120)
    (5, 12)
    """
    return max(MIN_SAMPLE, round(m / 10))


def whitened(grams: Array) -> Array:
    """Points (B, m, D) on their first principal components, each with mean 0 and variance 1 (nothing where none is)."""
    m = grams.shape[1]
    values, vectors = eigen(grams)
    kept = dimensions(m)
    present = values[:, :kept] > 1e-9 * np.maximum(values[:, :1], 1e-300)
    points: Array = np.sqrt(m) * vectors[:, :, :kept] * present[:, None]
    return points


def hopkins_draws(
    points: Array, rng: np.random.Generator, n_repeats: int = N_REPEATS, box: tuple[Array, Array] | None = None
) -> Array:
    """H (n_repeats,) of `points` (m, D), a new sample each time; `box` (low, high), else the range of the points.

    NaN where all points are the same.
    """
    m, dimension = points.shape
    n = min(sample_size(m), m)
    low, high = box if box is not None else (points.min(axis=0), points.max(axis=0))
    uniform = low + (high - low) * rng.random((n_repeats * n, dimension))
    u = _nearest_squared(uniform, points).reshape(n_repeats, n)
    among = _pairs(points, points)
    np.fill_diagonal(among, np.inf)
    chosen = np.argsort(rng.random((n_repeats, m)), axis=1)[:, :n]
    w = np.maximum(among.min(axis=1), 0.0) ** (dimension / 2)
    u, w = (u ** (dimension / 2)).sum(axis=1), w[chosen].sum(axis=1)
    total = u + w
    share: Array = u / np.where(total > 0, total, np.nan)
    return share


def hopkins(grams: Array, rng: np.random.Generator) -> Array:
    """Mean H (B,) over `N_REPEATS` samples of the points behind `grams` (B, m, m), on whitened principal components.

    >>> two_clusters = np.kron(np.eye(2), np.ones((20, 20))) + 0.01 * np.eye(40)
    >>> hopkins(two_clusters[None], np.random.default_rng(0)).shape
    (1,)
    """
    return np.array([hopkins_draws(points, rng).mean() for points in whitened(grams)])


def _pairs(a: Array, b: Array) -> Array:
    """Squared distances (n_a, n_b), as one product; may be a rounding error below zero."""
    left, right = (np.ones((len(points), points.shape[1] + 2)) for points in (a, b))
    left[:, :-2], left[:, -2] = -2.0 * a, np.einsum("ij,ij->i", a, a)
    right[:, :-2], right[:, -1] = b, np.einsum("ij,ij->i", b, b)
    squared: Array = left @ right.T
    return squared


def _nearest_squared(a: Array, b: Array) -> Array:
    """Squared distance (n_a,) of each point of a to the nearest of b."""
    step = max(1, _BLOCK // len(b))
    # the smallest of each column, not of each row: whole rows are compared at once
    nearest = [_pairs(b, a[start : start + step]).min(axis=0) for start in range(0, len(a), step)]
    found: Array = np.maximum(np.concatenate(nearest), 0.0)
    return found
