"""Is a plateau more than the top of one smooth law? Bootstrap, noise null and smooth null of one ranked curve.

Any light-tailed law gives a concave curve that a segmentation cuts into three regimes, so a segmentation alone proves
nothing. `assess` fits smooth laws to the values with their measurement noise taken out, simulates true values from
them, puts the noise of the resampled documents back (rank by rank), ranks and segments again, and asks how often such a
curve shows as large an excess over the continued middle line as the data do.
Source: Clauset, Shalizi and Newman (2009), SIAM Review 51, 661, for testing a shape by simulation from its rivals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import absence_reason, replicate_blocks, replicates
from queries.stats.fitted_law import SmoothLaw
from queries.stats.nulls import permute_within_documents
from queries.stats.segmentation import MIN_RANKS, fit_values
from queries.stats.smooth_laws import MIN_SPREAD, fit_smooth_laws
from queries.stats.three_regimes import Regimes, stack
from queries.stats.words import counted

Array = NDArray[np.float64]

N_SMOOTH = 999
N_NOISE = 499
# Laws this close to the best by BIC are still in the running.
BIC_MARGIN = 10.0
# Where noise explains all of the spread, the fitted law keeps this share of it, so that it stays a law.
MIN_SIGNAL = 0.05


@dataclass(frozen=True)
class Assessment:
    """Everything about the curve of one set of n values.

    `observed` one fit, `drawn` the document resamples, `noise` the noise null, `smooth` the simulations of the best
    smooth law `law`, `rivals` those of every law in the running. `reason` says why there is nothing, else it is empty.
    """

    observed: Regimes
    drawn: Regimes
    noise: Regimes
    smooth: Regimes
    rivals: tuple[Regimes, ...]
    law: str
    reason: str

    @property
    def p_statistic(self) -> float:
        """Largest p over the smooth laws in the running for the plateau statistic."""
        if self.reason:
            return float("nan")
        return max(upper_p(self.observed.statistic[0], rival.statistic) for rival in self.rivals)

    @property
    def p_statistic_high(self) -> float:
        """Upper end of the 95 % Monte-Carlo interval of `p_statistic` (Clopper and Pearson)."""
        return max(
            (monte_carlo_high(self.observed.statistic[0], rival.statistic) for rival in self.rivals), default=np.nan
        )

    @property
    def critical(self) -> float:
        """Largest 95 % quantile over the laws in the running of the plateau statistic; minus infinity is possible."""
        if self.reason:
            return float("nan")
        return max(_upper_quantile(rival.statistic, 0.95) for rival in self.rivals)


def upper_p(observed: float, null: Array) -> float:
    """One-sided Monte-Carlo p, (1 + #{null >= observed}) / (B + 1); NaN draws left out.

    >>> upper_p(2.0, np.array([1.0, 2.0, 3.0]))
    0.75
    """
    null = null[~np.isnan(null)]
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


def monte_carlo_high(observed: float, null: Array) -> float:
    """Upper end of the exact 95 % interval of the probability that `upper_p` estimates.

    >>> round(monte_carlo_high(2.0, np.zeros(999)), 4)
    0.0037
    """
    null = null[~np.isnan(null)]
    reached = int((null >= observed).sum())
    return float(stats.beta.ppf(0.975, reached + 1, len(null) - reached)) if reached < len(null) else 1.0


def two_sided_p(observed: float, null: Array) -> float:
    """Twice the smaller one-sided Monte-Carlo p, at most 1; NaN where there is no observation."""
    if np.isnan(observed) or np.isnan(null).all():
        return float("nan")
    return min(1.0, 2.0 * min(upper_p(observed, null), upper_p(-observed, -null)))


@dataclass(frozen=True)
class Null:
    """One quantity under a null: mean, 95 % range, two-sided p of what was observed."""

    mean: float
    low: float
    high: float
    p: float


NO_NULL = Null(float("nan"), float("nan"), float("nan"), float("nan"))


def summarise_null(observed: float, null: Array) -> Null:
    """`Null` of the draws `null` (B,); NaN throughout where no draw has a value."""
    known = null[~np.isnan(null)]
    if len(known) == 0:
        return NO_NULL
    low, high = np.percentile(known, [2.5, 97.5])
    return Null(float(known.mean()), float(low), float(high), two_sided_p(observed, known))


def _upper_quantile(values: Array, share: float) -> float:
    """Order statistic at `share`: no interpolation, because minus infinity is a value here."""
    ordered = np.sort(values[~np.isnan(values)])
    return float(ordered[min(int(np.ceil(share * len(ordered))), len(ordered)) - 1])


def assess(sums: Array, counts: Array, weights: Array, rng: np.random.Generator) -> Assessment:
    """The curve of the ratios `sums.sum(0) / counts.sum()`: `sums` (D, N), `counts` (D,), `weights` (B, D)."""
    total = float(counts.sum())
    values = sums.sum(axis=0) / (total if total > 0 else np.nan)
    observed = fit_values(values[None])
    reason = absence_reason(counts, weights)
    positive = int((values > 0).sum())
    if not reason and positive < MIN_RANKS:
        reason = f"{counted(positive, 'neuron')} with a nonzero influence; at least {MIN_RANKS} are needed"
    if not reason and np.log(values[values > 0]).std() < MIN_SPREAD / MIN_SIGNAL:
        reason = "the neurons do not differ in influence"
    if not reason and np.isnan(observed.quantity).all():
        reason = "the curve bends down nowhere: there is no rapid decay"
    if reason:
        nothing = fit_values(np.full((1, 0), np.nan))
        return Assessment(nothing, nothing, nothing, nothing, (), "", reason)
    order = np.argsort(-values)[:positive]
    sums, values = sums[:, order], values[order]
    drawn, noise_variance = _bootstrap(sums, counts, weights)
    laws = in_the_running(fit_smooth_laws(denoise(values, noise_variance)))
    rivals = tuple(_simulate(law, sums / values, counts, weights[:N_SMOOTH], rng) for law in laws)
    return Assessment(observed, drawn, _noise(sums, counts, rng), rivals[0], rivals, laws[0].name, "")


def in_the_running(laws: list[SmoothLaw]) -> list[SmoothLaw]:
    """The laws whose BIC is within `BIC_MARGIN` of the best; `laws` are sorted by BIC."""
    return [law for law in laws if law.bic <= laws[0].bic + BIC_MARGIN]


def denoise(values: Array, noise_variance: float) -> Array:
    """Values (N,) whose logarithms are drawn towards their mean until the variance of the noise is gone.

    >>> bool(np.log(denoise(np.exp([-2.0, 2.0]), 3.0)).std().round(3) == 1.0)
    True
    """
    logs = np.log(values)
    variance = float(logs.var())
    signal = max(1.0 - noise_variance / variance, MIN_SIGNAL**2) if variance > 0 else MIN_SIGNAL**2
    drawn: Array = np.exp(logs.mean() + np.sqrt(signal) * (logs - logs.mean()))
    return drawn


def _bootstrap(sums: Array, counts: Array, weights: Array) -> tuple[Regimes, float]:
    """Regimes of every document resample, and the mean variance of ln ratio that is a neuron's own.

    What a resample does to all neurons alike changes neither ranks nor spread: it is taken out before the variance.
    """
    n = sums.shape[1]
    fits, first, second, seen = [], np.zeros(n), np.zeros(n), np.zeros(n)
    for block in replicate_blocks(len(weights), n):
        ratios = replicates(sums, counts, weights[block])
        fits.append(fit_values(ratios))
        logs = np.log(np.where(ratios > 0, ratios, np.nan))
        logs -= _row_mean(logs)
        seen += (~np.isnan(logs)).sum(axis=0)
        first += np.nansum(logs, axis=0)
        second += np.nansum(logs**2, axis=0)
    mean = first / np.maximum(seen, 1)
    return stack(fits), float((second / np.maximum(seen, 1) - mean**2).mean())


def _row_mean(logs: Array) -> Array:
    """Mean of each row (B, 1), NaN left out."""
    count = (~np.isnan(logs)).sum(axis=1, keepdims=True)
    mean: Array = np.nansum(logs, axis=1, keepdims=True) / np.maximum(count, 1)
    return mean


def _simulate(law: SmoothLaw, noise: Array, counts: Array, weights: Array, rng: np.random.Generator) -> Regimes:
    """Regimes of true values drawn from `law` and measured on resampled documents.

    `noise` (D, N): sums per document over the neuron's own mean, neurons in the order of their rank. The simulated
    value of rank r gets the noise of the real neuron of rank r, so that the noise of a neuron may depend on its size
    and what documents do to all neurons stays common to them.
    """
    n = noise.shape[1]
    fits = []
    for block in replicate_blocks(len(weights), n):
        relative = replicates(noise, counts, weights[block])  # (b, N)
        true = -np.sort(-law.sample(relative.shape, rng), axis=1)
        fits.append(fit_values(true * relative))
    return stack(fits)


def _noise(sums: Array, counts: Array, rng: np.random.Generator) -> Regimes:
    """Regimes of sums whose neuron labels were permuted within each document: no neuron stands out consistently."""
    n = sums.shape[1]
    fits = [
        fit_values(permute_within_documents(sums, block.stop - block.start, rng) / counts.sum())
        for block in replicate_blocks(N_NOISE, n)
    ]
    return stack(fits)
