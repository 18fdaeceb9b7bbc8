"""How many dimensions the residual states of a layer span: spectra of their covariance, whole and without the top one.

The covariance is made of sums per group of documents, so that each group can be left out without reading again.
Shapes: T positions, d dimensions, G groups. Source: Gao et al. (2017), bioRxiv 214262 (participation ratio); Ethayarajh
(2019), EMNLP 55 (that few directions dominate the states of language models).
"""

import numpy as np
from numpy.typing import NDArray

from queries.stats.dimension import spectrum_dimensions

Array = NDArray[np.float64]
MEASURES = ("participation", "d95", "anisotropy")
VARIANTS = ("whole", "without_top")
MAX_GROUPS = 20


def document_groups(document: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group (T,) of each position: its document, or with more than `MAX_GROUPS` of them one in so many.

    >>> document_groups(np.array([7, 7, 3])).tolist()
    [1, 1, 0]
    """
    _, order = np.unique(document, return_inverse=True)
    groups: NDArray[np.int64] = order % MAX_GROUPS
    return groups


def dimensions(eigenvalues: Array) -> Array:
    """(2, 3): `VARIANTS` by `MEASURES`, in dimensions, from the eigenvalues (d,) of a covariance; NaN where all are 0.

    Participation ratio (sum l)^2 / sum l^2; d95, the fewest dimensions that hold 95 % of the variance, interpolated
    between whole numbers; anisotropy d l_1 / sum l, 1 if all directions vary alike.

    >>> dimensions(np.array([1.0, 1.0, 2.0])).round(3).tolist()
    [[2.667, 2.8, 1.5], [2.0, 1.9, 1.0]]
    """
    ordered = np.maximum(np.sort(eigenvalues)[::-1], 0.0)
    rows = []
    for values in (ordered, ordered[1:]):
        size, total = len(values), values.sum()
        _, participation, _, d95 = spectrum_dimensions(values[None])[0] * size
        rows.append([participation, d95, size * values[0] / total if total > 0 else np.nan])
    return np.array(rows)


def state_dimensions(states: NDArray[np.floating], group: NDArray[np.int64]) -> tuple[Array, Array]:
    """`dimensions` of all `states` (T, d), (2, 3), and without each `group` (T,) in turn, (G, 2, 3)."""
    values = states.astype(np.float64)
    values -= values.mean(axis=0)  # of all: large offsets would cancel in what is left of a group
    products, sums, counts = [], [], []
    for each in np.unique(group):
        mine = values[group == each]
        products.append(mine.T @ mine)
        sums.append(mine.sum(axis=0))
        counts.append(len(mine))
    total, sum_all, n = np.sum(products, axis=0), np.sum(sums, axis=0), sum(counts)

    def of(product: Array, vector: Array, count: int) -> Array:
        if count < 2:
            return np.full((len(VARIANTS), len(MEASURES)), np.nan)
        covariance = (product - np.outer(vector, vector) / count) / count
        eigenvalues: Array = np.linalg.eigvalsh(covariance).astype(np.float64)
        return dimensions(eigenvalues)

    without = [
        of(total - product, sum_all - vector, n - count)
        for product, vector, count in zip(products, sums, counts, strict=True)
    ]
    return of(total, sum_all, n), np.array(without)
