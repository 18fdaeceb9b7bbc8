"""Kurtosis of neurons, and Hoyer's sparsity over tokens, from moments of parts of the text; and without each part.

Moments of the parts are moved to one centre, where they add up: the whole, and what is left without a part, are then
sums. Source: Pebay (2008), Sandia report SAND2008-6212; Hoyer (2004), JMLR 5, 1457. Shapes: N neurons, P parts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PartMoments:
    """Of each part `n` (P,) positions; of each neuron and part (N, P) mean, central moments, and sum of sizes."""

    n: Array
    mean: Array
    moment_2: Array
    moment_3: Array
    moment_4: Array
    sum_abs: Array


def shapes(parts: PartMoments) -> tuple[Array, Array]:
    """Kurtosis m4 / m2^2 and Hoyer's sparsity, (1 + P, N) each: of all parts, then without each of them.

    NaN where a neuron does not vary, or is never active.

    >>> values = np.array([[0.0, 0.0, 0.0, 4.0], [0.0, 0.0, 0.0, 4.0]])
    >>> m = values.mean(axis=1)
    >>> p = [((values - m[:, None]) ** k).mean(axis=1)[None] for k in (2, 3, 4)]
    >>> kurtosis, hoyer = shapes(PartMoments(np.array([4.0, 4.0]), m[None], *p, np.array([[4.0, 4.0]])))
    >>> kurtosis.round(3)[:, 0].tolist(), hoyer.round(3)[:, 0].tolist()
    ([2.333, 2.333, 2.333], [0.773, 1.0, 1.0])
    """
    n = parts.n
    centre = (parts.mean @ n / n.sum())[:, None]
    gap = parts.mean - centre
    sums = np.stack(
        [
            n * gap,
            n * (parts.moment_2 + gap**2),
            n * (parts.moment_3 + 3 * gap * parts.moment_2 + gap**3),
            n * (parts.moment_4 + 4 * gap * parts.moment_3 + 6 * gap**2 * parts.moment_2 + gap**4),
            parts.sum_abs,
        ]
    )  # (5, N, P), about the centre
    whole = sums.sum(axis=2, keepdims=True)
    kept = np.concatenate([whole, whole - sums], axis=2) if len(n) > 1 else whole  # (5, N, 1 + P)
    size = np.concatenate([[n.sum()], n.sum() - n]) if len(n) > 1 else n
    shift, second, third, fourth = kept[:4] / size
    variance = second - shift**2
    spread = fourth - 4 * shift * third + 6 * shift**2 * second - 3 * shift**4
    square = variance + (centre + shift) ** 2  # mean of the squared activation
    varies = variance > 1e-12 * np.maximum(square, 1e-300)
    kurtosis = np.where(varies, spread / np.where(varies, variance, 1.0) ** 2, np.nan)
    active = square > 0
    ratio = kept[4] / np.sqrt(np.where(active, square, 1.0) * size)  # L1 / L2
    hoyer = np.where(active, (np.sqrt(size) - ratio) / (np.sqrt(size) - 1), np.nan)
    return kurtosis.T, hoyer.T
