"""Means in bands with every document left out in turn, and the slope over the bands."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def band_log_means(sums: Array, counts: Array) -> tuple[Array, Array]:
    """Log of the mean in each band (B,) of all documents, and (D, B) without each of them; `sums`, `counts` (D, B).

    NaN where nothing is left, or where the mean is 0.

    >>> whole, without = band_log_means(np.array([[4.0], [2.0]]), np.array([[2.0], [2.0]]))
    >>> np.exp(whole), np.exp(without)
    (array([1.5]), array([[1.],
           [2.]]))
    """

    def log_mean(total: Array, count: Array) -> Array:
        there = (total > 0) & (count > 0)
        return np.where(there, np.log(np.where(there, total, 1.0) / np.where(there, count, 1.0)), np.nan)

    # what one document alone holds leaves rounding, not a sum, when that document is left out
    left = np.where(counts.sum(axis=0) - counts > 0, sums.sum(axis=0) - sums, 0.0)
    return log_mean(sums.sum(axis=0), counts.sum(axis=0)), log_mean(left, counts.sum(axis=0) - counts)


def band_slope(bands: Array, values: Array) -> Array:
    """Least-squares slope (R,) of the rows of `values` (R, B) over `bands` (B,).

    >>> band_slope(np.array([1.0, 2.0, 4.0]), np.array([[3.0, 5.0, 9.0]]))
    array([2.])
    """
    centred = bands - bands.mean()
    slope: Array = values @ centred / (centred**2).sum()
    return slope
