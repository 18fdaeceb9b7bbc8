"""The passive probe: K prototypes of equal weight and one precision beta, a mixture of isotropic Gaussians.

F(mu) = -mean_n ln (1/K) sum_k exp(-beta/2 |z_n - mu_k|^2). With all prototypes at the mean its Hessian has the
eigenvalues (beta/K)(1 - beta lambda_j), K-1 times for each eigenvalue lambda_j of Cov(z), and beta/K: the collapsed
state becomes unstable at beta_c = 1/lambda_max. Here beta is estimated too: by expectation maximisation, whose fixed
point obeys beta = N d / sum_nk r_nk |z_n - mu_k|^2. The collapsed state is such a point with beta = d / tr Cov, and EM
never lowers the likelihood, so beta_em >= d / tr Cov >= 1/lambda_max: ln(beta_em/beta_c) is never below 0.
Shapes: N vectors z (N, d), K prototypes mu (K, d), responsibilities r (N, K).
Source: Yang (2026), arXiv 2605.24057 (probe and beta_c); Dempster, Laird and Rubin (1977), J. R. Statist. Soc. B 39, 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

N_PROTOTYPES = 12
N_RESTARTS = 2
MAX_ITERATIONS = 100
TOLERANCE = 1e-5  # of ln beta, between two iterations


@dataclass(frozen=True)
class Probe:
    """Prototypes (K, d), the precision `beta` in 1 / unit of the vectors squared, mean log-likelihood in nats."""

    prototypes: Floats
    beta: float
    log_likelihood: float


def squared_distances(values: Floats, prototypes: Floats) -> Floats:
    """|z_n - mu_k|^2 (N, K); never below 0."""
    cross = values @ prototypes.T
    lengths = np.einsum("nd,nd->n", values, values)[:, None] + np.einsum("kd,kd->k", prototypes, prototypes)
    squared: Floats = np.maximum(lengths - 2 * cross, 0)
    return squared


def responsibilities(squared: Floats, beta: float) -> tuple[Floats, float]:
    """Responsibilities r (N, K), and the mean of ln (1/K) sum_k exp(-beta/2 |z - mu_k|^2), which is -F, in nats.

    >>> r, value = responsibilities(np.array([[0.0, 0.0]]), 3.0)
    >>> r.tolist(), value
    ([[0.5, 0.5]], 0.0)
    """
    energy = (-0.5 * beta) * squared
    top = energy.max(axis=1, keepdims=True)
    weight = np.exp(energy - top)
    total = weight.sum(axis=1, keepdims=True)
    value = float((top[:, 0] + np.log(total[:, 0])).mean(dtype=np.float64) - np.log(squared.shape[1]))
    return weight / total, value


def fit(values: Floats, prototypes: Floats, beta: float, max_iterations: int = MAX_ITERATIONS) -> Probe:
    """EM from the given start; `values` (N, d) should be centred, for accuracy. A prototype without points stays.

    Where all vectors are prototypes, or equal, beta is without a bound: infinite.
    """
    n, d = values.shape
    total = float(np.einsum("nd,nd->", values, values, dtype=np.float64))
    value = -np.inf
    for _ in range(max_iterations):
        r, _ = responsibilities(squared_distances(values, prototypes), beta)
        weight = r.sum(axis=0)
        sums = r.T @ values
        held = weight > 1e-6
        prototypes = np.where(held[:, None], sums / np.where(held, weight, 1)[:, None], prototypes)
        # sum r |z - mu|^2 after the step: less what the prototypes explain
        within = total - float((2 * (sums * prototypes).sum(axis=1) - weight * (prototypes**2).sum(axis=1)).sum())
        if within <= 1e-6 * total:
            return Probe(prototypes, float("inf"), float("inf"))
        moved, beta = abs(np.log(n * d / within / beta)), n * d / within
        if moved < TOLERANCE:
            break
    _, value = responsibilities(squared_distances(values, prototypes), beta)
    return Probe(prototypes, beta, value + 0.5 * d * float(np.log(beta / (2 * np.pi))))


def seeds(values: Floats, k: int, rng: np.random.Generator) -> Floats:
    """As many as `k` vectors, spread by k-means++ (Arthur and Vassilvitskii, 2007); where there are fewer, repeated."""
    chosen = [int(rng.integers(len(values)))]
    nearest = np.full(len(values), np.inf)
    while len(chosen) < k:
        nearest = np.minimum(nearest, squared_distances(values, values[chosen[-1:]])[:, 0])
        total = nearest.sum(dtype=np.float64)
        share = nearest.astype(np.float64) / total if total > 0 else np.full(len(values), 1 / len(values))
        chosen.append(int(rng.choice(len(values), p=share / share.sum())))
    return values[chosen]


def fit_best(
    values: Floats, rng: np.random.Generator, k: int = N_PROTOTYPES, n_restarts: int = N_RESTARTS
) -> Probe | None:
    """The likeliest of several EM fits of centred `values` (N, d); None where nothing varies.

    The collapsed state is among the starts, so beta is at least d / tr Cov.
    """
    n, d = values.shape
    total = float(np.einsum("nd,nd->", values, values, dtype=np.float64))
    if n < 2 or not total > 0:
        return None
    collapsed = n * d / total
    best = fit(values, np.zeros((1, d), dtype=values.dtype), collapsed, 1)
    best = Probe(np.repeat(best.prototypes, k, axis=0), best.beta, best.log_likelihood)
    for _ in range(n_restarts):
        found = fit(values, seeds(values, k, rng), 2 * collapsed)
        best = max(best, found, key=lambda probe: probe.log_likelihood)
    return best


def assignment(values: Floats, probe: Probe) -> NDArray[np.int64]:
    """The nearest prototype (N,) of each vector."""
    nearest: NDArray[np.int64] = squared_distances(values, probe.prototypes).argmin(axis=1)
    return nearest
