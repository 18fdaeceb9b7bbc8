"""Laws of which a power is gamma distributed, by maximum likelihood: gamma, Weibull and generalised gamma.

Source: Prentice (1974), Biometrika 61, 539, for the generalised gamma law; Minka (2002), Estimating a Gamma
distribution, for its shape.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special

from queries.stats.fitted_law import SmoothLaw, law

Array = NDArray[np.float64]

# Points of the grid of ln odds, out to those of the smallest share, on which quantiles of a gamma law are exact;
# between them the error is below 1e-10 of the quantile for these shapes.
_NODES, _FARTHEST, _SHAPES = 1 << 13, 37.0, (0.1, 1e4)


def _gamma_shape(gap: float) -> float:
    """Maximum-likelihood shape k of a gamma law from ln mean - mean ln: the root of ln k - psi(k) = gap."""
    gap = max(gap, 1e-12)
    guess = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(8):
        slope = 1 / guess - special.polygamma(1, guess)
        guess = 1 / (1 / guess + (np.log(guess) - special.psi(guess) - gap) / (guess**2 * slope))
    return float(guess)


def _gamma_power(logs: Array, power: float) -> tuple[float, float]:
    """Shape and ln scale of the gamma law of x ** power by maximum likelihood, from ln x."""
    log_mean = float(special.logsumexp(power * logs)) - float(np.log(len(logs)))
    shape = _gamma_shape(log_mean - power * float(logs.mean()))
    return shape, log_mean - float(np.log(shape))


def _log_gamma_quantile(shape: float, u: Array) -> Array:
    """Ln of the quantiles of a gamma law at the shares `u`; of many shares by a spline, many times faster."""
    if u.size > 2 * _NODES and _SHAPES[0] <= shape <= _SHAPES[1] and shape != 1.0:
        odds = np.linspace(-_FARTHEST, _FARTHEST, _NODES)
        low, high = special.expit(odds[odds < 0]), special.expit(-odds[odds >= 0])
        exact = np.concatenate([special.gammaincinv(shape, low), special.gammainccinv(shape, high)])
        spline = interpolate.CubicSpline(odds, np.log(exact))
        return np.asarray(spline(np.clip(special.logit(u), -_FARTHEST, _FARTHEST)))
    quantile = -np.log1p(-u) if shape == 1.0 else special.gammaincinv(shape, u)
    # one below the smallest number counts as that number
    return np.asarray(np.log(np.maximum(quantile, 1e-300)))


def _power_of_gamma(name: str, values: Array, shape: float, power: float, log_scale: float) -> SmoothLaw:
    """The law of x when x ** power is gamma distributed."""

    def logpdf(x: Array) -> Array:
        logs = power * np.log(x) - log_scale
        result: Array = shape * logs - np.exp(logs) - np.log(x) + np.log(power) - special.gammaln(shape)
        return result

    def ppf(u: Array) -> Array:
        result: Array = np.exp((_log_gamma_quantile(shape, u) + log_scale) / power)
        return result

    size = float(np.exp(log_scale / power)) if abs(log_scale / power) < 700 else float("nan")
    parameters = {"weibull": (power, size), "gamma": (shape, size)}.get(name, (shape, power, size))
    return law(name, parameters, values, logpdf, ppf)


def gamma(values: Array) -> SmoothLaw:
    """The gamma law fitted to positive `values` (N,)."""
    shape, log_scale = _gamma_power(np.log(values), 1.0)
    return _power_of_gamma("gamma", values, shape, 1.0, log_scale)


def _weibull_power(logs: Array) -> float:
    """Logarithm of 1.28 / sd of ln x: near the ln power of a Weibull law, where searches begin."""
    return float(np.log(1.28 / max(float(logs.std()), 1e-9)))


def weibull(values: Array) -> SmoothLaw:
    """The Weibull law fitted to positive `values` (N,)."""
    logs = np.log(values)

    def score(log_power: float) -> float:
        power = np.exp(log_power)
        weight = special.softmax(power * logs)
        return float(weight @ logs - logs.mean() - 1 / power)

    centre = _weibull_power(logs)  # the score rises with the power
    power = float(np.exp(optimize.brentq(score, centre - 5, centre + 5, xtol=1e-10)))
    log_scale = float(special.logsumexp(power * logs) - np.log(len(logs)))
    return _power_of_gamma("weibull", values, 1.0, power, log_scale)


def generalised_gamma(values: Array) -> SmoothLaw:
    """The law of which a power is gamma distributed, fitted to positive `values` (N,)."""
    logs = np.log(values)

    def cost(log_power: float) -> float:
        power = float(np.exp(log_power))
        shape, log_scale = _gamma_power(logs, power)
        # minus the mean log density; the mean of x ** power / scale is the shape
        return float(special.gammaln(shape) + shape * (1 + log_scale - power * logs.mean()) - log_power)

    # at the centre is the Weibull law, towards small powers the lognormal
    centre = _weibull_power(logs)
    best = optimize.minimize_scalar(cost, bounds=(centre - 4, centre + 3), method="bounded", options={"xatol": 1e-6})
    power = float(np.exp(best.x))
    shape, log_scale = _gamma_power(logs, power)
    return _power_of_gamma("generalised_gamma", values, shape, power, log_scale)
