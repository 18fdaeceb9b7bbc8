"""NC1, the first property of neural collapse: how small classes are, measured by how far they are apart.

S_W is the mean covariance within classes, S_B the covariance of the class means, both weighted by the classes' sizes.
NC1 = tr(S_W S_B^+) / C falls towards 0 as classes become points. S_B has at most C - 1 directions and its
pseudo-inverse makes much of the smallest: those below `CUT_OFF` of the largest are left out. tr S_W / tr S_B does
without an inverse. Shapes: N vectors (N, d), C classes.
Source: Papyan, Han and Donoho (2020), PNAS 117, 24652.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

CUT_OFF = 1e-3


def scatters(values: Floats, label: Index) -> tuple[Array, Array, int]:
    """S_W and S_B (d, d), and the number of classes, of `values` (N, d) with their `label` (N,)."""
    _, code = np.unique(label, return_inverse=True)
    rows = values.astype(np.float64)
    rows -= rows.mean(axis=0)
    size = np.bincount(code)
    sums = np.zeros((len(size), rows.shape[1]))
    np.add.at(sums, code, rows)
    means = sums / size[:, None]
    between = (means * (size / len(rows))[:, None]).T @ means
    rows -= means[code]
    return rows.T @ rows / len(rows), between, len(size)


def nc1(values: Floats, label: Index) -> tuple[float, float]:
    """NC1 and tr S_W / tr S_B of `values` (N, d) with `label` (N,).

    NaN with fewer than two classes, with no class of two vectors, or where the classes have one mean.

    >>> nc1(np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1]))
    (0.02, 0.04)
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    within, between, n_classes = scatters(values, label)
    eigenvalues, directions = np.linalg.eigh(between)
    if n_classes < 2 or n_classes == len(values) or not eigenvalues[-1] > 1e-12 * np.trace(within + between):
        return float("nan"), float("nan")
    kept = eigenvalues > CUT_OFF * eigenvalues[-1]
    along = np.einsum("dk,de,ek->k", directions[:, kept], within, directions[:, kept])
    trace = float((along / eigenvalues[kept]).sum())
    return trace / n_classes, float(np.trace(within) / np.trace(between))
