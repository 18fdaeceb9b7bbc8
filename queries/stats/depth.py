"""Does a number rise or fall with depth? Spearman's rank correlation of L layers' numbers with the layer.

Its interval says how well the order of these layers is known, from layers drawn again with the errors that leaving out
documents, or resampling neurons, gives them. (A jackknife of the ranks themselves would not do: leaving out a document
moves a number by much less than its error, so often no rank moves at all.)

Its p asks whether the numbers have a direction. Neighbouring layers are alike, so layers in random order are no null:
series that wander without one pass for trends more often than not. A walk without a direction steps up as readily as
down. So the steps from layer to layer get random signs, and p is how often such a walk is as steady; for numbers that
scatter about a level it is too large, never too small.
Source: Spearman (1904), Am. J. Psychol. 15, 72; Efron and Tibshirani (1993), chapter 11; Yule (1926), J. R. Statist.
Soc. 89, 1, for correlations of series that wander; Good (2005), chapter 3 (symmetric steps).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.words import counted

Array = NDArray[np.float64]
MIN_LAYERS = 5
N_FLIPS = 1999
P_FLOOR = 1 / (N_FLIPS + 1)
N_DRAWS = 2000


@dataclass(frozen=True)
class DepthTrend:
    """Rank correlation with depth, its 95 % interval and two-sided p; NaN with a `reason` where there is no answer."""

    rho: float
    low: float
    high: float
    p: float
    reason: str = ""


def rank_correlation(values: Array) -> Array:
    """Spearman's correlation (...) of `values` (..., L) with 0..L-1; NaN where a value is, or where all are equal.

    >>> rank_correlation(np.array([[1.0, 4.0, 9.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]]))
    array([ 1., -1., nan])
    """
    ranks = stats.rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    depth = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
    length = np.sqrt((ranks**2).sum(axis=-1) * (depth**2).sum())
    known = (length > 0) & np.isfinite(values).all(axis=-1)
    found: Array = np.where(known, ranks @ depth / np.where(length > 0, length, 1.0), np.nan)
    return found


def least_p(n_layers: int) -> float:
    """The smallest p that so many layers can have: that of steps that all go one way.

    >>> least_p(6), least_p(7)
    (0.0625, 0.03125)
    """
    return max(P_FLOOR, 2.0 ** (2 - n_layers))


def too_few_layers(n_layers: int) -> str:
    """Why so many layers, fewer than `MIN_LAYERS`, have no trend.

    >>> too_few_layers(1)
    '1 layer is too few for a trend (at least 5)'
    """
    return (
        f"{counted(n_layers, 'layer')} {'is' if n_layers == 1 else 'are'} too few for a trend (at least {MIN_LAYERS})"
    )


def walk_p(values: Array, rng: np.random.Generator, n_flips: int = N_FLIPS) -> float:
    """Two-sided p of the rank correlation of `values` (L,) among walks whose steps have random signs."""
    signs = rng.integers(0, 2, size=(n_flips, len(values) - 1)) * 2.0 - 1.0
    # steps that are equal but for rounding are equal: ties of the data stay ties
    walks = np.cumsum(np.column_stack([np.zeros(n_flips), signs * np.diff(values)]), axis=1)
    walks = np.round(walks / max(float(np.abs(walks).max()), np.finfo(float).tiny), 12)
    reached = np.abs(rank_correlation(walks)) >= abs(float(rank_correlation(values))) - 1e-12
    return (1 + int(reached.sum())) / (n_flips + 1)


def jackknife_draws(values: Array, without: Array, rng: np.random.Generator, n_draws: int = N_DRAWS) -> Array:
    """Layers (B, L) as other documents might give them, from `values` (L,) and what is left without each part (P, L).

    Normal with the covariance of the jackknife, over a chi for as few parts: Student's t in every direction.
    """
    n = len(without)
    spread = (without - without.mean(axis=0)) * np.sqrt((n - 1) / n)
    size = np.sqrt((n - 1) / rng.chisquare(n - 1, size=(n_draws, 1)))
    drawn: Array = values + size * (rng.standard_normal((n_draws, n)) @ spread)
    return drawn


def _no_interval(replicates: Array, jackknife: bool) -> str:
    """Why `replicates` (R, L) give a trend no interval; empty where they give one."""
    if len(replicates) < 2:
        return "too few documents for an interval"
    if not np.isfinite(replicates).all():
        return "no interval: some layer has no number without some documents"
    if jackknife and not np.ptp(replicates, axis=0).any():
        return "no document changes any layer's number"
    return ""


def depth_trend(values: Array, replicates: Array, rng: np.random.Generator, *, jackknife: bool) -> DepthTrend:
    """The trend of `values` (L,), layers in order; `replicates` (R, L) leave out documents, or resample neurons.

    >>> depth_trend(np.arange(3.0), np.zeros((9, 3)), np.random.default_rng(0), jackknife=True).reason
    '3 layers are too few for a trend (at least 5)'
    """
    nan = float("nan")
    if len(values) < MIN_LAYERS:
        return DepthTrend(nan, nan, nan, nan, too_few_layers(len(values)))
    rho = float(rank_correlation(values))
    if np.isnan(rho):
        return DepthTrend(nan, nan, nan, nan, "no number in some layer, or the same in all")
    p = walk_p(values, rng)
    if reason := _no_interval(replicates, jackknife):
        return DepthTrend(rho, nan, nan, p, reason)
    drawn = rank_correlation(jackknife_draws(values, replicates, rng) if jackknife else replicates)
    if np.isnan(drawn).any():
        return DepthTrend(rho, nan, nan, p, "the same number in all layers but for chance")
    low, high = (float(end) for end in np.percentile(drawn, [2.5, 97.5]))
    return DepthTrend(rho, min(low, rho), max(high, rho), p)
