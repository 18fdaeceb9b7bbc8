"""How many dimensions a group of neurons spans: from the eigenvalues of its correlation matrix.

Activations are z-scored, so the eigenvalues are those of a principal component analysis of the correlation matrix, and
the correlations of any group are cut out of one matrix of all neurons. Shapes: T positions, N neurons, B groups of m.
Source: Liu et al. (2025), arXiv 2505.12822, section 4 (d95); Roy and Vetterli (2007), EUSIPCO (entropy rank);
Gao et al. (2017), bioRxiv 214262 (participation ratio).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from queries.stats.left_out import without_sets

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

MEASURES = ("d95", "participation", "entropy")
SHARE = 0.95
# Values of a block of matrices that are held at once
_BLOCK = 1 << 21


def correlation(values: Floats) -> NDArray[np.float32]:
    """Pearson correlations (N, N) of the columns of `values` (T, N); rows of constant columns are 0.

    >>> correlation(np.array([[1.0, 2.0, 7.0], [2.0, 0.0, 7.0]])).round(3).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    unit = unit_columns(values)[0]
    r: NDArray[np.float32] = unit.T @ unit
    return r


def unit_columns(values: Floats) -> tuple[NDArray[np.float32], Array]:
    """Columns of `values` (T, N) centred, with length 1, and their levels (N,): mean over root mean square.

    A column that does not vary is 0, one that is 0 has the level 0. With the levels, Pearson's r of two columns, which
    is the product of the unit columns, gives the cosine of the columns as they are: r s_i s_j + level_i level_j,
    s = sqrt(1 - level^2).
    """
    mean = values.mean(axis=0, dtype=np.float64)
    unit = (values - mean).astype(np.float32)
    length = np.sqrt(np.einsum("tn,tn->n", unit, unit)).astype(np.float64)
    size = np.abs(values).max(axis=0, initial=0.0)
    # centring leaves rounding of the size of the values
    varies = length > 1e-6 * size
    unit *= np.where(varies, 1.0 / np.where(varies, length, 1.0), 0.0).astype(np.float32)
    whole = np.hypot(length, np.sqrt(len(values)) * mean)
    return unit, np.sqrt(len(values)) * mean / np.where(whole > 0, whole, 1.0)


def spectrum_dimensions(eigenvalues: Array) -> Array:
    """d95/m, participation ratio / m, entropy rank / m, and d95/m interpolated (B, 4), of `eigenvalues` (B, m).

    With shares q of the sum, largest first: d95 is the smallest k whose k largest shares reach 0.95; participation
    1 / sum q^2; entropy rank exp(-sum q ln q). The interpolated d95 runs linearly between whole dimensions: it breaks
    ties and lets a jackknife see small changes. NaN where all eigenvalues are 0.

    >>> spectrum_dimensions(np.array([[1.0, 1.0, 0.0, 0.0]])).round(3).tolist()
    [[0.5, 0.5, 0.5, 0.475]]
    """
    m = eigenvalues.shape[1]
    ordered = np.maximum(np.sort(eigenvalues, axis=1)[:, ::-1], 0.0)
    total = ordered.sum(axis=1, keepdims=True)
    share = ordered / np.where(total > 0, total, np.nan)
    reached = np.cumsum(share, axis=1)
    # eigenvalues carry rounding of this size
    is_short = reached < SHARE - 1e-6
    d95 = np.minimum(1 + is_short.sum(axis=1), m)
    rows = np.arange(len(share))
    last = share[rows, d95 - 1]
    over = np.clip(reached[rows, d95 - 1] - SHARE, 0.0, last)
    smooth = d95 - over / np.where(last > 0, last, 1.0)
    logarithm = np.log(np.where(share > 0, share, 1.0))
    entropy = np.exp(-(share * logarithm).sum(axis=1))
    found: Array = np.stack([d95, 1.0 / (share**2).sum(axis=1), entropy, smooth], axis=1) / m
    found[np.isnan(share[:, 0])] = np.nan
    return found


def group_dimensions(values: Floats) -> Callable[[Index], Array]:
    """A function that gives the dimensions (B, 4) of groups (B, m) of the neurons in `values` (T, N)."""
    whole = correlation(values)

    def of_groups(groups: Index) -> Array:
        step = max(1, _BLOCK // groups.shape[1] ** 2)
        parts = [
            np.linalg.eigvalsh(whole[block[:, :, None], block[:, None, :]].astype(np.float64))
            for block in (groups[start : start + step] for start in range(0, len(groups), step))
        ]
        return spectrum_dimensions(np.concatenate(parts))

    return of_groups


def left_out_dimensions(values: Floats, set_of: Index, members: Index) -> Array:
    """The dimensions (G, 4) of `members` (m,) at `values` (T, N) without one set of `set_of` (T,) at a time."""
    own = values[:, members]
    parts = [np.linalg.eigvalsh(r) for r, _ in without_sets(own, set_of, np.arange(len(members)))]
    return spectrum_dimensions(np.concatenate(parts))
