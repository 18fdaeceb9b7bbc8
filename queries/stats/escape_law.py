"""First steps at which something holds, between the checkpoints that are there, and their law over weight decays.

ln tau = a + b ln(WD), a power law, against ln tau = a + b WD, an exponential: least squares on ln tau, compared by
AIC and BIC of a normal law of the residuals. Shapes: T checkpoints, R runs.
Source: Yang (2026), arXiv 2605.24057 (the law and its published table); Burnham and Anderson (2002), section 2.2 (AIC);
Schwarz (1978), Ann. Statist. 6, 461 (BIC).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.words import counted

Array = NDArray[np.float64]
Steps = NDArray[np.int64]

MIN_RUNS = 4  # as many decays are needed: two parameters and a variance


@dataclass(frozen=True)
class FirstStep:
    """The step is in (low, high]; `step` is between them in ln(1 + step). NaN with a `reason` where it is not seen."""

    step: float
    low: float
    high: float
    reason: str = ""


def first_above(step: Steps, values: Array, threshold: float) -> FirstStep:
    """The first of the checkpoints `step` (T,) whose value (T,) is above the threshold, and the one before it.

    >>> first_above(np.array([0, 9, 99]), np.array([0.1, 0.5, 1.0]), 0.99).low
    9.0
    """
    nan = float("nan")
    if not np.isfinite(values).any():
        return FirstStep(nan, nan, nan, "no value at any checkpoint")
    above = np.flatnonzero(values > threshold)
    if not len(above):
        return FirstStep(nan, nan, nan, f"censored: not above {threshold:g} up to the last checkpoint, step {step[-1]}")
    i = int(above[0])
    if i == 0:
        return FirstStep(nan, nan, nan, f"above {threshold:g} at the first checkpoint, step {step[0]}, already")
    middle = np.expm1((np.log1p(step[i - 1]) + np.log1p(step[i])) / 2)
    return FirstStep(float(middle), float(step[i - 1]), float(step[i]))


@dataclass(frozen=True)
class LawFit:
    """ln tau = intercept + slope * predictor: slope with its 95 % interval, AIC and BIC; NaN with a `reason`."""

    intercept: float
    slope: float
    low: float
    high: float
    aic: float
    bic: float
    reason: str = ""


def law_fit(predictor: Array, tau: Array) -> LawFit:
    """Least squares of ln tau (R,) on the predictor (R,), ln WD or WD.

    >>> x = np.arange(4.0)
    >>> round(law_fit(x, np.exp(1 + 2 * x + np.array([0.1, -0.1, -0.1, 0.1]))).slope, 6)
    2.0
    """
    nan = float("nan")
    n = len(predictor)
    if len(np.unique(predictor)) < MIN_RUNS:
        reason = f"{counted(len(np.unique(predictor)), 'weight decay')} with an escape; at least {MIN_RUNS} are needed"
        return LawFit(nan, nan, nan, nan, nan, nan, reason)
    found = stats.linregress(predictor, np.log(tau))
    residual = np.log(tau) - found.intercept - found.slope * predictor
    deviance = n * float(np.log(max((residual**2).mean(), 1e-300)))
    reach = stats.t.ppf(0.975, n - 2) * found.stderr
    return LawFit(
        float(found.intercept), float(found.slope), float(found.slope - reach), float(found.slope + reach),
        deviance + 6, deviance + 3 * float(np.log(n)),
    )  # fmt: skip
