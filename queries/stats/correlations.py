"""Correlation matrices of groups of neurons, of the same groups under nulls, and without some documents.

Shapes: T positions, m neurons of a group, N neurons, B draws. A neuron that is constant correlates 0 with the others.
"""

import numpy as np
from numpy.typing import NDArray

from queries.stats.nulls import circular_shifts

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def standardise(values: Array) -> Array:
    """Columns of `values` (T, N) with mean 0 and mean square 1; constant columns are all 0.

    >>> standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    centred = values - values.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    # spread below the rounding of the mean is none
    varies = scale > 1e-7 * np.abs(values).max(axis=0, initial=0.0)
    return np.asarray(np.where(varies, centred / np.where(varies, scale, 1.0), 0.0))


def correlation(values: Array) -> Array:
    """Pearson correlations (N, N) of the columns of `values` (T, N), 1 on the diagonal.

    >>> correlation(np.array([[1.0, 2.0, 7.0], [2.0, 0.0, 7.0]]))
    array([[ 1., -1.,  0.],
           [-1.,  1.,  0.],
           [ 0.,  0.,  1.]])
    """
    z = standardise(values)
    r: Array = np.clip(z.T @ z / len(z), -1.0, 1.0)
    np.fill_diagonal(r, 1.0)
    return r


def of_groups(correlations: Array, groups: Index) -> Array:
    """Correlations (B, m, m) of `groups` (B, m) of neurons, from those of all (N, N)."""
    return np.asarray(correlations[groups[:, :, None], groups[:, None, :]])


def shifted(values: Array, document: Index, n_draws: int, rng: np.random.Generator) -> Array:
    """Correlations (n_draws, m, m) after each neuron is turned in a circle within each document, on its own.

    See `nulls.circular_shifts`; `document` (T,) holds the document of each position.
    """
    return np.stack(
        [correlation(turned.astype(np.float64)) for turned in circular_shifts(values, document, n_draws, rng)]
    )


def independent(m: int, n_positions: int, n_draws: int, rng: np.random.Generator) -> Array:
    """Correlations (n_draws, m, m) of m independent Gaussian neurons at T positions: the noise floor.

    Exact for any T > m without drawing positions: the sums of products are Wishart with T - 1 degrees of freedom, drawn
    by the decomposition of Bartlett (1933). For T <= m the positions are drawn.

    >>> independent(3, 10, 2, np.random.default_rng(0)).shape
    (2, 3, 3)
    """
    if n_positions <= m:
        return np.stack([correlation(rng.standard_normal((n_positions, m))) for _ in range(n_draws)])
    root = np.tril(rng.standard_normal((n_draws, m, m)), -1)
    freedom = n_positions - 1 - np.arange(m)
    root[:, np.arange(m), np.arange(m)] = np.sqrt(rng.chisquare(freedom, size=(n_draws, m)))
    root /= np.sqrt((root**2).sum(axis=2, keepdims=True))
    return np.asarray(root @ root.transpose(0, 2, 1))


def without_documents(values: Array, document: Index, n_groups: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Correlations (G, m, m) without one of G = min(n_groups, documents) random sets of documents, positions left (G,).

    Documents are left out whole.
    """
    documents, place = np.unique(document, return_inverse=True)
    n_groups = min(n_groups, len(documents))
    left_out = (rng.permutation(len(documents)) % n_groups)[place]
    kept = [left_out != group for group in range(n_groups)]
    return np.stack([correlation(values[each]) for each in kept]), np.array([float(each.sum()) for each in kept])


def with_modules(values: Array, r: float, n_draws: int, rng: np.random.Generator) -> Array:
    """Correlations (n_draws, m, m) of neurons to whose values (T, m) two modules were added.

    A random half of the neurons shares one Gaussian series and the other half another, such that neurons without any
    correlation of their own would correlate `r` in a module and 0 between: what a test must be able to see.
    """
    z = standardise(values)
    n_positions, m = z.shape
    drawn = np.empty((n_draws, m, m))
    for draw in range(n_draws):
        module = rng.permutation(m) % 2
        shared = rng.standard_normal((n_positions, 2))
        drawn[draw] = correlation(np.sqrt(1.0 - r) * z + np.sqrt(r) * shared[:, module])
    return drawn
