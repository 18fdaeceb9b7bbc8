"""Three regimes of a ranked curve: plateau, power law, rapid decay, on log-spaced bins of the rank axis.

The curve is ln value against ln rank. It is averaged in bins of equal width in ln rank, each with equal weight, because
otherwise the dense tail alone would decide. The model has two breakpoints: at the first, between two ranks, the level
is free (a distinct group of specialists looks like a step, and a fit forced to be continuous would bend the slope that
follows); at the second the line is continuous and bends down, because the decay is steeper than the power law. Without
that, the steep foot of a step is taken for the power law and the power law for the decay.

The search is exhaustive. Designs depend on the bins only, so one orthonormal basis per pair of breakpoints serves any
number of curves: RSS = |y|^2 - |Q^T y|^2 is one matrix product.
The designs are in `queries.stats.regime_designs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.regime_designs import N_BINS, Bins, Designs, bends, designs_of, rank_bins
from queries.stats.three_regimes import Regimes, no_regimes, put

Array = NDArray[np.float64]

MIN_RANKS = 50
PLATEAU_RATIO = 0.5
# Curves whose places for the breakpoints are held at once: few enough for the processor's cache.
_CURVES_AT_ONCE = 256


@dataclass(frozen=True)
class Places:
    """The best places of B curves: index of the `step` and of the `kink` (B,); what all of it explains, `most` (B,).

    Minus infinity where the curve bends down nowhere. `by_step` (B, S): sums of squares that the lines explain alone,
    `kink_alone` (B,): that the best kink without a step explains on top.
    """

    step: NDArray[np.int64]
    kink: NDArray[np.int64]
    most: Array
    by_step: Array
    kink_alone: Array


def bin_curves(values: Array, n_bins: int = N_BINS) -> Array:
    """Mean ln value per rank bin (B, K) of B sets of n positive `values` (B, n), each ranked on its own."""
    return _binned(-np.sort(-values, axis=1), rank_bins(values.shape[1], n_bins))


def _binned(ranked: Array, bins: Bins) -> Array:
    """Mean ln value per bin (B, K) of positive values in descending order (B, n)."""
    binned: Array = np.add.reduceat(np.log(ranked), bins.start, axis=1) / bins.size
    return binned


def fit_values(values: Array, n_bins: int = N_BINS) -> Regimes:
    """Regimes of B sets of values (B, n): each ranked on its own, zeros removed.

    Sets with NaN, with fewer than `MIN_RANKS` positive values, or whose curve bends down nowhere, get NaN.
    """
    result = no_regimes(len(values))
    for rows, curves, n in _curves(-np.sort(-values, axis=1), n_bins):
        put(result, rows, fit_binned(curves, n, n_bins))
    return result


def first_breakpoints(ranked: Array, n_bins: int = N_BINS) -> Array:
    """`plateau_end` (B,) of the regimes alone, of B sets of values in descending order (B, n), NaN last."""
    ends = np.full(len(ranked), np.nan)
    for rows, curves, n in _curves(ranked, n_bins):
        designs = designs_of(n, n_bins)
        places = _search(curves - curves.mean(axis=1, keepdims=True), designs)
        ends[rows] = np.where(np.isfinite(places.most), designs.steps[places.step], np.nan)
    return ends


def _curves(ranked: Array, n_bins: int) -> Iterator[tuple[NDArray[np.int64], Array, int]]:
    """Which rows of `ranked` (B, n) have equally many positive values, their binned curves, and how many values.

    A few rows at once; none with NaN or with too few values.
    """
    positive = np.where(np.isnan(ranked).any(axis=1), 0, (ranked > 0).sum(axis=1))
    for n in np.unique(positive[positive >= MIN_RANKS]).tolist():
        rows = np.flatnonzero(positive == n)
        curves = _binned(ranked[rows, :n], rank_bins(n, n_bins))
        for start in range(0, len(rows), _CURVES_AT_ONCE):
            part = slice(start, start + _CURVES_AT_ONCE)
            yield rows[part], curves[part], n


def fit_binned(curves: Array, n: int, n_bins: int = N_BINS) -> Regimes:
    """Regimes of B binned curves (B, K) of n ranks each: the exhaustive least-squares fit and its BIC."""
    designs, bins = designs_of(n, n_bins), rank_bins(n, n_bins)
    k = curves.shape[1]
    # the constant is in every design; without it the sums of squares lose fewer digits
    centred = curves - curves.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    places = _search(centred, designs)
    by_step = places.by_step

    def bic(explained: Array, n_parameters: int) -> Array:
        # a perfect fit leaves only rounding
        rss = np.maximum(total - explained, 1e-12 * np.maximum(total, 1e-300))
        result: Array = k * np.log(rss / k) + n_parameters * np.log(k)
        return result

    # coefficients and, for each breakpoint, one parameter more
    bic2 = bic(places.most, 7)
    bic1 = np.minimum(bic(by_step[:, 0] + places.kink_alone, 4), bic(by_step[:, 1:].max(axis=1), 5))
    basis = designs.bases[places.step]
    place = _refine(basis, designs.kinks, places.kink, curves, bins)
    coefficients = _coefficients(basis, designs.triangles[places.step], bends(place, bins), curves)
    last = designs.steps[places.step].astype(np.float64)
    quantity = _quantities(coefficients, last, place, n)
    is_plateau = np.abs(coefficients[:, 1]) < PLATEAU_RATIO * np.abs(coefficients[:, 3])
    found = np.isfinite(places.most)
    quantity[~found] = np.nan
    return Regimes(
        quantity,
        is_plateau & found,
        bic1 - bic2,
        bic(by_step[:, 0], 2) - bic2,
        coefficients[:, 2] + coefficients[:, 3] * _middle(last),
        found & (last == designs.steps[1]),
        found & (place >= designs.kinks[-1] * (1 - 1e-12)),
    )


def _search(centred: Array, designs: Designs) -> Places:
    """The places that explain most of the curves `centred` (B, K), whose mean is 0."""
    k, start, first = centred.shape[1], designs.start, designs.first
    fits = (centred @ designs.bases.reshape(-1, k).T).reshape(len(centred), -1, 4)
    by_step = np.einsum("bsc,bsc->bs", fits, fits)
    bend = centred @ designs.hinges.T  # (B, P)
    # the last regime is a decay: steeper than the middle one, so the line bends down, and of one step the kink with the
    # most negative product explains most
    least = np.minimum.reduceat(bend, start, axis=1)[:, 1:]
    explained = np.where(least < 0, least**2, -np.inf) + by_step[:, 1 : len(start)]
    step = 1 + explained.argmax(axis=1)
    kinks = np.arange(len(designs.kinks))
    of_step = np.take_along_axis(bend, (start - first)[step, None] + kinks, axis=1)
    kink = np.where(kinks >= first[step, None], of_step, np.inf).argmin(axis=1)
    most = explained[np.arange(len(step)), step - 1]
    return Places(step, kink, most, by_step, (bend[:, : start[1]] ** 2).max(axis=1))


def _left(basis: Array, vectors: Array) -> Array:
    """What is orthogonal to the rows of each `basis` (B, 4, K) in the `vectors` (B, K)."""
    left: Array = vectors - np.einsum("bck,bc->bk", basis, np.einsum("bck,bk->bc", basis, vectors))
    return left


def _coefficients(basis: Array, triangles: Array, bends: Array, curves: Array) -> Array:
    """Least-squares coefficients (B, 5): level, slope, level, slope, change of slope.

    `basis` (B, 4, K) and `triangles` (B, 4, 4) of the lines, `bends` (B, K) of the kink.
    """
    left = _left(basis, bends)
    change = (left * curves).sum(axis=1) / (left**2).sum(axis=1)
    straight = np.einsum("bck,bk->bc", basis, curves - change[:, None] * bends)
    lines = np.linalg.solve(triangles, straight[:, :, None])[:, :, 0]
    return np.concatenate([lines, change[:, None]], axis=1)


def _refine(basis: Array, kinks: Array, which: NDArray[np.int64], curves: Array, bins: Bins) -> Array:
    """Place of the kink (B,) between the candidates: one Gauss-Newton step (Muggeo, 2003, Statistics in Medicine 22).

    `basis` (B, 4, K) of each curve's lines, `which` (B,) its best candidate of `kinks`. The derivative of a bin by the
    place of the kink is the share of its ranks beyond it.
    """
    start = kinks[which]
    edge = np.append(bins.start, bins.n)
    cut = np.clip(np.exp(start).astype(np.int64)[:, None], edge[:-1], edge[1:])
    bend, moved = _left(basis, bends(start, bins)), _left(basis, -(edge[1:] - cut) / bins.size)
    # least squares on both: the second made orthogonal to the first
    square, common = (bend**2).sum(axis=1), (bend * moved).sum(axis=1)
    own = moved - (common / square)[:, None] * bend
    slope = (own * curves).sum(axis=1) / (own**2).sum(axis=1)
    change = ((bend * curves).sum(axis=1) - common * slope) / square
    step = slope / np.where(change == 0, np.inf, change)
    last = len(kinks) - 1
    refined: Array = np.clip(start + step, kinks[np.maximum(which - 1, 0)], kinks[np.minimum(which + 1, last)])
    return refined


def _middle(last: Array) -> Array:
    """Ln rank of the first breakpoint: between the ranks `last` and `last + 1`."""
    middle: Array = 0.5 * (np.log(last) + np.log(last + 1))
    return middle


def _quantities(coefficients: Array, last: Array, kink: Array, n: int) -> Array:
    """The nine quantities (B, 9); `last` (B,) ranks on the plateau, `kink` (B,) ln rank of the second breakpoint."""
    level1, slope1, level2, slope2, change = coefficients.T
    place, elbow = _middle(last), np.exp(kink)
    excess = level1 + slope1 * place - level2 - slope2 * place
    shares = (last / n, (elbow - last) / n, (n - elbow) / n)
    return np.stack([last, elbow, -slope2, slope1, slope2 + change, *shares, excess], axis=1)
