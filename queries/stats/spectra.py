"""Spectra of the correlations of weight rows: tail index, Marchenko-Pastur edge, stable rank, entropy; many at once.

For m rows of d weights, each standardised over its d values, C = Z Z^T / d (m, m) is their correlation matrix; its
eigenvalues (m of them, those beyond d are zero) are what every measure here is made of. Each measure depends on m, so
only groups of equal size compare.
Source: Hill (1975), Annals of Statistics 3, 1163; Marchenko and Pastur (1967); Martin and Mahoney (2021), JMLR 22, 165,
for spectra of weights; Kish and Frankel (1974), J. R. Statist. Soc. B 36, 1, for half-samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.power_law import power_law_exponents

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MEASURES = (
    "hill_alpha", "hill_alpha_05", "hill_alpha_20", "hill_alpha_30", "hill_alpha_rest", "csn_alpha", "edge_share",
    "stable_rank", "spectral_entropy",
)  # fmt: skip
_HILL = {"hill_alpha_05": 0.05, "hill_alpha": 0.1, "hill_alpha_20": 0.2, "hill_alpha_30": 0.3}
_TAIL = {**_HILL, "hill_alpha_rest": 0.1}  # the share of the eigenvalues that a tail index is made of
# Measures without an interval, and why: measured, no width that halves of the columns give them holds.
NO_INTERVAL = {
    "csn_alpha": "no interval: the threshold jumps between halves of the columns, which then cover too little",
    "edge_share": "no interval: a share of few eigenvalues hardly varies between halves of the columns",
}
_N_THRESHOLDS = 100
_CELLS = 1 << 24  # values of a block of groups that are held at once
_ZERO = 1e-9  # eigenvalues below this share of the largest are zero; rows with less left of them are gone


@dataclass(frozen=True)
class Spectra:
    """Eigenvalues (B, m), largest first, of B groups: `values` of the rows, `rest` without their leading direction.

    `rest` is NaN where a row is the leading direction itself, of which nothing would be left.
    """

    values: Array
    rest: Array


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


def spectra(rows: Array, groups: Index) -> Spectra:
    """Spectra of the correlation matrices of `groups` (B, m) of standardised `rows` (N, d)."""
    m, d = groups.shape[1], rows.shape[1]
    values, rest = np.zeros((len(groups), m)), np.zeros((len(groups), m))
    step = max(1, _CELLS // max(1, m * d))
    for start in range(0, len(groups), step):
        part = slice(start, start + step)
        block = rows[groups[part]]  # (b, m, d)
        gram = block @ block.transpose(0, 2, 1) / d
        found, vectors = np.linalg.eigh(gram)
        values[part] = found[:, ::-1]
        rest[part] = _without_leading(gram, found[:, -1], vectors[:, :, -1])
    return Spectra(_zeroed(values), _zeroed(rest))


def _without_leading(gram: Array, largest: Array, vector: Array) -> Array:
    """Eigenvalues (B, m) after the leading right singular vector is projected out and rows are standardised again.

    From G = ZZ'/d (B, m, m), its largest eigenvalue l (B,) and vector v (B, m): G - l vv' is that of the projected
    rows. These still have mean 0, as the direction Z'v of rows of mean 0 has, so to divide by their lengths is all.
    """
    left = gram - largest[:, None, None] * vector[:, :, None] * vector[:, None, :]
    square = np.diagonal(left, axis1=1, axis2=2)  # (B, m), share of each row that is left
    known = square.min(axis=1) > _ZERO
    scale = np.sqrt(np.where(known[:, None], square, 1.0))
    found = np.linalg.eigvalsh(left / (scale[:, :, None] * scale[:, None, :]))[:, ::-1]
    return np.where(known[:, None], found, np.nan)


def _zeroed(eigenvalues: Array) -> Array:
    """The same with 0 for what is only rounding."""
    return np.where(eigenvalues <= _ZERO * eigenvalues[:, :1], 0.0, eigenvalues)


def tail_size(m: int, share: float) -> int:
    """How many of m eigenvalues are the largest `share` of them, at least 2.

    >>> tail_size(44, 0.1), tail_size(12, 0.1)
    (4, 2)
    """
    return max(2, round(share * m))


def tail_freedom(name: str, m: int) -> int:
    """Degrees of freedom of the tail index `name` of m rows: two for each eigenvalue that it is made of.

    >>> tail_freedom("hill_alpha", 32)
    6
    """
    return 2 * tail_size(m, _TAIL[name])


def hill_alpha(eigenvalues: Array, share: float) -> Array:
    """Hill's tail index (B,) from the k largest of each row (B, m), k = share of m, at least 2; a CCDF exponent.

    [ (1/k) sum over j <= k of ln(l_j / l_(k+1)) ]^-1: the share of values above x falls as x^-alpha, and the density
    as x^-(alpha + 1). NaN where the k + 1 largest are not positive and different.

    >>> hill_alpha(np.array([[8.0, 4.0, 2.0, 1.0, 1.0]]), 0.4).round(3)
    array([0.962])
    """
    k = tail_size(eigenvalues.shape[1], share)
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


def measure(found: Spectra, d: int, names: Sequence[str] = MEASURES) -> Array:
    """The measures `names` (B, K) of spectra (B, m) over d columns."""
    columns, eigenvalues = [], found.values
    for name in names:
        if name in _HILL:
            columns.append(hill_alpha(eigenvalues, _HILL[name]))
        elif name == "hill_alpha_rest":
            columns.append(hill_alpha(found.rest, _TAIL[name]))
        elif name == "csn_alpha":
            columns.append(density_exponent(eigenvalues))
        elif name == "edge_share":
            columns.append((eigenvalues > edge(eigenvalues.shape[1], d)).mean(axis=1))
        else:
            columns.append({"stable_rank": stable_rank, "spectral_entropy": spectral_entropy}[name](eigenvalues))
    return np.column_stack(columns)


def density_exponent(eigenvalues: Array) -> Array:
    """Exponent (B,) of the density of the positive eigenvalues (B, m), by a power law fitted to their tail."""
    size = (eigenvalues > 0).sum(axis=1)
    found = np.full(len(eigenvalues), np.nan)
    for n in np.unique(size[size > 0]):
        found[size == n] = power_law_exponents(eigenvalues[size == n, :n], _N_THRESHOLDS)
    return found


def permuted_rows(rows: Array, members: Index, n_draws: int, rng: np.random.Generator) -> Spectra:
    """Spectra (n_draws, m) of the rows `members` (m,) with the values of each row permuted on its own."""
    return _joined(
        [spectra(rng.permuted(rows[members], axis=1), np.arange(len(members))[None]) for _ in range(n_draws)]
    )


def _joined(parts: Sequence[Spectra]) -> Spectra:
    return Spectra(np.concatenate([part.values for part in parts]), np.concatenate([part.rest for part in parts]))


@dataclass(frozen=True)
class Columns:
    """What half-samples of the columns say of K measures: `low`, `high` (K,), and the `bias` (K,) taken out."""

    low: Array
    high: Array
    bias: Array


def column_intervals(
    rows: Array,
    groups: Index,
    estimate: Array,
    n_draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
    names: Sequence[str] = MEASURES,
) -> Columns:
    """Intervals of the mean over `groups` (B, m) of `names`, `estimate` (K,), from halves of the d columns.

    A half without replacement varies about its own mean as the whole does about the truth (the factor 1/b - 1/d is
    1/d at b = d/2). But a spectrum over fewer columns is wider, so the halves' mean is not the estimate: only their
    deviations from their own mean are used. Draws with replacement would repeat columns and tie eigenvalues.

    The error of a tail index is in proportion to it, so its deviations are those of its logarithm; and one that is the
    mean of k logarithms, nearly exponential, is known as well as a chi-squared with 2 k degrees of freedom, so they are
    stretched as Student's t with so many is against a normal law. Measures in `NO_INTERVAL` have NaN.
    """
    drawn = column_halves(rows, groups, n_draws, rng, names)
    return intervals_of_halves(drawn, estimate, groups.shape[1], level, names)


def column_halves(
    rows: Array, groups: Index, n_draws: int, rng: np.random.Generator, names: Sequence[str] = MEASURES
) -> Array:
    """Means (n_draws, K) over `groups` (B, m) of `names`, each of a random half of the d columns of `rows` (N, d)."""
    d = rows.shape[1]
    used = np.unique(groups)
    place = np.searchsorted(used, groups)
    halves = (standardise(rows[np.ix_(used, rng.permutation(d)[: d // 2])]) for _ in range(n_draws))
    drawn = measure(_joined([spectra(half, place) for half in halves]), d // 2, names)
    means: Array = drawn.reshape(n_draws, len(groups), len(names)).mean(axis=1)
    return means


def intervals_of_halves(
    drawn: Array, estimate: Array, m: int, level: float = 0.95, names: Sequence[str] = MEASURES
) -> Columns:
    """What `column_halves` (n_draws, K) of groups of m say of `estimate` (K,), see `column_intervals`."""
    ends = [_interval(name, float(estimate[i]), drawn[:, i], m, level) for i, name in enumerate(names)]
    low, high, bias = np.array(ends).T
    return Columns(low, high, bias)


def _interval(name: str, estimate: float, drawn: Array, m: int, level: float) -> tuple[float, float, float]:
    """Low end, high end and bias of one measure from its halves (n_draws,), of which 95 % must have a value."""
    known = drawn[np.isfinite(drawn)]
    nan = float("nan")
    if len(known) < 0.95 * len(drawn) or not np.isfinite(estimate):
        return nan, nan, nan
    bias = float(known.mean()) - estimate
    if name in NO_INTERVAL:
        return nan, nan, bias
    shares = [50 * (1 - level), 50 * (1 + level)]
    if name in _TAIL:
        freedom = tail_freedom(name, m)
        stretch = special.stdtrit(freedom, 0.5 * (1 + level)) / special.ndtri(0.5 * (1 + level))
        logs = np.log(known)
        low, high = estimate * np.exp(stretch * np.percentile(logs - logs.mean(), shares))
    else:
        least, most = (1.0, float(m)) if name == "stable_rank" else (0.0, 1.0)  # what the measure can be
        low, high = np.clip(estimate + np.percentile(known - known.mean(), shares), least, most)
    return min(float(low), estimate), max(float(high), estimate), bias
