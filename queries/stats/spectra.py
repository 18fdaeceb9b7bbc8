"""Spectra of the correlations of weight rows: tail index, Marchenko-Pastur edge, stable rank, entropy; many at once.

For m rows of d weights, each standardised over its d values, C = Z Z^T / d (m, m) is their correlation matrix; its
eigenvalues (m of them, those beyond d are zero) are what every measure here is made of. Each measure depends on m, so
only groups of equal size compare.
Source: Hill (1975), Annals of Statistics 3, 1163; Marchenko and Pastur (1967); Martin and Mahoney (2021), JMLR 22, 165,
for spectra of weights; Kish and Frankel (1974), J. R. Statist. Soc. B 36, 1, for half-samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.power_law import fit_power_law

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MEASURES = (
    "hill_alpha", "hill_alpha_05", "hill_alpha_20", "hill_alpha_30", "hill_alpha_rest", "csn_alpha", "edge_share",
    "stable_rank", "spectral_entropy",
)  # fmt: skip
_HILL = {"hill_alpha_05": 0.05, "hill_alpha": 0.1, "hill_alpha_20": 0.2, "hill_alpha_30": 0.3}
_RANGE: dict[str, Callable[[int], tuple[float, float]]] = {
    **{name: (lambda m: (0.0, np.inf)) for name in (*_HILL, "hill_alpha_rest", "csn_alpha")},
    "edge_share": lambda m: (0.0, 1.0),
    "stable_rank": lambda m: (1.0, float(m)),
    "spectral_entropy": lambda m: (0.0, 1.0),
}
_N_THRESHOLDS = 100
_CELLS = 1 << 24  # values of a block of groups that are held at once
_ZERO = 1e-9  # eigenvalues below this share of the largest are zero


def standardise(weights: Array) -> Array:
    """Rows (N, d) with mean 0 and mean square 1; NaN for a row that is constant.

    >>> standardise(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[-1.,  1.],
           [nan, nan]])
    """
    centred = weights - weights.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    rows: Array = centred / np.where(scale > 0, scale, np.nan)
    return rows


def edge(m: int, d: int) -> float:
    """Upper Marchenko-Pastur edge of m rows of d independent unit-variance values, aspect ratio Q = d / m.

    >>> edge(100, 400)
    2.25
    """
    return (1.0 + float(np.sqrt(m / d))) ** 2


def spectra(rows: Array, groups: Index) -> Array:
    """Eigenvalues (B, m), largest first, of the correlation matrices of `groups` (B, m) of standardised `rows` (N, d).

    Rows are standardised again where the columns are a part of those they were standardised over.
    """
    m, d = groups.shape[1], rows.shape[1]
    found = []
    step = max(1, _CELLS // max(1, m * d))
    for start in range(0, len(groups), step):
        block = rows[groups[start : start + step]]  # (b, m, d)
        gram = block @ block.transpose(0, 2, 1) / d
        found.append(np.linalg.eigvalsh(gram)[:, ::-1])
    eigenvalues = np.concatenate(found) if found else np.zeros((0, m))
    floor = _ZERO * eigenvalues[:, :1]
    return np.where(eigenvalues > floor, eigenvalues, 0.0)


def hill_alpha(eigenvalues: Array, share: float) -> Array:
    """Hill's tail index (B,) from the k largest of each row (B, m), k = share of m, at least 2; a CCDF exponent.

    [ (1/k) sum over j <= k of ln(l_j / l_(k+1)) ]^-1: the share of values above x falls as x^-alpha, and the density
    as x^-(alpha + 1). NaN where the k + 1 largest are not positive and different.

    >>> hill_alpha(np.array([[8.0, 4.0, 2.0, 1.0, 1.0]]), 0.4).round(3)
    array([0.962])
    """
    k = max(2, round(share * eigenvalues.shape[1]))
    if eigenvalues.shape[1] <= k:
        return np.full(len(eigenvalues), np.nan)
    top = eigenvalues[:, : k + 1]
    logs = np.log(np.where(top > 0, top, np.nan))
    mean = (logs[:, :k] - logs[:, k:]).mean(axis=1)
    return np.where(mean > 0, 1.0 / np.where(mean > 0, mean, 1.0), np.nan)


def spectral_entropy(eigenvalues: Array) -> Array:
    """Entropy (B,) of the eigenvalues as shares of their sum, over ln m: 1 where all are equal.

    >>> spectral_entropy(np.array([[1.0, 1.0], [1.0, 0.0]]))
    array([1., 0.])
    """
    share = eigenvalues / eigenvalues.sum(axis=1, keepdims=True)
    found: Array = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1) / np.log(eigenvalues.shape[1])
    return np.abs(found)


def stable_rank(eigenvalues: Array) -> Array:
    """Sum of the eigenvalues over the largest (B,): squared Frobenius over squared spectral norm.

    >>> stable_rank(np.array([[2.0, 1.0, 1.0]]))
    array([2.])
    """
    ratio: Array = eigenvalues.sum(axis=1) / eigenvalues[:, 0]
    return ratio


def measure(eigenvalues: Array, d: int, names: Sequence[str] = MEASURES) -> Array:
    """The measures `names` (B, K) of spectra (B, m) over d columns."""
    columns = []
    for name in names:
        if name in _HILL:
            columns.append(hill_alpha(eigenvalues, _HILL[name]))
        elif name == "hill_alpha_rest":  # without the largest: what one direction that all rows share leaves
            columns.append(hill_alpha(eigenvalues[:, 1:], _HILL["hill_alpha"]))
        elif name == "csn_alpha":
            columns.append(np.array([_density_exponent(row) for row in eigenvalues]))
        elif name == "edge_share":
            columns.append((eigenvalues > edge(eigenvalues.shape[1], d)).mean(axis=1))
        else:
            columns.append({"stable_rank": stable_rank, "spectral_entropy": spectral_entropy}[name](eigenvalues))
    return np.column_stack(columns)


def _density_exponent(eigenvalues: Array) -> float:
    positive = eigenvalues[eigenvalues > 0]
    return fit_power_law(positive, _N_THRESHOLDS).alpha if len(positive) else float("nan")


def permuted_rows(rows: Array, members: Index, n_draws: int, rng: np.random.Generator) -> Array:
    """Eigenvalues (n_draws, m) of the rows `members` (m,) with the values of each row permuted on its own."""
    found = [spectra(rng.permuted(rows[members], axis=1), np.arange(len(members))[None]) for _ in range(n_draws)]
    return np.concatenate(found)


@dataclass(frozen=True)
class Columns:
    """What half-samples of the columns say of K measures: `low`, `high` (K,), and the `bias` (K,) taken out."""

    low: Array
    high: Array
    bias: Array


def column_intervals(
    rows: Array, groups: Index, estimate: Array, n_draws: int, rng: np.random.Generator, level: float = 0.95
) -> Columns:
    """Intervals of the mean over `groups` (B, m) of every measure, `estimate` (K,), from halves of the d columns.

    A half without replacement varies about its own mean as the whole does about the truth (the factor 1/b - 1/d is
    1/d at b = d/2). But a spectrum over fewer columns is wider, so the halves' mean is not the estimate: only their
    deviations from their own mean are used. Draws with replacement would repeat columns and tie eigenvalues.
    """
    d = rows.shape[1]
    drawn = np.empty((n_draws, len(estimate)))
    used = np.unique(groups)
    place = np.searchsorted(used, groups)
    for draw in range(n_draws):
        half = standardise(rows[np.ix_(used, rng.permutation(d)[: d // 2])])
        drawn[draw] = measure(spectra(half, place), d // 2).mean(axis=0)
    known = np.isfinite(drawn).mean(axis=0) >= 0.95
    middle = np.full(len(estimate), np.nan)
    low, high = middle.copy(), middle.copy()
    if known.any():
        middle[known] = np.nanmean(drawn[:, known], axis=0)
        ends = np.nanpercentile(drawn[:, known], [50 * (1 - level), 50 * (1 + level)], axis=0)
        low[known], high[known] = estimate[known] + ends - middle[known]
    least, most = np.array([_RANGE[name](groups.shape[1]) for name in MEASURES]).T
    low, high = np.clip(low, least, most), np.clip(high, least, most)  # what the measure can be
    return Columns(np.minimum(low, estimate), np.maximum(high, estimate), middle - estimate)
