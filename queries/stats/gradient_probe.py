"""The same probe trained by gradient along a training: prototypes and ln beta go on from checkpoint to checkpoint.

The loss is that of the mixture with its norm, F(mu, beta) - (d/2) ln beta, over N vectors; its gradients are
dF/dmu_k = beta mean_n r_nk (mu_k - z_n) and, for ln beta, beta/2 mean_n sum_k r_nk |z_n - mu_k|^2 - d/2. Adam makes
one update per training step between two checkpoints, at most `MAX_UPDATES`, and begins at `START` beta_c of the first
one. So the probe lags behind: from `START` it takes ln(1/START)/RATE updates to reach beta_c whatever the vectors do,
and only what differs from the same probe on structureless vectors is theirs.
Shapes: N vectors (N, d), K prototypes (K, d).
Source: Yang (2026), arXiv 2605.24057 (the probe; how it is trained is not said where it could be read); Kingma and Ba
(2015), ICLR (Adam).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queries.stats.mixture_probe import N_PROTOTYPES, responsibilities, squared_distances

Floats = NDArray[np.floating]

START = 0.1  # of beta_c at the first checkpoint
RATE = 0.05  # of ln beta, and of the prototypes in standard deviations of a coordinate
MAX_UPDATES = 100  # between two checkpoints
SPREAD = 0.01  # of the prototypes at the start, in standard deviations of a coordinate
_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8


def gradients(values: Floats, prototypes: Floats, log_beta: float) -> tuple[Floats, float]:
    """Gradients of F - (d/2) ln beta for the prototypes (K, d) and for ln beta.

    >>> of_mu, of_beta = gradients(np.array([[1.0], [-1.0]]), np.array([[0.0]]), 0.0)
    >>> of_mu.tolist(), of_beta
    ([[0.0]], 0.0)
    """
    n, d = values.shape
    beta = float(np.exp(log_beta))
    squared = squared_distances(values, prototypes)
    r, _ = responsibilities(squared, beta)
    of_prototypes = (beta / n) * (r.sum(axis=0)[:, None] * prototypes - r.T @ values)
    of_log_beta = 0.5 * beta * float((r * squared).sum(dtype=np.float64)) / n - 0.5 * d
    return of_prototypes, of_log_beta


@dataclass
class _Adam:
    """Adam's running moments of one parameter."""

    first: Floats
    second: Floats
    n_updates: int = 0

    def step(self, gradient: Floats) -> Floats:
        """The direction of the next update, about 1 in size."""
        self.n_updates += 1
        self.first = _DECAY * self.first + (1 - _DECAY) * gradient
        self.second = _SQUARE_DECAY * self.second + (1 - _SQUARE_DECAY) * gradient**2
        first = self.first / (1 - _DECAY**self.n_updates)
        second = self.second / (1 - _SQUARE_DECAY**self.n_updates)
        size = np.sqrt(second)
        direction: Floats = first / (size + _TINY * (size.max(initial=0.0) + _TINY))
        return direction


@dataclass
class GradientProbe:
    """A probe on its way through a training. `start` it at the first checkpoint, `train` it at each."""

    log_beta: float = np.nan
    prototypes: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    _of_mu: _Adam = field(default_factory=lambda: _Adam(np.zeros(0), np.zeros(0)))
    _of_beta: _Adam = field(default_factory=lambda: _Adam(np.zeros(1), np.zeros(1)))

    def start(self, values: Floats, beta_c: float, rng: np.random.Generator, k: int = N_PROTOTYPES) -> None:
        """All prototypes next to the mean of `values` (N, d), beta far below `beta_c`."""
        d = values.shape[1]
        near = SPREAD * values.std() * rng.standard_normal((k, d))
        self.prototypes = (values.mean(axis=0) + near).astype(values.dtype)
        self.log_beta = float(np.log(START * beta_c))
        self._of_mu = _Adam(np.zeros_like(self.prototypes), np.zeros_like(self.prototypes))

    def train(self, values: Floats, n_updates: int) -> float:
        """`n_updates` updates, at most `MAX_UPDATES`, on `values` (N, d); ln beta after them."""
        length = RATE * float(np.sqrt(values.var(axis=0).mean()))
        for _ in range(min(n_updates, MAX_UPDATES)):
            of_mu, of_beta = gradients(values, self.prototypes, self.log_beta)
            self.prototypes = (self.prototypes - length * self._of_mu.step(of_mu)).astype(values.dtype)
            self.log_beta -= RATE * float(self._of_beta.step(np.array([of_beta]))[0])
        return self.log_beta
