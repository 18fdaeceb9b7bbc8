"""Covariances of vectors that come in batches, and what is read from their spectra.

Sums of batches are merged as Chan, Golub and LeVeque do: each batch is centred on its own mean, so that large offsets
do not cancel, and memory does not grow with the number of vectors. Groups of documents have sums of their own, so that
each can be left out without reading again. Shapes: T vectors of d numbers, G groups.
Source: Chan, Golub and LeVeque (1983), The American Statistician 37, 242; Gao et al. (2017), bioRxiv 214262
(participation ratio).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

SPECTRAL = (
    "lambda_max",
    "trace",
    "anisotropy",
    "participation",
    "lambda_max_without_top",
    "anisotropy_without_top",
    "participation_without_top",
)


@dataclass(frozen=True)
class Moments:
    """Of `n` vectors: their mean (d,) and scatter (d, d), the sum of products of deviations from that mean."""

    n: int
    mean: Array
    scatter: Array

    @classmethod
    def of(cls, values: Floats) -> "Moments":
        """Of the rows of `values` (T, d)."""
        rows = values.astype(np.float64)
        if not len(rows):
            return cls(0, np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2))
        mean = rows.mean(axis=0)
        rows -= mean
        return cls(len(rows), mean, rows.T @ rows)

    def __add__(self, other: "Moments") -> "Moments":
        n = self.n + other.n
        if not n:
            return self
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Array:
        """Scatter over n: the maximum-likelihood covariance, as the theory of the probe has it."""
        return self.scatter / max(self.n, 1)


class GroupedMoments:
    """Moments of each of G groups, filled batch by batch."""

    def __init__(self, n_groups: int) -> None:
        self._groups: list[Moments | None] = [None] * n_groups

    def add(self, values: Floats, group: Index) -> None:
        """Add the rows of `values` (T, d), each to its `group` (T,)."""
        for each in np.unique(group):
            found, known = Moments.of(values[group == each]), self._groups[each]
            self._groups[each] = found if known is None else known + found

    @property
    def filled(self) -> Index:
        """The groups that have vectors, in order."""
        return np.array([i for i, each in enumerate(self._groups) if each is not None], dtype=np.int64)

    def whole(self) -> Moments:
        """Of all vectors. Raises `ValueError` if there is none."""
        return merged(each for each in self._groups if each is not None)

    def without(self, left_out: int) -> Moments | None:
        """Of all but one group; None if nothing is left."""
        rest = [each for i, each in enumerate(self._groups) if i != left_out and each is not None]
        return merged(rest) if rest else None


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts together. Raises `ValueError` for no part.

    >>> both = merged([Moments.of(np.array([[1.0], [3.0]])), Moments.of(np.array([[8.0]]))])
    >>> both.n, both.mean, both.covariance.round(3)
    (3, array([4.]), array([[8.667]]))
    """
    total: Moments | None = None
    for part in parts:
        total = part if total is None else total + part
    if total is None:
        raise ValueError("no vector")
    return total


def spectral(covariance: Array) -> Array:
    """`SPECTRAL` (7,) of a covariance (d, d); NaN where nothing varies, or for what a single dimension lacks.

    Trace and lambda_max have the unit of the vectors squared; anisotropy d l_1 / sum l is 1 if all directions vary
    alike; participation (sum l)^2 / sum l^2 counts directions.

    >>> spectral(np.diag([4.0, 1.0, 1.0])).round(3).tolist()
    [4.0, 6.0, 2.0, 2.0, 1.0, 1.0, 2.0]
    """
    return of_eigenvalues(np.linalg.eigvalsh(covariance).astype(np.float64))


def of_eigenvalues(eigenvalues: Array) -> Array:
    """`SPECTRAL` from the eigenvalues (d,), in any order."""
    ordered = np.maximum(np.sort(eigenvalues)[::-1], 0.0)
    # what rounding leaves of a spectrum of zeros is no variance
    ordered[ordered < 1e-13 * ordered[0]] = 0.0
    top, *whole = _leading(ordered)
    second, *rest = _leading(ordered[1:])
    return np.array([top, ordered.sum() if top > 0 else np.nan, *whole, second, *rest])


def _leading(ordered: Array) -> tuple[float, float, float]:
    """Largest eigenvalue, anisotropy and participation; NaN without variance."""
    total = ordered.sum()
    if not len(ordered) or not total > 0:
        return np.nan, np.nan, np.nan
    return float(ordered[0]), float(len(ordered) * ordered[0] / total), float(total**2 / (ordered**2).sum())
