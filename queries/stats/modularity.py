"""What makes a partition of correlated neurons modular: quality functions for signed and for correlation matrices.

Both give a matrix B (m, m) such that the quality of a partition is the sum of B_ij over the pairs in one community
(`queries.stats.louvain`). Modularity for graphs with positive weights is wrong for correlations in two ways: it has no
place for negative weights, and on |r| it finds communities in pure noise.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def signed_modularity_matrix(weights: Array, gamma: float = 1.0) -> Array:
    """B (..., m, m) of signed modularity for symmetric `weights` (..., m, m); the diagonal is ignored.

    Q = (m+ Q+ - m- Q-) / (m+ + m-), where Q+ and Q- are the modularities of the positive and the negative weights with
    resolution `gamma`, and m+ and m- their sums: positive weights belong inside communities, negative ones between
    them, each compared with what the strengths of the nodes give by chance. Without negative weights it is the usual
    modularity. All zero where there are no weights. Source: Gomez, Jensen and Arenas (2009), Phys. Rev. E 80, 016114.

    >>> signed_modularity_matrix(np.array([[0.0, 2.0], [2.0, 0.0]]))
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    m = weights.shape[-1]
    off = np.where(np.eye(m, dtype=bool), 0.0, weights)
    expected = np.zeros_like(off)
    for part, sign in ((np.maximum(off, 0.0), 1.0), (np.maximum(-off, 0.0), -1.0)):
        strength = part.sum(axis=-1)  # (..., m)
        total = strength.sum(axis=-1)[..., None, None]
        chance = strength[..., :, None] * strength[..., None, :] / np.where(total > 0, total, 1.0)
        expected += sign * chance
    size = np.abs(off).sum(axis=(-2, -1), keepdims=True)
    return np.asarray((off - gamma * expected) / np.where(size > 0, size, 1.0))


def correlation_modularity_matrix(correlation: Array, n_positions: float | Array) -> Array:
    """B (..., m, m) of what is left of a correlation matrix without noise and without what moves all neurons alike.

    Eigenvalues up to the edge of Marchenko and Pastur, (1 + sqrt(m / T))^2, are noise of T independent positions, where
    T is `n_positions`, one number or (...,). Of
    larger ones their excess over the edge stays, and the direction (1, ..., 1) is projected out. Both are continuous
    forms of what the authors do, who keep the eigenvalue whole and drop the mode with the largest one: with two equal
    modules that mode is any mixture of "all" and "one against the other", and the result jumps. The diagonal, the same
    for every partition, is set to 0, and the sum is divided by the number of ordered pairs, so that the quality is on
    the scale of a correlation (the authors divide by the sum of r, which can be near 0 here).
    Source: MacMahon and Garlaschelli (2015), Phys. Rev. X 5, 021006, equations 22, 29 and 33.

    >>> correlation_modularity_matrix(np.eye(2), 100)
    array([[0., 0.],
           [0., 0.]])
    """
    m = correlation.shape[-1]
    values, vectors = np.linalg.eigh(correlation)
    excess = np.maximum(values - marchenko_pastur_edge(m, n_positions)[..., None], 0.0)
    contrasts = vectors - vectors.mean(axis=-2, keepdims=True)
    rest = (contrasts * excess[..., None, :]) @ np.swapaxes(contrasts, -1, -2)
    return np.asarray(np.where(np.eye(m, dtype=bool), 0.0, rest) / max(m * (m - 1), 1))


def marchenko_pastur_edge(m: int, n_positions: float | Array) -> Array:
    """Largest eigenvalue (...,) that m independent series of `n_positions` (...,) positions give in the limit.

    >>> marchenko_pastur_edge(25, np.array([100.0, 625.0]))
    array([2.25, 1.44])
    """
    return np.asarray((1.0 + np.sqrt(m / np.asarray(n_positions))) ** 2)


def keep_strongest(weights: Array, share: float) -> Array:
    """`weights` (..., m, m) with all but the strongest `share` of the pairs, by |r|, set to 0; symmetric as before.

    >>> keep_strongest(np.array([[1.0, 0.9, 0.1], [0.9, 1.0, -0.5], [0.1, -0.5, 1.0]]), 0.5)[0]
    array([0. , 0.9, 0. ])
    """
    m = weights.shape[-1]
    upper = np.triu_indices(m, 1)
    size = np.abs(weights[..., upper[0], upper[1]])  # (..., pairs)
    n_kept = max(1, round(share * size.shape[-1]))
    limit = -np.partition(-size, n_kept - 1, axis=-1)[..., n_kept - 1]
    strong = np.abs(weights) >= limit[..., None, None]
    return np.asarray(np.where(strong & ~np.eye(m, dtype=bool), weights, 0.0))
