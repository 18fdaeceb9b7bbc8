"""Smooth laws of positive values by maximum likelihood: what a ranked curve must beat to show a separate plateau.

Eight laws: half-normal, exponential, Weibull, gamma, lognormal, generalised gamma, the lognormal body with a power-law
tail (Pareto-lognormal), and the power law with exponential cut-off above the smallest value. Each is fitted in closed
form or by a search over at most three parameters; powers of the values are held as logarithms, so no unit and no
outlier overflows.
Those with a gamma distributed power are in `queries.stats.gamma_laws`.
Source: Clauset, Shalizi and Newman (2009), SIAM Review 51, 661; Reed and Jorgensen (2004), Communications in Statistics
33, 1733, for the Pareto-lognormal law.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from queries.stats.fitted_law import SmoothLaw, law
from queries.stats.gamma_laws import gamma, generalised_gamma, weibull

Array = NDArray[np.float64]

# Points of the grid in ln x on which the cut-off power law is normalised; the error is about 1e-7 of the integral.
_GRID = 2000
# Standard deviation of ln x below which values count as equal.
MIN_SPREAD = 1e-8


def fit_smooth_laws(values: Array) -> list[SmoothLaw]:
    """The eight laws fitted to positive `values` (N,), best BIC first. Raises ValueError on anything else."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("smooth laws need finite positive values")
    if len(values) < 2 or float(np.log(values).std()) < MIN_SPREAD:
        raise ValueError("smooth laws need values that differ")
    return sorted((fit(values) for fit in _FITS.values()), key=lambda law: law.bic)


def fit_smooth_law(name: str, values: Array) -> SmoothLaw:
    """One law by its name: a key of `SMOOTH_LAWS`."""
    return _FITS[name](np.asarray(values, dtype=np.float64))


def _exp_within(free: float, low: float, high: float) -> float:
    """Exp of a free parameter held between two ends."""
    return float(np.exp(min(max(free, low), high)))


def _half_normal(values: Array) -> SmoothLaw:
    scale = float(np.sqrt((values**2).mean()))

    def logpdf(x: Array) -> Array:
        result: Array = 0.5 * np.log(2.0 / np.pi) - np.log(scale) - 0.5 * (x / scale) ** 2
        return result

    def ppf(u: Array) -> Array:
        result: Array = scale * special.ndtri(0.5 + 0.5 * u)
        return result

    return law("half_normal", (scale,), values, logpdf, ppf)


def _exponential(values: Array) -> SmoothLaw:
    scale = float(values.mean())
    return law("exponential", (scale,), values, lambda x: -np.log(scale) - x / scale, lambda u: -scale * np.log1p(-u))


def _lognormal(values: Array) -> SmoothLaw:
    mean = float(np.log(values).mean())
    sd = max(float(np.log(values).std()), 1e-9)

    def logpdf(x: Array) -> Array:
        z = (np.log(x) - mean) / sd
        result: Array = -0.5 * z**2 - np.log(x * sd) - 0.5 * np.log(2.0 * np.pi)
        return result

    return law("lognormal", (mean, sd), values, logpdf, lambda u: np.exp(mean + sd * special.ndtri(u)))


def _pareto_lognormal(values: Array) -> SmoothLaw:
    """The law with ln x normal (mean, sd) plus an exponential excess of mean 1 / exponent."""
    logs = np.log(values)
    centre, spread = float(logs.mean()), float(logs.std())

    def log_excess(t: Array, mean: float, sd: float, exponent: float) -> Array:
        """Log of survival of ln x minus that of the normal part alone."""
        z, ratio = (t - mean) / sd, exponent * sd
        result: Array = ratio * (ratio / 2 - z) + special.log_ndtr(z - ratio)
        return result

    least, most = float(np.log(0.01)), float(np.log(100.0))

    def unpack(free: Array) -> tuple[float, float, float]:
        # with a ratio of 100 the law is lognormal, with 0.01 a power law
        sd = spread * _exp_within(free[1], -5.0, 3.0)
        return centre + spread * float(free[0]), sd, _exp_within(free[2], least, most) / sd

    def cost(free: Array) -> float:
        mean, sd, exponent = unpack(free)
        return -float(np.log(exponent) + log_excess(logs, mean, sd, exponent).sum() / len(logs))

    starts = ((-0.4, -0.3, 0.3), (-0.8, -1.5, -1.0), (0.0, 0.0, 2.5))
    options = {"xatol": 1e-5, "fatol": 1e-9, "maxiter": 1000}
    fits = [optimize.minimize(cost, start, method="Nelder-Mead", options=options) for start in starts]
    mean, sd, exponent = unpack(min(fits, key=lambda fit: float(fit.fun)).x)
    grid = np.concatenate(
        [
            mean + sd * np.linspace(-12.0, 8.0, _GRID, endpoint=False),
            mean + 8.0 * sd + (4.0 * sd + 50.0 / exponent) * np.linspace(0.0, 1.0, _GRID),
        ]
    )
    z, excess = (grid - mean) / sd, log_excess(grid, mean, sd, exponent)
    below = special.log_ndtr(z)
    log_cdf = below + np.log(-np.expm1(np.minimum(excess - below, -1e-15)))
    log_odds = np.maximum.accumulate(log_cdf - np.logaddexp(special.log_ndtr(-z), excess))

    def ppf(u: Array) -> Array:
        # far out the line of ln odds against ln x is nearly straight
        with np.errstate(divide="ignore"):
            logs: Array = np.interp(special.logit(u), log_odds, grid)
        return np.asarray(np.exp(logs))

    def logpdf(x: Array) -> Array:
        result: Array = np.log(exponent) - np.log(x) + log_excess(np.log(x), mean, sd, exponent)
        return result

    return law("pareto_lognormal", (mean, sd, exponent), values, logpdf, ppf)


def _cutoff_grid(exponent: float, rate: float, top: float) -> tuple[Array, Array, float]:
    """Grid of ln(x / xmin), log density in ln x on it, and the log of its integral, for x^-exponent e^(-rate x)."""
    # beyond 40 / rate the cut-off leaves nothing; without a cut-off the tail must still be inside
    end = min(max(top, float(np.log1p(40.0 / rate))), 60.0)
    grid = np.linspace(0.0, end, _GRID)
    density = (1.0 - exponent) * grid - rate * np.expm1(grid)
    step = grid[1]
    weight = np.full(_GRID, np.log(step))
    weight[[0, -1]] -= np.log(2.0)
    peak = float((density + weight).max())
    return grid, density, peak + float(np.log(np.exp(density + weight - peak).sum()))


def _truncated_power_law(values: Array) -> SmoothLaw:
    low = float(values.min())
    scaled = values / low
    logs = np.log(scaled)
    mean_log, mean, top = float(logs.mean()), float(scaled.mean()), float(logs.max())

    def cost(free: Array) -> float:
        exponent, rate = float(free[0]), _exp_within(free[1], -30.0, 10.0)
        return exponent * mean_log + rate * (mean - 1) + _cutoff_grid(exponent, rate, top)[2]

    starts = [(1.0 + 1.0 / max(mean_log, 1e-9), -np.log(scaled.max())), (0.0, -np.log(max(mean, 1.0 + 1e-9)))]
    fits = [
        optimize.minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}) for start in starts
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    exponent, rate = float(best.x[0]), _exp_within(best.x[1], -30.0, 10.0)
    grid, density, log_total = _cutoff_grid(exponent, rate, top)
    mass = np.exp(density - density.max())
    share = np.concatenate([[0.0], np.cumsum(0.5 * (mass[1:] + mass[:-1]))])
    share /= share[-1]

    def logpdf(x: Array) -> Array:
        z = x / low
        result: Array = -exponent * np.log(z) - rate * (z - 1) - log_total - np.log(low)
        return result

    def ppf(u: Array) -> Array:
        return low * np.exp(np.interp(u, share, grid))

    return law("truncated_power_law", (exponent, rate / low, low), values, logpdf, ppf)


_FITS: dict[str, Callable[[Array], SmoothLaw]] = {
    "half_normal": _half_normal,
    "exponential": _exponential,
    "weibull": weibull,
    "gamma": gamma,
    "lognormal": _lognormal,
    "generalised_gamma": generalised_gamma,
    "pareto_lognormal": _pareto_lognormal,
    "truncated_power_law": _truncated_power_law,
}
SMOOTH_LAWS = tuple(_FITS)
