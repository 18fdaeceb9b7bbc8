"""Is there a distinct high component among noisy values, or does one smooth law explain them?

Every law, and every law with a narrow high component on top, is fitted with the noise of the measurement. The evidence
for the component is a likelihood ratio against the SAME law without it, judged by simulation from that law with the
noise of resampled documents, for each law in the running; the largest p counts. The same simulations with a component
planted say whether one would have been seen.
Source: McLachlan (1987), Applied Statistics 36, 318, for the simulated likelihood ratio of mixtures; Vuong (1989),
Econometrica 57, 307; Ashman, Bird and Zepf (1994), Astronomical Journal 108, 2348, for the separation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.binned_fits import Fit
from queries.stats.bootstrap import absence_reason, percentile_interval
from queries.stats.noisy_laws import (
    LAWS,
    Bins,
    component,
    fit_law,
    fit_mixture,
    make_bins,
    mixture_of,
    model_of,
    nested,
)
from queries.stats.ratio_noise import RatioNoise
from queries.stats.smooth_laws import MIN_SPREAD
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

Array = NDArray[np.float64]

MIN_VALUES = 50
# Laws this close to the best by BIC are still in the running.
BIC_MARGIN = 10.0
_SAME = 0.1  # log likelihood that a law must gain on its special case to be another law here
MIXTURE = "mixture"
COMPONENT_PARAMETERS = 3
# The component that a contradiction must have been able to see: 3 % of the neurons, e times as influential as the
# value that 3 % exceed under the smooth law.
VISIBLE_SHARE, VISIBLE_STEP, VISIBLE_WIDTH = 0.03, 1.0, 0.2
EXCEEDED = (0.9, 0.7, 0.5, 0.3, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002)


@dataclass(frozen=True)
class Effort:
    """Draws: resamples for the `variance` of the noise and for the BIC, sets `simulated` from each law and `planted`.

    `tail`: sets simulated from the power law. Calibration makes do with fewer.
    """

    variance: int = 500
    resamples: int = 100
    simulated: int = 199
    planted: int = 99
    tail: int = 199


FULL = Effort()


@dataclass(frozen=True)
class Fitted:
    """One law on one set: its fit and BIC, parameters (R, p) and BIC (R,) in the resamples of the documents.

    `weights` (G,) of true ln values.
    """

    name: str
    n_parameters: int
    fit: Fit
    bic: float
    resampled: Array
    resampled_bic: Array
    weights: Array

    def tail_exponent(self, bins: Bins, share: float = 0.01) -> float:
        """Minus the slope of ln share above against ln x of the true values, where `share` of them lie above."""
        above = np.cumsum(self.weights[::-1])[::-1]
        at = int(np.searchsorted(-above, -share))
        return float(self.weights[at] / (bins.step * (above[at] - 0.5 * self.weights[at])))

    def exceeded(self, bins: Bins) -> Array:
        """Values that the shares `EXCEEDED` of measured values exceed, noise included."""
        below = np.cumsum(np.exp(self.fit.log_probability[0]))[:-1]
        above = np.log(np.maximum(1.0 - below, 1e-300))
        found: Array = np.exp(np.interp(-np.log(EXCEEDED), -above, bins.edges[1:-1], left=np.nan, right=np.nan))
        return found


@dataclass(frozen=True)
class Assessment:
    """What the values of one class say. `reason` says why there is nothing, else it is empty.

    `laws` by name, the mixture with the best body among them; `body` its name. `ratio` is its likelihood ratio over
    that body (nats, doubled); `p` the largest over the laws in the running; `power` the share of sets with a visible
    component planted in the best smooth law that reach the 5 % point. `share`, `place` (ln over the body's mean) and
    `separation` (Ashman's D) describe the component.
    """

    laws: Mapping[str, Fitted]
    bins: Bins | None
    counts: Array
    noise_variance: float
    body: str
    ratio: float
    p: float
    power: float
    share: float
    place: float
    separation: float
    reason: str

    @property
    def best_smooth(self) -> str:
        """The smooth law with the smallest BIC; empty where there is none."""
        smooth = [law for name, law in self.laws.items() if name != MIXTURE]
        return min(smooth, key=lambda law: law.bic).name if smooth else ""


def _nothing(reason: str) -> Assessment:
    nan = float("nan")
    return Assessment({}, None, np.zeros(0), nan, "", nan, nan, nan, nan, nan, nan, reason)


def assess(sums: Array, counts: Array, weights: Array, rng: np.random.Generator, effort: Effort = FULL) -> Assessment:
    """The ratios `sums.sum(0) / counts.sum()`: `sums` (D, N), `counts` (D,), document resamples `weights` (B, D)."""
    if reason := absence_reason(counts, weights):
        return _nothing(reason)
    values = sums.sum(axis=0) / counts.sum()
    kept = values > 0
    if kept.sum() < MIN_VALUES:
        return _nothing(
            f"{counted(int(kept.sum()), 'neuron')} with a nonzero influence; at least {MIN_VALUES} are needed"
        )
    logs = np.log(values[kept])
    if logs.std() < MIN_SPREAD:
        return _nothing("the neurons do not differ in influence")
    noise = RatioNoise(sums[:, kept] / values[kept], counts, weights[weights @ counts > 0])
    variance = noise.variance(effort.variance)
    bins = make_bins(logs, variance)
    observed = bins.count(logs[None])
    drawn = bins.count(logs + noise.draw(effort.resamples, slice(None)))
    laws = {name: _fit(name, bins, observed, drawn) for name in LAWS}
    mixtures = {name: fit_mixture(LAWS[name], bins, observed, law.fit.parameters) for name, law in laws.items()}
    body = min(laws, key=lambda name: _bic(mixtures[name], LAWS[name].n_parameters + COMPONENT_PARAMETERS, observed))
    p, power = _component_test(laws, mixtures, bins, noise, np.argsort(-logs), rng, effort)
    ratio = 2 * float(mixtures[body].log_likelihood[0] - laws[body].fit.log_likelihood[0])
    share, place, separation = _describe(laws[body], mixtures[body], bins)
    laws[MIXTURE] = _mixture(laws[body], mixtures[body], bins, observed, drawn)
    return Assessment(
        laws, bins, observed[0], float(variance.mean()), body, max(ratio, 0.0), p, power, share, place, separation, ""
    )


def _bic(fit: Fit, n_parameters: int, counts: Array) -> float:
    return n_parameters * float(np.log(counts.sum())) - 2.0 * float(fit.log_likelihood[0])


def _fit(name: str, bins: Bins, observed: Array, drawn: Array) -> Fitted:
    law = LAWS[name]
    fit = fit_law(law, bins, observed)
    again = fit_law(law, bins, drawn, start=fit.parameters, wide=True)
    penalty = law.n_parameters * np.log(observed.sum())
    weights = model_of(law, bins)(fit.parameters)[0]
    bic, resampled_bic = _bic(fit, law.n_parameters, observed), penalty - 2 * again.log_likelihood
    return Fitted(name, law.n_parameters, fit, bic, again.parameters, resampled_bic, weights)


def _mixture(body: Fitted, fit: Fit, bins: Bins, observed: Array, drawn: Array) -> Fitted:
    law, k = LAWS[body.name], body.n_parameters + COMPONENT_PARAMETERS
    again = fit_mixture(law, bins, drawn, body.resampled, wide=True)
    weights = mixture_of(law, bins)(fit.parameters)[0]
    resampled_bic = k * np.log(observed.sum()) - 2 * again.log_likelihood
    return Fitted(MIXTURE, k, fit, _bic(fit, k, observed), again.parameters, resampled_bic, weights)


def _describe(body: Fitted, fit: Fit, bins: Bins) -> tuple[float, float, float]:
    """Share of the component, how far (ln) it lies above the mean of the body, and Ashman's D of the two."""
    share, place, width = (float(each[0, 0]) for each in component(fit.parameters[:, -COMPONENT_PARAMETERS:], bins))
    weights = model_of(LAWS[body.name], bins)(fit.parameters[:, :-COMPONENT_PARAMETERS])[0]
    mean = float(weights @ bins.grid)
    variance = float(weights @ (bins.grid - mean) ** 2)
    return share, place - mean, (place - mean) / float(np.sqrt(0.5 * (variance + width**2)))


def _component_test(
    laws: Mapping[str, Fitted],
    mixtures: Mapping[str, Fit],
    bins: Bins,
    noise: RatioNoise,
    order: NDArray[np.int64],
    rng: np.random.Generator,
    effort: Effort,
) -> tuple[float, float]:
    """Largest p over the laws in the running, and the power against a visible component in the best of them."""
    best = min(laws.values(), key=lambda law: law.bic)
    relative = noise.draw(effort.simulated, order)
    p, power = 0.0, float("nan")
    for law in _in_the_running(laws):
        ratio = float(mixtures[law.name].log_likelihood[0] - law.fit.log_likelihood[0])
        null = _ratios(law, bins, simulate(law.weights, bins, relative, rng))
        p = max(p, (1 + int((null >= ratio).sum())) / (1 + len(null)))
        if law is best:
            planted = _ratios(law, bins, simulate(_plant(law.weights, bins), bins, relative[: effort.planted], rng))
            power = float((planted > np.sort(null)[int(np.ceil((1 - LEVEL) * len(null))) - 1]).mean())
    return p, power


def _in_the_running(laws: Mapping[str, Fitted]) -> list[Fitted]:
    """The laws within `BIC_MARGIN` of the best, without those whose fit is that of their own special case."""
    close: list[Fitted] = []
    least = min(law.bic for law in laws.values())
    for law in sorted(laws.values(), key=lambda law: law.bic):
        same = any(
            nested(law.name, other.name) and law.fit.log_likelihood[0] < other.fit.log_likelihood[0] + _SAME
            for other in close
        )
        if law.bic <= least + BIC_MARGIN and not same:
            close.append(law)
    return close


def _ratios(law: Fitted, bins: Bins, counts: Array) -> Array:
    """Log likelihood (B,) that the component gains on `law` in each set of `counts` (B, M)."""
    alone = fit_law(LAWS[law.name], bins, counts, start=law.fit.parameters)
    mixed = fit_mixture(LAWS[law.name], bins, counts, alone.parameters)
    gained: Array = np.maximum(mixed.log_likelihood - alone.log_likelihood, 0.0)
    return gained


def _plant(weights: Array, bins: Bins) -> Array:
    """The law with the visible component."""
    above = np.cumsum(weights[::-1])[::-1]
    place = bins.grid[int(np.searchsorted(-above, -VISIBLE_SHARE))] + VISIBLE_STEP
    bump = np.exp(-0.5 * ((bins.grid - min(place, bins.grid[-1])) / VISIBLE_WIDTH) ** 2)
    planted: Array = (1 - VISIBLE_SHARE) * weights + VISIBLE_SHARE * bump / bump.sum()
    return planted


def simulate(weights: Array, bins: Bins, relative: Array, rng: np.random.Generator) -> Array:
    """Counts (B, M) of measured values: true ones drawn by `weights` (G,), ranked, plus the noise of that rank.

    `relative` (B, N): noise of ln values in the order of the rank, so that it may depend on size and be common to
    neurons, as in the documents.
    """
    share = np.cumsum(weights)
    true = np.interp(rng.random(relative.shape), share / share[-1], bins.grid + 0.5 * bins.step)
    return bins.count(-np.sort(-true, axis=1) + relative)


def vuong(one: Fitted, other: Fitted, counts: Array) -> tuple[float, float]:
    """Vuong's z of `one` over `other` with Schwarz's correction, and its two-sided p; for laws that are not nested."""
    gap = one.fit.log_probability[0] - other.fit.log_probability[0]  # (M,)
    n = float(counts.sum())
    mean = float(counts @ gap) / n
    sd = float(np.sqrt(max(counts @ gap**2 / n - mean**2, 0.0)))
    if sd < 1e-9:
        return 0.0, 1.0
    z = (n * mean - 0.5 * (one.n_parameters - other.n_parameters) * float(np.log(n))) / (float(np.sqrt(n)) * sd)
    return z, float(2 * special.ndtr(-abs(z)))


def bic_intervals(laws: Mapping[str, Fitted]) -> dict[str, tuple[float, float, float]]:
    """Each law's BIC over the best in the resamples, low and high end, and the share of resamples that it wins."""
    bic = np.stack([law.resampled_bic for law in laws.values()])  # (K, R)
    over = bic - bic.min(axis=0)
    wins = np.bincount(bic.argmin(axis=0), minlength=len(bic)) / bic.shape[1]
    low, high = percentile_interval(over.T)
    return {name: (float(low[i]), float(high[i]), float(wins[i])) for i, name in enumerate(laws)}
