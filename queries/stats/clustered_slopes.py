"""Standardised least-squares slopes with errors over documents, from sums per document alone.

The regression needs of each document only X'X, X'y and y'y, so tokens need not be kept, and it can be made again
without each document: the delete-one-cluster jackknife, known as CR3. Unlike the sandwich it allows for documents of
unequal weight, and for the deviations that the slope is standardised by, which are estimates too. (With heavy-tailed
losses in 24 documents the intervals of the sandwich held the truth in 60 to 80 % of simulated lakes.) Shapes: G
documents, K regressors (the constant first, then the one that is asked for).
Source: MacKinnon, Nielsen and Webb (2023), J. Appl. Econometrics 38, 671.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def slopes(products: Array, targets: Array) -> Array:
    """Slopes (...,) of the first regressor after the constant, from X'X (..., K, K) and X'y (..., K); NaN if undefined.

    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> float(slopes(x.T @ x, x.T @ np.array([1.0, 3.0, 5.0])).round(6))
    2.0
    """
    scale = np.sqrt(np.maximum(np.diagonal(products, axis1=-2, axis2=-1), 1e-300))
    scaled = products / scale[..., :, None] / scale[..., None, :]
    known = (products[..., 0, 0] > products.shape[-1]) & (np.linalg.cond(scaled) < 1e12)
    solvable = np.where(known[..., None, None], scaled, np.eye(products.shape[-1]))
    found = np.linalg.solve(solvable, (targets / scale)[..., None])[..., 1, 0] / scale[..., 1]
    return np.where(known, found, np.nan)


def standardised(products: Array, targets: Array, squares: Array) -> Array:
    """The slopes (...,) in deviations of y per deviation of the regressor; `squares` (...,) is y'y."""
    n = np.maximum(products[..., 0, 0], 1.0)
    of_x = products[..., 1, 1] / n - (products[..., 0, 1] / n) ** 2
    of_y = squares / n - (targets[..., 0] / n) ** 2
    known = (of_x > 0) & (of_y > 1e-12 * squares / n)
    ratio = np.sqrt(np.where(known, of_x, np.nan) / np.where(known, of_y, 1.0))
    return np.asarray(slopes(products, targets) * ratio)


def without_each(products: Array, targets: Array, squares: Array) -> tuple[float, Array]:
    """The standardised slope of all documents, and without each of them (G,).

    `products` (G, K, K), `targets` (G, K), `squares` (G,).
    """
    parts = products, targets, squares
    whole = standardised(*(each.sum(axis=0) for each in parts))
    return float(whole), standardised(*(each.sum(axis=0) - each for each in parts))
