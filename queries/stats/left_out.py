"""How a group correlates with all neurons without one set of documents at a time, from sums over the sets.

Shapes: T positions, N neurons, m neurons of a group, G sets of documents.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

# Values of a block of matrices that are held at once
_BLOCK = 1 << 21
# What centring leaves of the squares of a neuron that does not vary, at most
_ROUNDING = 1e-12


def without_sets(values: Floats, set_of: Index, members: Index) -> Iterator[tuple[Array, Array]]:
    """Pearson's r and cosine (g, m, N) of `members` (m,) with all neurons of `values` (T, N), without a set each.

    In the order of the sets, `set_of` (T,), as many at once as a block holds; 0 with what does not vary, or is 0. The
    products without a set are those of all positions less its own, so no position is multiplied for every set anew.
    """
    code = np.unique(set_of, return_inverse=True)[1]
    counts = np.bincount(code)
    shape = (len(counts), values.shape[1])
    sums, squares, whole = np.empty(shape), np.empty(shape), np.zeros((len(members), values.shape[1]))
    for each in range(len(counts)):
        rows = values[code == each].astype(np.float64)
        sums[each], squares[each] = rows.sum(axis=0), np.einsum("tn,tn->n", rows, rows)
        whole += rows[:, members].T @ rows
    others = 1.0 - np.eye(len(counts))
    sums, squares = others @ sums, others @ squares
    mean = sums / np.maximum(others @ counts, 1.0)[:, None]
    variance = squares - sums * mean
    scale, length = _inverse_root(variance, _ROUNDING * squares), _inverse_root(squares, np.zeros(shape))
    step = max(1, _BLOCK // whole.size)
    for start in range(0, len(counts), step):
        sets = np.arange(start, min(start + step, len(counts)))
        parts = (values[code == each].astype(np.float64) for each in sets)
        left = whole - np.stack([rows[:, members].T @ rows for rows in parts])
        centred = left - sums[sets][:, members, None] * mean[sets, None]
        yield (
            centred * scale[sets][:, members, None] * scale[sets, None],
            left * length[sets][:, members, None] * length[sets, None],
        )


def _inverse_root(squares: Array, floor: Array) -> Array:
    """1 / sqrt of `squares` above `floor`, both of one shape; 0 for others."""
    is_there = squares > floor
    return np.where(is_there, 1.0 / np.sqrt(np.where(is_there, squares, 1.0)), 0.0)
