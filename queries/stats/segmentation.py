"""Three regimes of a ranked curve: plateau, power law, rapid decay, on log-spaced bins of the rank axis.

The curve is ln value against ln rank. It is averaged in bins of equal width in ln rank, each with equal weight, because
otherwise the dense tail alone would decide. The model has two breakpoints: at the first, between two ranks, the level
is free (a distinct group of specialists looks like a step, and a fit forced to be continuous would bend the slope that
follows); at the second the line is continuous and bends down, because the decay is steeper than the power law. Without
that, the steep foot of a step is taken for the power law and the power law for the decay.

The search is exhaustive. Designs depend on the bins only, so one orthonormal basis per pair of breakpoints serves any
number of curves: RSS = |y|^2 - |Q^T y|^2 is one matrix product.

A bin that a breakpoint cuts is not given to one side: each column of the design is the mean, over the ranks of the bin,
of what the model says at each rank. So breakpoints are not bound to bin edges and a cut bin does not bend the lines.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from queries.stats.three_regimes import Regimes, no_regimes, put

Array = NDArray[np.float64]

N_BINS = 30
MIN_BINS = 3
# Candidates for the two breakpoints in each bin. A step one rank off bends the line that follows, so it is sought at
# every rank where bins are small; the place of the kink is refined from its candidates.
STEPS_PER_BIN = 8
KINKS_PER_BIN = 3
MIN_RANKS = 50
PLATEAU_RATIO = 0.5
# Curves whose places for the breakpoints are held at once: few enough for the processor's cache.
_CURVES_AT_ONCE = 64


@dataclass(frozen=True)
class Bins:
    """Log-spaced bins of the ranks 1..n: `start` (K,) index of the first rank, `size` (K,), `x` (K,) mean ln rank.

    `sum_x` (n + 1,): sum of ln rank over the first 0, 1, ..., n ranks.
    """

    n: int
    start: NDArray[np.int64]
    size: Array
    x: Array
    sum_x: Array


@dataclass(frozen=True)
class Designs:
    """Every place for the two breakpoints, as columns averaged over the ranks of each of K bins.

    `steps` (S,): last rank before the first breakpoint, 0 for none. `kinks` (H,): ln rank of the second.
    `bases` (S, K, 4): orthonormal, two lines (one line and zeros where there is no step).
    `hinges` (S, H, K): the kink, made orthogonal to the basis of its step and of length 1; zeros where the two
    breakpoints are too close. `columns` (S, K, 4): the lines before they were made orthogonal.
    """

    steps: NDArray[np.int64]
    kinks: Array
    bases: Array
    hinges: Array
    columns: Array


@lru_cache(maxsize=256)
def rank_bins(n: int, n_bins: int = N_BINS) -> Bins:
    """Bins of the ranks 1..n, empty ones dropped.

    >>> rank_bins(100, 4).size
    array([ 3.,  7., 21., 69.])
    """
    x = np.log(np.arange(1, n + 1))
    code = np.minimum((x / (np.log(n) * (1 + 1e-12)) * n_bins).astype(np.int64), n_bins - 1)
    _, start = np.unique(code, return_index=True)
    size = np.diff(np.append(start, n)).astype(np.float64)
    return Bins(n, start, size, np.add.reduceat(x, start) / size, np.concatenate([[0.0], np.cumsum(x)]))


@lru_cache(maxsize=16)
def _designs(n: int, n_bins: int) -> Designs:
    bins = rank_bins(n, n_bins)
    k = len(bins.start)
    edge = np.append(bins.start, n)
    # each regime has about MIN_BINS whole bins or more
    places = [
        np.unique(np.linspace(edge[i], edge[i + 1], STEPS_PER_BIN + 1).astype(np.int64)[:-1])
        for i in range(MIN_BINS, k)
    ]
    steps = np.concatenate([[0], *places[: k - 2 * MIN_BINS + 1]])
    kinks = np.log(
        np.concatenate(
            [np.linspace(edge[j], edge[j + 1], KINKS_PER_BIN + 1)[:-1] for j in range(MIN_BINS, k - MIN_BINS + 1)]
        )
        + 0.5
    )
    columns = np.stack([_lines(int(step), bins) for step in steps])
    bends = _bends(kinks, bins)
    bases = np.linalg.qr(columns)[0]
    bases[0, :, 2:] = 0.0  # without a step there is one line
    left = bends - np.einsum("skc,shc->shk", bases, np.einsum("skc,hk->shc", bases, bends))
    length = np.linalg.norm(left, axis=2, keepdims=True)
    step_bin = np.searchsorted(edge, steps, side="left")  # whole bins up to the cut one, that one included
    kink_bin = np.searchsorted(edge, np.exp(kinks) - 0.5, side="right") - 1
    apart = (kink_bin - np.where(steps > 0, step_bin, 0)[:, None] >= MIN_BINS)[:, :, None]
    hinges = np.where(apart, left / np.where(length > 0, length, 1.0), 0.0)
    return Designs(steps, kinks, bases, hinges, columns)


def _lines(step: int, bins: Bins) -> Array:
    """Level and slope up to rank `step`, then level and slope after it, averaged in bins (K, 4)."""
    edge, size, sum_x = np.append(bins.start, bins.n), bins.size, bins.sum_x
    cut = np.clip(step, edge[:-1], edge[1:])
    count, total = cut - edge[:-1], sum_x[cut] - sum_x[edge[:-1]]
    if step == 0:  # the line first, then filling that spans nothing new in what the fit uses
        return np.stack([np.ones(len(size)), bins.x, bins.x**2, bins.x**3], axis=1)
    return np.stack([count, total, size - count, np.diff(sum_x[edge]) - total], axis=1) / size[:, None]


def _bends(kinks: Array, bins: Bins) -> Array:
    """max(ln rank - kink, 0) averaged in bins (H, K), for `kinks` (H,)."""
    edge = np.append(bins.start, bins.n)
    cut = np.clip(np.exp(kinks).astype(np.int64)[:, None], edge[:-1], edge[1:])  # ranks up to here stay straight
    bends: Array = (bins.sum_x[edge[1:]] - bins.sum_x[cut] - kinks[:, None] * (edge[1:] - cut)) / bins.size
    return bends


def last_elbow(n: int, n_bins: int = N_BINS) -> float:
    """The largest rank at which the second breakpoint of `n` ranks is sought.

    >>> round(last_elbow(1536))
    874
    """
    return float(np.exp(_designs(n, n_bins).kinks[-1]))


def bin_curves(values: Array, n_bins: int = N_BINS) -> Array:
    """Mean ln value per rank bin (B, K) of B sets of n positive `values` (B, n), each ranked on its own."""
    ranked = np.sort(values, axis=1)[:, ::-1]
    bins = rank_bins(values.shape[1], n_bins)
    binned: Array = np.add.reduceat(np.log(ranked), bins.start, axis=1) / bins.size
    return binned


def fit_values(values: Array, n_bins: int = N_BINS) -> Regimes:
    """Regimes of B sets of values (B, n): each ranked on its own, zeros removed.

    Sets with NaN, with fewer than `MIN_RANKS` positive values, or whose curve bends down nowhere, get NaN.
    """
    positive = np.where(np.isnan(values).any(axis=1), 0, (values > 0).sum(axis=1))
    result = no_regimes(len(values))
    for n in np.unique(positive[positive >= MIN_RANKS]):
        rows = np.flatnonzero(positive == n)
        ranked = -np.sort(-values[rows], axis=1)[:, :n]
        curves = bin_curves(ranked, n_bins)
        for start in range(0, len(rows), _CURVES_AT_ONCE):
            part = slice(start, start + _CURVES_AT_ONCE)
            put(result, rows[part], fit_binned(curves[part], int(n), n_bins))
    return result


def fit_binned(curves: Array, n: int, n_bins: int = N_BINS) -> Regimes:
    """Regimes of B binned curves (B, K) of n ranks each: the exhaustive least-squares fit and its BIC."""
    designs = _designs(n, n_bins)
    k = curves.shape[1]
    # the constant is in every design; without it the sums of squares lose fewer digits
    centred = curves - curves.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    fits = (centred @ designs.bases.transpose(1, 0, 2).reshape(k, -1)).reshape(len(curves), -1, 4)
    by_step = np.einsum("bsc,bsc->bs", fits, fits)  # explained by the lines alone (B, S)
    bend = (centred @ designs.hinges.reshape(-1, k).T).reshape(len(curves), len(designs.steps), -1)
    kink_alone = (bend[:, 0] ** 2).max(axis=1)
    # the last regime is a decay: steeper than the middle one, so the line bends down, and of one step the kink with the
    # most negative product explains most
    pairs, row = bend[:, 1:], np.arange(len(curves))
    least = pairs.min(axis=2)  # (B, S - 1)
    explained = np.where(least < 0, least**2, -np.inf) + by_step[:, 1:]
    step = explained.argmax(axis=1)
    kink = pairs[row, step].argmin(axis=1)
    most = explained[row, step]

    def bic(explained: Array, n_parameters: int) -> Array:
        # a perfect fit leaves only rounding
        rss = np.maximum(total - explained, 1e-12 * np.maximum(total, 1e-300))
        result: Array = k * np.log(rss / k) + n_parameters * np.log(k)
        return result

    # coefficients and, for each breakpoint, one parameter more
    bic2 = bic(most, 7)
    bic1 = np.minimum(bic(by_step[:, 0] + kink_alone, 4), bic(by_step[:, 1:].max(axis=1), 5))
    bins, lines = rank_bins(n, n_bins), designs.columns[step + 1]
    place = _refine(lines, designs.kinks, kink, curves, bins)
    coefficients = _coefficients(lines, _bends(place, bins), curves)
    last = designs.steps[step + 1].astype(np.float64)
    quantity = _quantities(coefficients, last, place, n)
    is_plateau = np.abs(coefficients[:, 1]) < PLATEAU_RATIO * np.abs(coefficients[:, 3])
    found = np.isfinite(most)
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


def _coefficients(lines: Array, bends: Array, curves: Array) -> Array:
    """Least-squares coefficients (B, 5): level, slope, level, slope, change of slope; `lines` (B, K, 4) and so on."""
    orthonormal, triangle = np.linalg.qr(np.concatenate([lines, bends[:, :, None]], axis=2))
    projected = np.einsum("bkc,bk->bc", orthonormal, curves)
    coefficients: Array = np.linalg.solve(triangle, projected[:, :, None])[:, :, 0]
    return coefficients


def _refine(lines: Array, kinks: Array, which: NDArray[np.int64], curves: Array, bins: Bins) -> Array:
    """Place of the kink (B,) between the candidates: one Gauss-Newton step (Muggeo, 2003, Statistics in Medicine 22).

    `lines` (B, K, 4) of each curve's step, `which` (B,) its best candidate of `kinks`. The derivative of a bin by the
    place of the kink is the share of its ranks beyond it.
    """
    start = kinks[which]
    edge = np.append(bins.start, bins.n)
    cut = np.clip(np.exp(start).astype(np.int64)[:, None], edge[:-1], edge[1:])
    beyond = (edge[1:] - cut) / bins.size  # (B, K)
    design = np.concatenate([lines, _bends(start, bins)[:, :, None], -beyond[:, :, None]], axis=2)
    orthonormal, triangle = np.linalg.qr(design)
    fitted = np.linalg.solve(triangle, np.einsum("bkc,bk->bc", orthonormal, curves)[:, :, None])[:, :, 0]
    change = np.where(fitted[:, 4] == 0, np.inf, fitted[:, 4])
    last = len(kinks) - 1
    refined: Array = np.clip(
        start + fitted[:, 5] / change, kinks[np.maximum(which - 1, 0)], kinks[np.minimum(which + 1, last)]
    )
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
