"""Power law of the tail by maximum likelihood above a threshold that the Kolmogorov-Smirnov distance chooses.

The density exponent is alpha: p(x) ~ x^-alpha above xmin, and the share of values above x falls as x^-(alpha - 1).
All thresholds are tried in one pass over arrays: the exponents of all of them come from one cumulative sum, and a lower
bound of each distance, from a few of its points, leaves only a few that need the exact one.
Source: Clauset, Shalizi and Newman (2009), SIAM Review 51, 661, sections 3.1, 3.3, 4.1 and 5; Vuong (1989),
Econometrica 57, 307, for the comparison with rivals of the same tail.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

MIN_TAIL = 50  # values above xmin that a claim needs
_LEAST = 5  # values above the highest threshold that is tried
_PROBES = 96  # points of a tail that give the lower bound of its distance
_CELLS = 1 << 21  # values that are held at once
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_NEGLIGIBLE = 50.0  # minus the logarithm of a density that no longer counts


@dataclass(frozen=True)
class PowerLaw:
    """Density exponent `alpha` and its standard error, `xmin`, Kolmogorov-Smirnov `distance`, values above (`n_tail`).

    All NaN and 0 where there are too few different values.
    """

    alpha: float
    standard_error: float
    xmin: float
    distance: float
    n_tail: int


NO_POWER_LAW = PowerLaw(float("nan"), float("nan"), float("nan"), float("nan"), 0)


def fit_power_law(values: Array, n_thresholds: int | None = None) -> PowerLaw:
    """The fit to positive `values` (N,); with `n_thresholds` only so many, evenly spread over the ranks, are tried.

    >>> x = (1 - np.random.default_rng(0).random(20000)) ** (-1 / 1.5)
    >>> round(fit_power_law(x).alpha, 1)
    2.5
    """
    values = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("a power law needs finite positive values")
    logs = np.log(np.sort(values))
    n = len(logs)
    first = np.flatnonzero(np.diff(logs, prepend=-np.inf) > 0)  # a threshold takes all values equal to it
    first = first[(n - first >= _LEAST) & (logs[first] < logs[-1])] if n else first
    if not len(first):
        return NO_POWER_LAW
    if n_thresholds is not None and len(first) > n_thresholds:
        first = first[np.linspace(0, len(first) - 1, n_thresholds).round().astype(int)]
    size = n - first
    mean_excess = np.cumsum(logs[::-1])[::-1][first] / size - logs[first]
    rate = 1.0 / mean_excess  # alpha - 1, for each threshold
    at, distance = _nearest(logs, first, rate)
    alpha = 1.0 + float(rate[at])
    tail = int(size[at])
    return PowerLaw(alpha, (alpha - 1.0) / float(np.sqrt(tail)), float(np.exp(logs[first[at]])), distance, tail)


def power_law_exponents(values: Array, n_thresholds: int) -> Array:
    """Exponents (B,) of the fits to each row of positive `values` (B, n), as by `fit_power_law`; NaN: no fit.

    A threshold is held against all rows at once, at all their values: for many rows of up to a few hundred values.

    >>> power_law_exponents(np.array([[8.0, 6.0, 4.0, 3.0, 2.0, 1.0]]), 100).round(3)
    array([2.395])
    """
    logs = np.log(np.sort(values, axis=1))
    is_tied = (np.diff(logs, axis=1) <= 0).any(axis=1)
    alpha = np.empty(len(logs))
    alpha[~is_tied] = _exponents(logs[~is_tied], n_thresholds)
    for row in np.flatnonzero(is_tied):  # a threshold takes all values equal to it: such a row has others
        alpha[row] = fit_power_law(values[row], n_thresholds).alpha
    return alpha


def _exponents(logs: Array, n_thresholds: int) -> Array:
    """`power_law_exponents` (B,) of logarithms (B, n), each row rising."""
    n = logs.shape[1]
    n_tried = max(n - _LEAST + 1, 0)
    above = np.cumsum(logs[:, ::-1], axis=1)[:, ::-1]
    nearest, alpha = np.full(len(logs), np.inf), np.full(len(logs), np.nan)
    for first in np.linspace(0, n_tried - 1, min(n_tried, n_thresholds)).round().astype(int):
        rate = 1.0 / (above[:, first] / (n - first) - logs[:, first])
        index = np.arange(first, n)
        distance = _gaps(logs[:, first:] - logs[:, first, None], index, first, rate[:, None], n).max(axis=1)
        is_nearer = distance < nearest
        nearest[is_nearer], alpha[is_nearer] = distance[is_nearer], 1.0 + rate[is_nearer]
    return alpha


def _nearest(logs: Array, first: NDArray[np.int64], rate: Array) -> tuple[int, float]:
    """Which threshold has the smallest distance, and that distance: lower bounds first, exact ones until they win."""
    n, bounds = len(logs), np.empty(len(first))
    step = max(1, _CELLS // _PROBES)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        share = (np.arange(_PROBES) + 0.5) / _PROBES
        index = first[part, None] + (share * (n - first[part, None])).astype(np.int64)  # (K, probes)
        excess = logs[index] - logs[first[part, None]]
        bounds[part] = _gaps(excess, index, first[part, None], rate[part, None], n).max(axis=1)
    best, distance = -1, np.inf
    for each in np.argsort(bounds, kind="stable"):
        if bounds[each] >= distance:
            break
        index = np.arange(first[each], n)
        exact = float(_gaps(logs[first[each] :] - logs[first[each]], index, first[each], rate[each], n).max())
        if exact < distance:
            best, distance = int(each), exact
    return best, distance


def _gaps(excess: Array, index: NDArray[np.int64], first: NDArray[np.int64], rate: Array, n: int) -> Array:
    """Largest of the two gaps between the fitted and the empirical share below each value, before and after it.

    `excess` is by how much the logarithms of the values `index` exceed those of their thresholds `first`.
    """
    model = -np.expm1(-rate * excess)
    size = n - first
    gaps: Array = np.maximum(model - (index - first) / size, (index - first + 1) / size - model)
    return gaps


def bootstrap_p(values: Array, fit: PowerLaw, n_draws: int, rng: np.random.Generator, n_thresholds: int) -> float:
    """Goodness-of-fit p: how often data of such a tail are as far from their own fit; NaN below `MIN_TAIL` values.

    Semi-parametric: below xmin the values themselves are drawn, above it the power law. `fit` must have been made with
    the same `n_thresholds`. Small p: not a power law; 0.1 is the usual limit.
    """
    if fit.n_tail < MIN_TAIL:
        return float("nan")
    n, body = len(values), values[values < fit.xmin]
    reached = 0
    for _ in range(n_draws):
        in_tail = int(rng.binomial(n, fit.n_tail / n)) if len(body) else n
        tail = fit.xmin * (1.0 - rng.random(in_tail)) ** (-1.0 / (fit.alpha - 1.0))
        drawn = np.concatenate([rng.choice(body, n - in_tail), tail]) if in_tail < n else tail
        reached += fit_power_law(drawn, n_thresholds).distance >= fit.distance
    return (1 + reached) / (1 + n_draws)


@dataclass(frozen=True)
class Rival:
    """Another law of the same tail: `z` of the power law over it, `p`, BIC of the other law over that of the power law.

    Negative z: the other is closer. Positive BIC difference: the power law needs no rival. NaN: too few.
    """

    z: float
    p: float
    bic: float


def against_lognormal(values: Array, fit: PowerLaw) -> Rival:
    """Vuong's test against a lognormal law, both on the values from xmin on, two-sided; NaN below `MIN_TAIL` values.

    The power law is the limit of lognormal tails with a far lower mean, so z is never far above zero: it can speak
    against the power law, and only the BIC for it.
    """
    if fit.n_tail < MIN_TAIL:
        return Rival(float("nan"), float("nan"), float("nan"))
    excess = np.log(values[values >= fit.xmin]) - float(np.log(fit.xmin))
    power = np.log(fit.alpha - 1) - (fit.alpha - 1) * excess

    def density(free: Array) -> Array:
        mean, sd = free[0], float(np.exp(np.clip(free[1], -20.0, 6.0)))
        z = (excess - mean) / sd
        result: Array = -0.5 * z**2 - np.log(sd) - 0.5 * np.log(2 * np.pi) - special.log_ndtr(mean / sd)
        return result

    start = [float(excess.mean()), float(np.log(excess.std()))]
    best = optimize.minimize(lambda free: -float(density(free).sum()), start, method="Nelder-Mead")
    gap = power - density(best.x)
    n, spread = len(gap), float(gap.std())
    z = float(gap.sum() / (np.sqrt(n) * spread)) if spread > 1e-4 else 0.0
    return Rival(z, float(2 * special.ndtr(-abs(z))), float(np.log(n) + 2 * gap.sum()))


def against_cutoff(values: Array, fit: PowerLaw) -> Rival:
    """Likelihood ratio of a power law that is cut off, p(x) ~ x^-a e^(-c x / xmin), from xmin on; NaN below `MIN_TAIL`.

    The power law is its case c = 0. Twice the gain in log likelihood is held against a chi-squared with one degree of
    freedom, `z` is minus its root. (Half of `p`, right where values at the end of a range are regular, is not: sizes of
    a power law have no variance, and 6 to 13 % instead of 5 were rejected; with `p` itself 2 to 6 %.)
    """
    if fit.n_tail < MIN_TAIL:
        return Rival(float("nan"), float("nan"), float("nan"))
    excess = np.log(values[values >= fit.xmin]) - float(np.log(fit.xmin))
    n, mean, mean_size = len(excess), float(excess.mean()), float(np.expm1(excess).mean())

    def cost(free: Array) -> float:
        rate, cut = max(float(free[0]), -10.0), float(np.exp(np.clip(free[1], -60.0, 10.0)))
        return n * (rate * mean + cut * mean_size + _log_integral(rate, cut))

    start = [fit.alpha - 1.0, -float(excess.max())]
    best = float(optimize.minimize(cost, start, method="Nelder-Mead").fun)
    plain = n * (1.0 - float(np.log(fit.alpha - 1.0)))  # of the exponential law of the excess at its own best rate
    gain = max(plain - best, 0.0)
    z = -float(np.sqrt(2.0 * gain))
    return Rival(z, float(2 * special.ndtr(z)), float(np.log(n)) - 2.0 * gain)


def _log_integral(rate: float, cut: float) -> float:
    """Logarithm of the integral of e^(-rate u - cut (e^u - 1)) over u > 0: what makes the cut-off law a density."""
    end = float(np.log1p((_NEGLIGIBLE + 20.0 * max(-rate, 0.0)) / cut))
    end = min(end, _NEGLIGIBLE / rate) if rate > 0 else end
    u = 0.5 * end * (_NODES + 1.0)
    exponent = -rate * u - cut * np.expm1(u)
    return float(special.logsumexp(exponent, b=0.5 * end * _WEIGHTS))
