"""Intervals of what is read off a re-ranked curve: bias-corrected estimates, percentile intervals of places.

Ranking noisy values stretches them: the best are partly lucky. A resample that is ranked again stretches them once
more, by about as much, so the middle of the replicates minus the estimate measures the bias that the estimate already
has. Levels and slopes are therefore corrected by it once, and the interval around the corrected value has the larger
half-width of the replicates, widened for few documents (Student's t and D - 1), and combined, as independent errors
are, with the size of the correction, which is itself uncertain by about so much. Places on the rank axis and shares
are hardly biased; theirs is the percentile interval.
Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 10.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import MAX_ABSENT_SHARE, percentile_interval
from queries.stats.three_regimes import QUANTITIES

Array = NDArray[np.float64]

CORRECTED = ("kappa", "plateau_slope", "decay_slope", "plateau_excess")


@dataclass(frozen=True)
class Corrected:
    """Estimates with intervals of the nine quantities, each (9,)."""

    estimate: Array
    low: Array
    high: Array


def correct(observed: Array, drawn: Array, n_documents: int) -> Corrected:
    """From `observed` (9,) and replicates `drawn` (B, 9); NaN where more than 5 % of the replicates are NaN."""
    estimate, low, high = observed.copy(), np.full(len(observed), np.nan), np.full(len(observed), np.nan)
    for i, quantity in enumerate(QUANTITIES):
        values = drawn[:, i]
        if np.isnan(observed[i]) or np.isnan(values).mean() > MAX_ABSENT_SHARE:
            continue
        if quantity in CORRECTED:
            estimate[i], low[i], high[i] = correct_level(float(observed[i]), values, n_documents)
        else:
            lower, upper = percentile_interval(values)
            low[i], high[i] = min(float(lower), observed[i]), max(float(upper), observed[i])
    return Corrected(estimate, low, high)


def correct_level(observed: float, drawn: Array, n_documents: int) -> tuple[float, float, float]:
    """A level without its bias, and its interval, from the value `observed` and its replicates `drawn` (B,).

    >>> round(correct_level(1.2, np.linspace(1.3, 1.5, 201), 1000)[0], 3)
    1.0
    """
    # sd of a resample is short of the true one by sqrt((D - 1) / D), and its normal quantile by t / z
    widening = float(np.sqrt(n_documents / (n_documents - 1)) * stats.t.ppf(0.975, n_documents - 1) / 1.96)
    lower, upper = percentile_interval(drawn)
    middle = float(np.nanmedian(drawn))
    estimate = 2 * observed - middle
    reach = float(np.hypot(widening * max(upper - middle, middle - lower), middle - observed))
    return estimate, estimate - reach, estimate + reach
