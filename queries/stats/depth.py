"""Does a number rise or fall with depth? Spearman's rank correlation of L layers' numbers with the layer.

Its interval says how well the numbers of these layers are known, from replicates that leave out documents or resample
neurons; its p asks whether as steady an order of so many layers comes by chance, from permuted layers.
Source: Spearman (1904), Am. J. Psychol. 15, 72; Efron and Tibshirani (1993), chapter 11.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.contrast import studentise

Array = NDArray[np.float64]
MIN_LAYERS = 5
N_PERMUTATIONS = 1999
P_FLOOR = 1 / (N_PERMUTATIONS + 1)


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


def depth_trend(values: Array, replicates: Array, rng: np.random.Generator, *, jackknife: bool) -> DepthTrend:
    """The trend of `values` (L,), layers in order; `replicates` (R, L) leave out documents, or resample neurons.

    >>> depth_trend(np.arange(3.0), np.zeros((9, 3)), np.random.default_rng(0), jackknife=True).reason
    '3 layers; at least 5 are needed'
    """
    nan = float("nan")
    if len(values) < MIN_LAYERS:
        return DepthTrend(nan, nan, nan, nan, f"{len(values)} layers; at least {MIN_LAYERS} are needed")
    rho = float(rank_correlation(values))
    if np.isnan(rho):
        return DepthTrend(nan, nan, nan, nan, "no number in some layer, or the same in all")
    shuffled = rng.permuted(np.tile(values, (N_PERMUTATIONS, 1)), axis=1)
    p = (1 + int((np.abs(rank_correlation(shuffled)) >= abs(rho) - 1e-12).sum())) / (N_PERMUTATIONS + 1)
    each = rank_correlation(replicates) if len(replicates) else np.zeros(0)
    if len(each) < 2 or np.isnan(each).any():
        return DepthTrend(rho, nan, nan, p, "too few documents for an interval")
    if jackknife:
        z = np.arctanh(np.clip(np.append(each, rho), -1 + 1e-6, 1 - 1e-6))
        found = studentise(z[-1:], z[:-1, None])
        low, high = float(np.tanh(found.low[0])), float(np.tanh(found.high[0]))
        if np.isnan(low):  # no replicate moves a rank
            low = high = rho
    else:
        low, high = (float(end) for end in np.percentile(each, [2.5, 97.5]))
    return DepthTrend(rho, min(low, rho), max(high, rho), p)
