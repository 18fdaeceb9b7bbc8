"""Maximum likelihood of binned values, many sets at once: a model gives weights on a grid, a kernel what is measured.

Shapes: B sets, p parameters, G points of the grid of true values, M bins of measured ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FLOOR = 1e-14  # least probability of a bin
_STEPS, _H, _TOLERANCE = 60, 1e-4, 1e-4


def weights_on_grid(log_density: Array) -> Array:
    """Probabilities (B, G) on the grid from log densities up to a constant."""
    peak = log_density.max(axis=1, keepdims=True)
    mass = log_density - peak
    np.exp(mass, out=mass)
    mass /= mass.sum(axis=1, keepdims=True)
    result: Array = mass
    return result


@dataclass(frozen=True)
class Part:
    """A part of the true values: log density on the grid (B, G), up to a constant, from some `columns` of (B, p).

    `gradient` gives its derivatives (B, G) by each of these columns, if it is known.
    """

    columns: slice
    log_density: Callable[[Array], Array]
    gradient: Callable[[Array], list[Array]] | None = None

    def of(self, parameters: Array) -> Array:
        """Its probabilities on the grid (B, G) from all parameters (B, p)."""
        return weights_on_grid(self.log_density(parameters[:, self.columns]))

    def slopes(self, parameters: Array, weights: Array) -> dict[int, Array]:
        """Derivatives (B, G) of its probabilities, `weights` at `parameters` (B, p), by each of its columns."""
        columns = range(*self.columns.indices(parameters.shape[1]))
        if self.gradient is None:
            return {i: (self.of(_moved(parameters, i)) - weights) / _H for i in columns}
        by_column = zip(columns, self.gradient(parameters[:, self.columns]), strict=True)
        return {i: weights * (slope - np.einsum("bg,bg->b", weights, slope)[:, None]) for i, slope in by_column}


def _moved(parameters: Array, i: int) -> Array:
    """The parameters (B, p), number `i` moved by a step of the numerical derivative."""
    moved = parameters.copy()
    moved[:, i] += _H
    return moved


@dataclass(frozen=True)
class Model:
    """Probabilities on the grid (B, G) from parameters (B, p): `parts` by their `shares`, each (B, 1).

    A parameter is of parts or of the shares, not of both.
    """

    parts: tuple[Part, ...]
    shares: Callable[[Array], tuple[Array, ...]]

    def __call__(self, parameters: Array) -> Array:
        """Probabilities on the grid (B, G)."""
        return self.mixed(parameters, [part.of(parameters) for part in self.parts])

    def mixed(self, parameters: Array, of_parts: list[Array]) -> Array:
        """Probabilities on the grid (B, G) from those of each part."""
        return _sum(self.shares(parameters), of_parts)

    def slopes(self, parameters: Array, of_parts: list[Array]) -> Iterator[Array]:
        """Derivatives (B, G) of the probabilities by one parameter after another."""
        shares = self.shares(parameters)
        found = [part.slopes(parameters, held) for part, held in zip(self.parts, of_parts, strict=True)]
        for i in range(parameters.shape[1]):
            moves = [(share, of_part[i]) for share, of_part in zip(shares, found, strict=True) if i in of_part]
            if not moves:  # a parameter of the shares alone
                moved = self.shares(_moved(parameters, i))
                moves = [((b - a) / _H, held) for a, b, held in zip(shares, moved, of_parts, strict=True)]
            yield _sum(*zip(*moves, strict=True))


def _sum(shares: Sequence[Array], parts: Sequence[Array]) -> Array:
    total: Array = shares[0] * parts[0]
    for share, part in zip(shares[1:], parts[1:], strict=True):
        total += share * part
    return total


@dataclass(frozen=True)
class Fit:
    """`parameters` (B, p), log likelihood (B,) of the binned values, log probability (B, M) of every bin."""

    parameters: Array
    log_likelihood: Array
    log_probability: Array


def maximise(model: Model, kernel: Array, counts: Array, start: Array) -> Fit:
    """Maximum-likelihood parameters of B sets of `counts` (B, M) at once, from `start` (B, p).

    Fisher scoring with Levenberg's damping; each set keeps its own damping and stops alone.
    """

    def log_probability(parameters: Array, of_parts: list[Array]) -> Array:
        result: Array = np.log(np.maximum(model.mixed(parameters, of_parts) @ kernel, _FLOOR))
        return result

    def slopes(at: Array, of_parts: list[Array], logs: Array) -> Array:
        """Derivatives (B, M, p) of the log probabilities."""
        found = np.stack([slope @ kernel for slope in model.slopes(at, of_parts)], axis=2)
        found *= np.where(logs > np.log(_FLOOR), np.exp(-logs), 0.0)[:, :, None]
        return found

    best = np.array(start, dtype=np.float64)
    parts = [part.of(best) for part in model.parts]
    logs = log_probability(best, parts)
    value = (counts * logs).sum(axis=1)
    damping, idle = np.full(len(best), 1e-2), np.zeros(len(best), dtype=int)
    for _ in range(_STEPS):
        now = np.flatnonzero(idle < 2)
        if not len(now):
            break
        slope = slopes(best[now], [held[now] for held in parts], logs[now])
        shift, promised = _shift(slope, logs[now], counts[now], damping[now])
        trial = best[now] + shift
        trial_parts = [part.of(trial) for part in model.parts]
        trial_logs = log_probability(trial, trial_parts)
        gain = (counts[now] * trial_logs).sum(axis=1) - value[now]
        better = gain > 0
        damping[now] = np.clip(np.where(better, 0.25 * damping[now], 8.0 * damping[now]), 1e-6, 1e12)
        # a step that was cut may promise a loss: then a shorter one is tried, and the search is not over
        idle[now] = np.where(np.abs(promised) > _TOLERANCE, 0, idle[now] + 1)
        kept = now[better]
        best[kept] += shift[better]
        logs[kept], value[kept] = trial_logs[better], value[kept] + gain[better]
        for held, of_trial in zip(parts, trial_parts, strict=True):
            held[kept] = of_trial[better]
    return Fit(best, value, logs)


def _shift(slopes: Array, logs: Array, counts: Array, damping: Array) -> tuple[Array, Array]:
    """The damped scoring step (B, p), at most 1 in each parameter, and the gain (B,) that it promises."""
    p = slopes.shape[2]
    score = np.einsum("bm,bmp->bp", counts, slopes)
    # expected and observed counts by halves: far from the optimum either alone misjudges rare bins
    weight = 0.5 * (counts + counts.sum(axis=1, keepdims=True) * np.exp(logs))
    information = (slopes * weight[:, :, None]).transpose(0, 2, 1) @ slopes
    size = np.einsum("bpp->bp", information)
    ridge = damping[:, None] * (size + 1e-6 * size.max(axis=1, keepdims=True) + 1e-12)
    information[:, np.arange(p), np.arange(p)] += ridge
    step = np.clip(np.linalg.solve(information, score[:, :, None])[:, :, 0], -1.0, 1.0)
    return step, (score * step).sum(axis=1)
