"""The same probe trained by gradient along a training: prototypes and ln beta go on from checkpoint to checkpoint.

The loss is that of the mixture with its norm, F(mu, beta) - (d/2) ln beta, over N vectors; its gradients are
dF/dmu_k = beta mean_n r_nk (mu_k - z_n) and, for ln beta, beta/2 mean_n sum_k r_nk |z_n - mu_k|^2 - d/2. Adam makes
one update per training step between two checkpoints, at most `MAX_UPDATES`, and begins at `START` beta_c of the first
one. So the probe lags behind: from `START` it takes ln(1/START)/RATE updates to reach beta_c whatever the vectors do,
and only what differs from the same probe on structureless vectors is theirs.
Several probes are trained side by side on the same vectors, each with weights of its own: 0 leaves a vector out.
Shapes: N vectors (N, d), P probes of K prototypes (P, K, d), weights (N, P).
Source: Yang (2026), arXiv 2605.24057 (the probe; how it is trained is not said where it could be read); Kingma and Ba
(2015), ICLR (Adam).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queries.stats.mixture_probe import N_PROTOTYPES, side_by_side

Floats = NDArray[np.floating]

START = 0.1  # of beta_c at the first checkpoint
RATE = 0.05  # of ln beta, and of the prototypes in standard deviations of a coordinate
MAX_UPDATES = 100  # between two checkpoints
SPREAD = 0.01  # of the prototypes at the start, in standard deviations of a coordinate
_DECAY, _SQUARE_DECAY = 0.9, 0.999
# A gradient of 0 has no direction. Gradients have the unit of the vectors, so that Adam's usual 1e-8 may be large.
_NOTHING = 1e-30


def gradients(values: Floats, weight: Floats, prototypes: Floats, log_beta: Floats) -> tuple[Floats, Floats]:
    """Gradients of F - (d/2) ln beta for the prototypes (P, K, d) and for ln beta (P,); F is a weighted mean.

    >>> values, weight = np.array([[1.0], [-1.0]]), np.ones((2, 1))
    >>> of_mu, of_beta = gradients(values, weight, np.array([[[0.0]]]), np.array([0.0]))
    >>> of_mu.tolist(), of_beta.tolist()
    ([[[0.0]]], [0.0])
    """
    d = values.shape[1]
    beta = np.exp(log_beta).astype(values.dtype)
    r, squared = side_by_side(values, weight, prototypes, beta)
    sums = (r.reshape(len(values), -1).T @ values).reshape(prototypes.shape)
    of_prototypes = beta[:, None, None] * (r.sum(axis=0)[:, :, None] * prototypes - sums)
    within = np.einsum("npk,npk->p", r, squared).astype(np.float64)
    return of_prototypes, 0.5 * np.exp(log_beta) * within - 0.5 * d


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
        direction: Floats = first / (np.sqrt(second) + _NOTHING)
        return direction


@dataclass
class GradientProbes:
    """P probes on their way through a training. `start` them at the first checkpoint, `train` them at each."""

    log_beta: Floats = field(default_factory=lambda: np.full(0, np.nan))
    prototypes: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))
    _of_mu: _Adam = field(default_factory=lambda: _Adam(np.zeros(0), np.zeros(0)))
    _of_beta: _Adam = field(default_factory=lambda: _Adam(np.zeros(0), np.zeros(0)))

    def start(
        self, values: Floats, weight: Floats, beta_c: Floats, rng: np.random.Generator, k: int = N_PROTOTYPES
    ) -> None:
        """All prototypes next to the weighted means of `values` (N, d), beta far below each `beta_c` (P,).

        All probes get the same small displacements, so that they differ by what they see alone.
        """
        mean, deviation = _moments(values, weight)
        near = SPREAD * rng.standard_normal((k, values.shape[1]))
        self.prototypes = (mean[:, None] + deviation[:, None, None] * near).astype(values.dtype)
        self.log_beta = np.log(START * beta_c)
        zeros = np.zeros_like(self.prototypes)
        self._of_mu, self._of_beta = _Adam(zeros, zeros), _Adam(np.zeros(len(beta_c)), np.zeros(len(beta_c)))

    def train(self, values: Floats, weight: Floats, n_updates: int) -> Floats:
        """`n_updates` updates, at most `MAX_UPDATES`, on `values` (N, d); ln beta (P,) after them."""
        length = (RATE * _moments(values, weight)[1]).astype(values.dtype)[:, None, None]
        for _ in range(min(n_updates, MAX_UPDATES)):
            of_mu, of_beta = gradients(values, weight, self.prototypes, self.log_beta)
            self.prototypes = self.prototypes - length * self._of_mu.step(of_mu)
            self.log_beta = self.log_beta - RATE * self._of_beta.step(of_beta)
        return self.log_beta


def _moments(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted means (P, d), and standard deviations (P,) of a coordinate, of the vectors (N, d)."""
    share = weight / weight.sum(axis=0)
    mean = share.T @ values
    square = share.T @ (values**2) - mean**2
    return mean, np.sqrt(np.maximum(square.mean(axis=1), 0))
