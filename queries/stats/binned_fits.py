"""Maximum likelihood of binned values, many sets at once: a model gives weights on a grid, a kernel what is measured.

Shapes: B sets, p parameters, G points of the grid of true values, M bins of measured ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Parameters (B, p) to probabilities on the grid (B, G).
Model = Callable[[Array], Array]

_FLOOR = 1e-14  # least probability of a bin
_STEPS, _H, _TOLERANCE = 60, 1e-4, 1e-4


def weights_on_grid(log_density: Array) -> Array:
    """Probabilities (B, G) on the grid from log densities up to a constant."""
    peak = log_density.max(axis=1, keepdims=True)
    mass = np.exp(log_density - peak)
    mass /= mass.sum(axis=1, keepdims=True)
    result: Array = mass
    return result


@dataclass(frozen=True)
class Fit:
    """`parameters` (B, p), log likelihood (B,) of the binned values, log probability (B, M) of every bin."""

    parameters: Array
    log_likelihood: Array
    log_probability: Array


def maximise(model: Model, kernel: Array, counts: Array, start: Array) -> Fit:
    """Maximum-likelihood parameters of B sets of `counts` (B, M) at once, from `start` (B, p).

    Fisher scoring with Levenberg's damping and numerical derivatives; each set keeps its own damping and stops alone.
    """

    def log_probability(parameters: Array) -> Array:
        result: Array = np.log(np.maximum(model(parameters) @ kernel, _FLOOR))
        return result

    best = np.array(start, dtype=np.float64)
    logs = log_probability(best)
    value = (counts * logs).sum(axis=1)
    damping, idle = np.full(len(best), 1e-2), np.zeros(len(best), dtype=int)
    for _ in range(_STEPS):
        now = np.flatnonzero(idle < 2)
        if not len(now):
            break
        shift, promised = _shift(log_probability, best[now], logs[now], counts[now], damping[now])
        trial = log_probability(best[now] + shift)
        gain = (counts[now] * trial).sum(axis=1) - value[now]
        better = gain > 0
        damping[now] = np.clip(np.where(better, 0.25 * damping[now], 8.0 * damping[now]), 1e-6, 1e12)
        idle[now] = np.where(promised > _TOLERANCE, 0, idle[now] + 1)
        kept = now[better]
        best[kept] += shift[better]
        logs[kept], value[kept] = trial[better], value[kept] + gain[better]
    return Fit(best, value, logs)


def _shift(log_probability: Model, at: Array, logs: Array, counts: Array, damping: Array) -> tuple[Array, Array]:
    """The damped scoring step (B, p), at most 1 in each parameter, and the gain (B,) that it promises."""
    p = at.shape[1]
    slopes = np.stack([(log_probability(at + _H * np.eye(p)[i]) - logs) / _H for i in range(p)], axis=2)  # (B, M, p)
    score = np.einsum("bm,bmp->bp", counts, slopes)
    # expected and observed counts by halves: far from the optimum either alone misjudges rare bins
    weight = 0.5 * (counts + counts.sum(axis=1, keepdims=True) * np.exp(logs))
    information = (slopes * weight[:, :, None]).transpose(0, 2, 1) @ slopes
    size = np.einsum("bpp->bp", information)
    ridge = damping[:, None] * (size + 1e-6 * size.max(axis=1, keepdims=True) + 1e-12)
    information[:, np.arange(p), np.arange(p)] += ridge
    step = np.clip(np.linalg.solve(information, score[:, :, None])[:, :, 0], -1.0, 1.0)
    return step, (score * step).sum(axis=1)
