"""Moments of every neuron's activation to the fourth order, from any number of pieces, in one reading.

Sums of powers of deviations from the mean are kept, not of powers: those would cancel. Two summaries are merged exactly
but for rounding. Source: Chan, Golub and LeVeque (1983), The American Statistician 37, 242; Pebay (2008), Sandia report
SAND2008-6212, equations 2.1 and 3.1. Shapes: P parts (groups of documents), N neurons, T positions.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NAMES = ("mean", "sum_2", "sum_3", "sum_4", "sum_abs", "sum_square")


class Moments:
    """Of N neurons, apart for each of P parts of the text: `n` (P,) positions and the sums `NAMES`, (P, N) float64.

    `sum_2` to `sum_4` are sums of powers of the deviations from the mean of the part; `sum_abs` and `sum_square` of the
    activation itself.
    """

    def __init__(self, n_parts: int, n_neurons: int) -> None:
        self.n = np.zeros(n_parts)
        self.sums = {name: np.zeros((n_parts, n_neurons)) for name in NAMES}

    def update(self, part: int, activation: NDArray[np.float32]) -> None:
        """Add positions of one part: `activation` (T, N)."""
        held = {name: values[part] for name, values in self.sums.items()}
        merged = merge(float(self.n[part]), held, float(len(activation)), summarise(activation))
        self.n[part] += len(activation)
        for name, values in merged.items():
            self.sums[name][part] = values

    def total(self) -> tuple[float, dict[str, Array]]:
        """Positions and sums (N,) of all parts together, merged in their order."""
        n, total = 0.0, {name: np.zeros(values.shape[1]) for name, values in self.sums.items()}
        for part, more in enumerate(self.n.tolist()):
            total = merge(n, total, more, {name: values[part] for name, values in self.sums.items()})
            n += more
        return n, total


def summarise(activation: NDArray[np.floating]) -> dict[str, Array]:
    """The sums `NAMES` (N,) of `activation` (T, N), in float64."""
    values = activation.astype(np.float64)
    n, mean, total = len(values), values.mean(axis=0), np.abs(activation).sum(axis=0, dtype=np.float64)
    values -= mean
    square = values**2
    sum_2 = square.sum(axis=0)
    return {
        "mean": mean,
        "sum_2": sum_2,
        "sum_3": np.einsum("tn,tn->n", square, values),
        "sum_4": np.einsum("tn,tn->n", square, square),
        "sum_abs": total,
        "sum_square": sum_2 + n * mean**2,
    }


def merge(n: float, one: Mapping[str, Array], m: float, other: Mapping[str, Array]) -> dict[str, Array]:
    """The sums of `n` and of `m` positions, as if all of them had been read at once."""
    if n == 0 or m == 0:
        return dict(other if n == 0 else one)
    gap = other["mean"] - one["mean"]
    step = gap / (n + m)
    cross = gap * step * n * m  # gap^2 n m / (n + m)
    return {
        "mean": one["mean"] + step * m,
        "sum_2": one["sum_2"] + other["sum_2"] + cross,
        "sum_3": one["sum_3"]
        + other["sum_3"]
        + cross * step * (n - m)
        + 3 * step * (n * other["sum_2"] - m * one["sum_2"]),
        "sum_4": one["sum_4"]
        + other["sum_4"]
        + cross * step**2 * (n**2 - n * m + m**2)
        + 6 * step**2 * (n**2 * other["sum_2"] + m**2 * one["sum_2"])
        + 4 * step * (n * other["sum_3"] - m * one["sum_3"]),
        "sum_abs": one["sum_abs"] + other["sum_abs"],
        "sum_square": one["sum_square"] + other["sum_square"],
    }
