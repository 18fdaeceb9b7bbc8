"""Least-squares slopes with errors that are clustered by document, from sums per document alone.

The sandwich of White with clusters needs of each cluster only X'X and X'y, so tokens need not be kept. With the usual
correction for few clusters it is what statsmodels calls `cov_type="cluster"`. Shapes: G documents, K regressors (the
constant first), L layers.
Source: Liang and Zeger (1986), Biometrika 73, 13; Cameron and Miller (2015), J. Human Resources 50, 317.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Slopes:
    """Coefficients (K,), their standard errors, and what each document adds to them, `influence` (G, K).

    The square root of the sum of the squared influences, times the correction for few clusters, is the error.
    """

    coefficient: Array
    error: Array
    influence: Array


def clustered_slopes(products: Array, targets: Array) -> Slopes:
    """Regression from X'X, `products` (G, K, K), and X'y, `targets` (G, K), of each document; NaN if it has no answer.

    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    >>> y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> parts = [slice(0, 2), slice(2, 4)]
    >>> found = clustered_slopes(np.array([x[i].T @ x[i] for i in parts]), np.array([x[i].T @ y[i] for i in parts]))
    >>> found.coefficient.round(6).tolist(), found.error.round(6).tolist()
    ([1.0, 2.0], [0.0, 0.0])
    """
    n_documents, k = targets.shape
    whole = products.sum(axis=0)
    n = whole[0, 0]
    scale = np.sqrt(np.maximum(np.diag(whole), 1e-300))
    nothing = Slopes(np.full(k, np.nan), np.full(k, np.nan), np.full((n_documents, k), np.nan))
    if n_documents < 2 or n <= k or np.linalg.cond(whole / np.outer(scale, scale)) > 1e12:
        return nothing
    inverse = np.linalg.inv(whole / np.outer(scale, scale)) / np.outer(scale, scale)
    coefficient = inverse @ targets.sum(axis=0)
    score = targets - products @ coefficient  # (G, K): X'e of each document
    influence = score @ inverse
    error = np.sqrt(correction(n_documents, n, k) * (influence**2).sum(axis=0))
    return Slopes(coefficient, error, influence)


def correction(n_documents: int, n: float, k: int) -> float:
    """What the variance is multiplied by for few clusters: G / (G - 1) * (n - 1) / (n - K)."""
    return n_documents / (n_documents - 1) * (n - 1) / (n - k)


def slope_interval(estimate: float, error: float, n_documents: int) -> tuple[float, float, float]:
    """95 % interval and two-sided p of an estimate, by Student's t with G - 1 degrees of freedom; NaN without an error.

    >>> [round(value, 3) for value in slope_interval(1.0, 0.5, 11)]
    [-0.114, 2.114, 0.073]
    """
    if not (np.isfinite(error) and error > 0):
        return float("nan"), float("nan"), float("nan")
    reach = float(stats.t.ppf(0.975, n_documents - 1)) * error
    p = 2 * float(stats.t.sf(abs(estimate) / error, n_documents - 1))
    return estimate - reach, estimate + reach, max(p, float(np.finfo(float).tiny))
