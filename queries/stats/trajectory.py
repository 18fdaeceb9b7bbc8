"""A quantity over the checkpoints of a training: paired changes since the first one, and when it emerged.

The same resamples of documents are drawn (or the same documents left out) at every checkpoint, so that what makes a
document easy or hard cancels in a change. Many checkpoints are looked at, so a change counts only if the simultaneous
95 % intervals exclude zero: their reach is the 95 % quantile, over the resamples, of the largest deviation at any
checkpoint, in standard errors.
A quantity has emerged from the first checkpoint on at which, and at every later one, it differs from the reference in
the same direction. Shapes: S checkpoints in their order, the first of which is the reference, B resamples.
Source: Westfall and Young (1993), Resampling-Based Multiple Testing (largest deviation over a family); Efron and
Tibshirani (1993), An Introduction to the Bootstrap, chapter 10 (bias).
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import MAX_ABSENT_SHARE, percentile_interval
from queries.stats.coordination import jackknife_error, jackknife_reach

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """One quantity: `value` (S,), its resamples `drawn` (S, B); `is_biased`: resampling stretches it once more."""

    value: Array
    drawn: Array
    is_biased: bool = True


@dataclass(frozen=True)
class Intervals:
    """Per checkpoint (S,): `estimate` with pointwise 95 % ends `low`, `high`; NaN where there is no answer."""

    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Changes:
    """Changes since the first checkpoint (S,): pointwise and simultaneous intervals, p corrected for all checkpoints.

    NaN at the first. `emerged` is the index of the checkpoint from which on the change stays out of zero, -1 if there
    is none; `sign` is its direction, 0 if there is none.
    """

    at: Intervals
    wide_low: Array
    wide_high: Array
    p: Array
    emerged: int
    sign: int

    def from_logarithms(self, first: float) -> "Changes":
        """Changes of logarithms as changes of the quantity itself, whose value at the first checkpoint is `first`."""
        low, high, at_low, at_high, change = (
            first * np.expm1(each)
            for each in (self.wide_low, self.wide_high, self.at.low, self.at.high, self.at.estimate)
        )
        return replace(self, at=Intervals(change, at_low, at_high), wide_low=low, wide_high=high)


def intervals(of: Trajectory, n_documents: int) -> Intervals:
    """Estimates, the bias of ranking noisy values taken out where there is one, and pointwise intervals.

    >>> of = Trajectory(np.array([1.2]), np.linspace(1.3, 1.5, 201)[None])
    >>> round(float(intervals(of, 1000).estimate[0]), 3)
    1.0
    """
    estimate, error = _corrected(of, n_documents)
    reach = 1.96 * error
    low, high = estimate - reach, estimate + reach
    if not of.is_biased:
        for i in np.flatnonzero(np.isfinite(error)):
            ends = percentile_interval(of.drawn[i])
            low[i], high[i] = min(float(ends[0]), estimate[i]), max(float(ends[1]), estimate[i])
    return Intervals(estimate, low, high)


def changes(of: Trajectory, n_documents: int, is_last: bool = True) -> Changes:
    """Changes since the first checkpoint; needs two checkpoints with an answer, the first of them.

    Without `is_last` the last checkpoint is what the others are measured by, and has no value of its own.

    >>> rng = np.random.default_rng(0)
    >>> shared, own = rng.standard_normal(999), rng.standard_normal((4, 999))
    >>> value = np.array([0.0, 0.0, 9.0, 9.0])
    >>> found = changes(Trajectory(value, value[:, None] + shared + own), 50)
    >>> found.emerged, found.sign
    (2, 1)
    """
    rounding = 1e-9 * np.nanmax(np.abs(of.value), initial=0.0)

    def rounded(part: Array) -> Array:
        return np.where(np.abs(part) > rounding, part, 0.0 * part)

    since = Trajectory(rounded(of.value - of.value[0]), rounded(of.drawn - of.drawn[0]), of.is_biased)
    estimate, error = _corrected(since, n_documents)
    estimate[0] = error[0] = np.nan
    known = np.isfinite(estimate) & np.isfinite(error)
    # the deviations of the resamples, in the errors that they have themselves: the widening for few documents is in
    # `error` and must not be taken back
    deviation = _largest_deviations(since.drawn[known])
    critical = float(np.nanquantile(deviation, 0.95)) if known.any() else np.nan
    critical = max(critical, 1.96)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(error > 0, np.abs(estimate) / error, np.where(estimate == 0, 0.0, np.inf))
    p = np.full(len(estimate), np.nan)
    n = int(np.isfinite(deviation).sum())
    p[known] = [(1 + int((deviation >= each).sum())) / (1 + n) for each in size[known]]
    reach = 1.96 * error
    low, high = estimate - critical * error, estimate + critical * error
    end = None if is_last else -1
    emerged, sign = _emergence(low[:end], high[:end])
    return Changes(Intervals(estimate, estimate - reach, estimate + reach), low, high, p, emerged, sign)


def jackknifed(value: Array, left_out: Array) -> tuple[Intervals, Changes]:
    """`intervals` and `changes` of `value` (S,) from `left_out` (S, G), without one of G groups of documents at a time.

    For what resamples with documents drawn twice would shrink. The simultaneous intervals are Bonferroni's, by
    Student's t with G - 1 degrees of freedom; NaN below 5 groups. Source: Kott (2001), Journal of Official Statistics
    17, 521 (delete-a-group jackknife).

    >>> value = np.array([0.5, 0.5, 0.3])
    >>> left_out = value[:, None] + np.array([0.01, -0.01, 0.0, 0.02, -0.02])
    >>> jackknifed(value, left_out + np.array([[0.0], [0.0], [0.01]]) * np.arange(-2, 3))[1].p.round(3)
    array([  nan, 1.   , 0.004])
    """
    freedom = max(left_out.shape[1] - 1, 1)
    reach = jackknife_reach(left_out.T)
    rounding = 1e-9 * np.nanmax(np.abs(value), initial=0.0)
    since, apart = (
        np.where(np.abs(each) > rounding, each, 0.0 * each) for each in (value - value[0], left_out - left_out[0])
    )
    since[0] = np.nan
    at = Intervals(value, value - reach, value + reach)
    return at, changes_of_errors(since, jackknife_error(apart.T), freedom)


def changes_of_errors(since: Array, error: Array, freedom: int) -> Changes:
    """Changes `since` (S,) the first checkpoint, NaN there, from their standard errors (S,) with degrees of freedom.

    By Student's t; the simultaneous intervals and p are Bonferroni's. A change without a measured error has neither.
    """
    n_changes = max(1, len(since) - 1)
    error = np.where(np.isnan(since) | ((error == 0) & (since != 0)), np.nan, error)
    reach, wide = (stats.t.ppf(1 - 0.025 / n, freedom) * error for n in (1, n_changes))
    size = np.abs(since) / np.where(error > 0, error, 1.0)
    p = np.where(np.isnan(error), np.nan, np.minimum(1.0, 2 * n_changes * stats.t.sf(size, freedom)))
    low, high = since - wide, since + wide
    emerged, sign = _emergence(low, high)
    return Changes(Intervals(since, since - reach, since + reach), low, high, p, emerged, sign)


def _corrected(of: Trajectory, n_documents: int) -> tuple[Array, Array]:
    """Estimate and standard error (S,); NaN where the value or more than 5 % of the resamples have no answer.

    The error is widened for few documents, by sqrt(D / (D - 1)) and Student's t over the normal quantile; the size of
    the correction, itself uncertain by about so much, is added as an independent error.
    """
    estimate, error = of.value.copy(), np.full(len(of.value), np.nan)
    if n_documents < 2:
        return np.full(len(of.value), np.nan), error
    widening = np.sqrt(n_documents / (n_documents - 1)) * stats.t.ppf(0.975, n_documents - 1) / 1.96
    for i, drawn in enumerate(of.drawn):
        if np.isnan(of.value[i]) or np.isnan(drawn).mean() > MAX_ABSENT_SHARE:
            estimate[i] = np.nan
            continue
        bias = float(np.nanmedian(drawn)) - of.value[i] if of.is_biased else 0.0
        low, high = percentile_interval(drawn)
        spread = max(float(np.nanstd(drawn)), float(high - low) / (2 * 1.96))
        estimate[i] -= bias
        error[i] = np.hypot(widening * spread, bias / 1.96)
    return estimate, error


def _largest_deviations(drawn: Array) -> Array:
    """In each resample, the largest deviation from the mean of the resamples at any checkpoint (B,), in their sd."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample without the class, a checkpoint that never varies
        spread = np.nanstd(drawn, axis=1, keepdims=True)
        deviation = np.abs(drawn - np.nanmean(drawn, axis=1, keepdims=True)) / np.where(spread > 0, spread, np.nan)
        largest: Array = np.nanmax(deviation, axis=0, initial=0.0)
    return largest


def _emergence(low: Array, high: Array) -> tuple[int, int]:
    """Index of the first checkpoint from which on the intervals stay on one side of zero, and the side."""
    side = np.where(low > 0, 1, np.where(high < 0, -1, 0))  # NaN: neither
    if len(side) < 2 or side[-1] == 0:
        return -1, 0
    other = np.flatnonzero(side != side[-1])  # the reference is one of them
    return int(other[-1]) + 1, int(side[-1])
