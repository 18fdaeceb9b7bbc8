"""Moran's I on a nearest-neighbour graph: do neighbours have like values?

I = (N / S0) sum_ij w_ij z_i z_j / sum_i z_i^2 with z = x - mean(x); here every neuron has k neighbours of weight 1/k,
so S0 = N. Without autocorrelation E[I] = -1 / (N - 1). Source: Moran (1950), Biometrika 37, 17; Cliff and Ord (1981).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

# Values that are held at once when permutations are drawn.
_BLOCK = 1 << 22


def nearest(cosines: Floats, k: int) -> Index:
    """The k nearest other rows (N, k) by `cosines` (N, N), in no order.

    >>> nearest(np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]]), 1).ravel()
    array([1, 0, 1])
    """
    cosines = cosines.copy()
    np.fill_diagonal(cosines, -np.inf)
    return np.argpartition(-cosines, k - 1, axis=1)[:, :k].astype(np.int64)


def morans_i(values: Array, neighbours: Index) -> Array:
    """Moran's I (B,) of `values` (B, N) on `neighbours` (N, k); NaN where the values do not vary.

    >>> ring = np.array([[1, 3], [0, 2], [1, 3], [2, 0]])
    >>> morans_i(np.array([[1.0, -1.0, 1.0, -1.0]]), ring)
    array([-1.])
    """
    z = values - values.mean(axis=1, keepdims=True)
    lag = np.zeros_like(z)
    for column in neighbours.T:
        lag += z.take(column, axis=1)
    size = (z**2).sum(axis=1)
    found: Array = (z * lag).sum(axis=1) / neighbours.shape[1] / np.where(size > 1e-12 * values.shape[1], size, np.nan)
    return found


def permuted(values: Array, neighbours: Index, n_draws: int, rng: np.random.Generator) -> Array:
    """Moran's I (n_draws,) of `values` (N,) dealt anew among the neurons."""
    step = max(1, _BLOCK // len(values))
    parts = [
        morans_i(rng.permuted(np.tile(values, (min(step, n_draws - start), 1)), axis=1), neighbours)
        for start in range(0, n_draws, step)
    ]
    return np.concatenate(parts)


def planted_membership(
    n_members: int, neighbours: Index, share: float, n_draws: int, rng: np.random.Generator
) -> Array:
    """Memberships (n_draws, N), 0 or 1, of which a `share` are one random neuron's nearest, the rest random neurons."""
    n = len(neighbours)
    members = np.zeros((n_draws, n))
    for row in members:
        pick = rng.permutation(n)
        wanted = round(share * n_members)
        together: list[int] = []
        for seed in pick:
            if len(together) >= wanted:
                break
            together += [i for i in (int(seed), *neighbours[seed].tolist()) if i not in together]
        row[together[:wanted]] = 1.0
        others = pick[row[pick] == 0]
        row[others[: n_members - wanted]] = 1.0
    return members
