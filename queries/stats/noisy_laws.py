"""Laws of positive values that were measured with noise: binned likelihood of ln values, fitted for many sets at once.

The logarithm of a measured value is a draw of the law plus noise whose variance may depend on the size. On a grid of
true logarithms a law is a vector of weights, and the noise a matrix: the probability of every bin of measured
logarithms is their product. So any law is fitted with its noise, edges and normalisation included, and all sets of a
bootstrap are fitted in one call. Likelihoods of laws on the same bins compare directly, for they are multinomial.
Source: Prentice (1974), Biometrika 61, 539 (generalised gamma law, both signs of its shape); Reed and Jorgensen (2004),
Communications in Statistics 33, 1733 (lognormal body with a power-law tail).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.binned_fits import Fit, Model, Part, maximise

Array = NDArray[np.float64]

N_BINS = 64
_FINE = 3  # points of the grid per bin
# How far the grid goes below and above the bins, in standard deviations of ln values: an exponential law, say, has many
# values near zero, far down in ln.
_BELOW, _ABOVE = 6.0, 2.0
_NOISE_STRATA = 10


@dataclass(frozen=True)
class Bins:
    """`edges` (M + 1,) of the bins of ln values, infinite at both ends; `grid` (G,) of true ln values, `step` apart.

    `kernel` (G, M) probability of a bin given the true value, `wide` the same with twice the variance of the noise
    (values of a resample carry the noise twice). `edge`: the smallest true value, for laws that begin there. `centre`
    and `spread`: median and standard deviation of the ln values, for where searches begin.
    """

    edges: Array
    grid: Array
    step: float
    kernel: Array
    wide: Array
    edge: float
    centre: float
    spread: float

    def count(self, logs: Array) -> Array:
        """How many of the ln values (B, N) are in each bin: (B, M); NaN counts nowhere."""
        rows = np.broadcast_to(np.arange(len(logs))[:, None], logs.shape)
        known = ~np.isnan(logs)
        bin_of = np.searchsorted(self.edges[1:-1], logs[known], side="right")
        m = len(self.edges) - 1
        counts = np.bincount(rows[known] * m + bin_of, minlength=len(logs) * m)
        return counts.reshape(len(logs), m).astype(np.float64)


def make_bins(logs: Array, noise_variance: Array) -> Bins:
    """Bins for ln values (N,) with the variances (N,) of their noise, which is smoothed over the size of the value."""
    order = np.argsort(logs, kind="stable")
    centre, spread = float(np.median(logs)), float(logs.std())
    low, high = max(float(logs.min()), centre - 5 * spread), min(float(logs.max()), centre + 6 * spread)
    inner = np.linspace(low, high, N_BINS + 1)
    width = float(inner[1] - inner[0])
    edges = np.concatenate([[-np.inf], inner[1:-1], [np.inf]])
    grid = np.arange(low - _BELOW * spread, high + _ABOVE * spread, width / _FINE)
    parts = np.array_split(order, min(_NOISE_STRATA, len(order)))
    variance = np.interp(
        grid, [logs[part].mean() for part in parts], [noise_variance[part].mean() for part in parts]
    )  # (G,)
    share = max(1.0 - float(noise_variance.mean()) / spread**2, 0.05)
    edge = float(logs.mean() - np.sqrt(share) * (logs.mean() - logs.min()))
    return Bins(
        edges, grid, width / _FINE, _kernel(grid, edges, variance, width), _kernel(grid, edges, 2 * variance, width),
        edge, centre, spread,
    )  # fmt: skip


def _kernel(grid: Array, edges: Array, variance: Array, width: float) -> Array:
    sd = np.sqrt(np.maximum(variance, (width / _FINE) ** 2))  # noise finer than the grid is not resolved
    kernel: Array = np.diff(special.ndtr((edges[None] - grid[:, None]) / sd[:, None]), axis=1)
    return kernel


@dataclass(frozen=True)
class Law:
    """A family: log density of ln x up to a constant, `(parameters (B, p), Bins) -> (B, G)`, and where to begin.

    `n_parameters` counts the smallest value where it is one. `gradient` are the derivatives (B, G) of the log density
    by each parameter; without it they are taken numerically.
    """

    name: str
    n_parameters: int
    log_density: Callable[[Array, Bins], Array]
    start: Callable[[Bins], tuple[float, ...]]
    gradient: Callable[[Array, Bins], list[Array]] | None = None


def _gamma_like(shape: Array, power: Array, location: Array, bins: Bins) -> Array:
    u = np.minimum(power * (bins.grid - location), 500.0)
    density: Array = shape * (u - np.expm1(u))
    return density


def _generalised_gamma(p: Array, bins: Bins) -> Array:
    q = np.where(np.abs(p[:, 2:]) < 1e-3, 1e-3, p[:, 2:])
    return _gamma_like(1 / q**2, q / np.exp(p[:, 1:2]), p[:, :1], bins)


# Ln of the least mean excess of the Pareto lognormal law: with less it is lognormal, and what is left is rounding.
_LEAST_EXCESS = -10.0


def _pareto_lognormal(p: Array, bins: Bins) -> Array:
    sd, mean_excess = np.exp(p[:, 1:2]), np.exp(np.maximum(p[:, 2:], _LEAST_EXCESS))
    z = (bins.grid - p[:, :1]) / sd
    density: Array = (p[:, :1] - bins.grid) / mean_excess + special.log_ndtr(z - sd / mean_excess)
    return density


def _of_pareto_lognormal(p: Array, bins: Bins) -> list[Array]:
    """The derivatives of `_pareto_lognormal`."""
    sd, mean_excess = np.exp(p[:, 1:2]), np.exp(np.maximum(p[:, 2:], _LEAST_EXCESS))
    z, ratio = (bins.grid - p[:, :1]) / sd, sd / mean_excess
    hazard = np.sqrt(2 / np.pi) / special.erfcx((ratio - z) / np.sqrt(2))  # of a normal value, at ratio - z
    return [1 / mean_excess - hazard / sd, -hazard * (z + ratio), ratio * (z + hazard) * (p[:, 2:] > _LEAST_EXCESS)]


def _cut_pareto_lognormal(p: Array, bins: Bins) -> Array:
    over = np.minimum(bins.grid - p[:, 3:], 9.0)
    return _pareto_lognormal(p[:, :3], bins) - np.exp(over)


def _from_edge(density: Array, bins: Bins) -> Array:
    return np.where(bins.grid >= bins.edge - 1e-9, density, -np.inf)


def _cut_off(p: Array, bins: Bins) -> Array:
    over = np.maximum(bins.grid - bins.edge, 0.0)
    rate = np.exp(np.clip(p[:, 1:], -60.0, 20.0))
    return _from_edge(p[:, :1] * over - np.minimum(rate * np.expm1(over), 1e4), bins)


_ONE = np.ones((1, 1))
LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law("half_normal", 1, lambda p, b: _gamma_like(0.5 * _ONE, 2 * _ONE, p, b), lambda b: (b.centre + 0.4,)),
        Law("exponential", 1, lambda p, b: _gamma_like(_ONE, _ONE, p, b), lambda b: (b.centre + 0.4,)),
        Law(
            "weibull", 2, lambda p, b: _gamma_like(_ONE, np.exp(p[:, 1:]), p[:, :1], b),
            lambda b: (b.centre + 0.4 * b.spread, -float(np.log(b.spread))),
        ),
        Law(
            "gamma", 2, lambda p, b: _gamma_like(np.exp(p[:, 1:]), _ONE, p[:, :1], b),
            lambda b: (b.centre, -2 * float(np.log(b.spread))),
        ),
        Law(
            "lognormal", 2, lambda p, b: -0.5 * ((b.grid - p[:, :1]) / np.exp(p[:, 1:])) ** 2,
            lambda b: (b.centre, float(np.log(b.spread))),
        ),
        Law("generalised_gamma", 3, _generalised_gamma, lambda b: (b.centre, float(np.log(b.spread)), 0.1)),
        Law(
            "pareto_lognormal", 3, _pareto_lognormal,
            lambda b: (b.centre - 0.4 * b.spread, float(np.log(0.7 * b.spread)), float(np.log(0.5 * b.spread))),
            _of_pareto_lognormal,
        ),
        Law(
            "truncated_pareto_lognormal", 4, _cut_pareto_lognormal,
            lambda b: (
                b.centre - 0.4 * b.spread, float(np.log(0.7 * b.spread)), float(np.log(b.spread)),
                b.centre + 3 * b.spread,
            ),
        ),
        Law(
            "power_law", 2, lambda p, b: _from_edge(-(b.grid - b.edge) / np.exp(p), b),
            lambda b: (float(np.log(max(b.centre - b.edge, 0.1 * b.spread))),),
        ),
        Law("truncated_power_law", 3, _cut_off, lambda b: (0.0, b.edge - b.centre - b.spread)),
    )
}  # fmt: skip
# Laws that are limits or cases of another: Vuong's test is not for such pairs.
_CASES = {
    "generalised_gamma": {"half_normal", "exponential", "weibull", "gamma", "lognormal"},
    "weibull": {"exponential"},
    "gamma": {"exponential"},
    "pareto_lognormal": {"lognormal", "power_law"},
    "truncated_power_law": {"power_law"},
    "truncated_pareto_lognormal": {"pareto_lognormal", "lognormal", "power_law", "truncated_power_law"},
}


def nested(one: str, other: str) -> bool:
    """Whether one of the two laws is a case or limit of the other.

    >>> nested("weibull", "exponential"), nested("weibull", "gamma")
    (True, False)
    """
    return one == other or other in _CASES.get(one, ()) or one in _CASES.get(other, ())


def model_of(law: Law, bins: Bins) -> Model:
    """The law as a function of its parameters alone."""
    return Model((_part(law, bins, slice(None)),), lambda parameters: (_ONE,))


def _part(law: Law, bins: Bins, columns: slice) -> Part:
    gradient = law.gradient
    return Part(columns, lambda p: law.log_density(p, bins), None if gradient is None else lambda p: gradient(p, bins))


# The narrow, high component of a mixture: at most this share, this wide against all values, above this place.
MAX_SHARE, MAX_WIDTH, MIN_WIDTH, LEAST_PLACE = 0.25, 0.5, 0.05, 0.5


def component(parameters: Array, bins: Bins) -> tuple[Array, Array, Array]:
    """Share, ln place and ln width (B, 1) of the high component from three unbounded parameters (B, 3)."""
    return MAX_SHARE * special.expit(parameters[:, :1]), *_where(parameters[:, 1:], bins)


def _where(parameters: Array, bins: Bins) -> tuple[Array, Array]:
    """Ln place and ln width (B, 1) of the high component from two unbounded parameters (B, 2)."""
    place, width = (special.expit(parameters[:, i : i + 1]) for i in range(2))
    least, top = bins.centre + LEAST_PLACE * bins.spread, bins.grid[-1] - _ABOVE * bins.spread
    return (
        least + (max(top, least + bins.spread) - least) * place,
        bins.spread * (MIN_WIDTH + (MAX_WIDTH - MIN_WIDTH) * width),
    )


def mixture_of(law: Law, bins: Bins) -> Model:
    """The law with a share of the values in a narrow lognormal component above; three more parameters, at the end."""

    def high(parameters: Array) -> Array:
        place, width = _where(parameters, bins)
        density: Array = -0.5 * ((bins.grid - place) / width) ** 2
        return density

    def shares(parameters: Array) -> tuple[Array, Array]:
        share = MAX_SHARE * special.expit(parameters[:, -3:-2])
        return 1 - share, share

    return Model((_part(law, bins, slice(None, -3)), Part(slice(-2, None), high)), shares)


def fit_law(law: Law, bins: Bins, counts: Array, start: Array | None = None, wide: bool = False) -> Fit:
    """`law` fitted to each of the `counts` (B, M); `wide` for values that carry the noise twice."""
    begin = np.atleast_2d(np.array(law.start(bins)) if start is None else start)
    begin = np.broadcast_to(begin, (len(counts), begin.shape[1]))
    return maximise(model_of(law, bins), bins.wide if wide else bins.kernel, counts, begin)


def fit_mixture(law: Law, bins: Bins, counts: Array, body: Array, wide: bool = False) -> Fit:
    """`law` with a high component, fitted to each of the `counts` (B, M) from the law's own fit `body` (B, p).

    The better of two searches: the component begins inside the upper tail, and at its end.
    """
    begin = [np.column_stack([body, np.tile([-2.0, place, 0.0], (len(body), 1))]) for place in (-1.0, 1.0)]
    both = maximise(
        mixture_of(law, bins), bins.wide if wide else bins.kernel, np.tile(counts, (2, 1)), np.concatenate(begin)
    )
    n = len(counts)
    better = np.arange(n) + n * (both.log_likelihood[n:] > both.log_likelihood[:n])
    return Fit(both.parameters[better], both.log_likelihood[better], both.log_probability[better])
