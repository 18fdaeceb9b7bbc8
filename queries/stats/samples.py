"""Positions of two classes, as many of each from every document, and the neurons that vary at positions.

Shapes: T positions, N neurons, D documents.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Draws of positions from the class that has more of them; what is measured is averaged over the draws
N_SAMPLES = 4
# Columns whose values are held as float64 at once
_COLUMNS = 32


def equal_samples(
    document: Index, is_rare: Flags, rng: np.random.Generator, n: int = N_SAMPLES
) -> dict[str, list[Index]]:
    """Draws of as many rare as common rows from every document, sorted; one draw where a class is used up.

    Drawn document by document, so that the classes differ in their tokens and not in their documents. With one class
    only, all of its rows.

    >>> samples = equal_samples(np.zeros(5, dtype=np.int64), np.arange(5) < 2, np.random.default_rng(0), 3)
    >>> [len(samples[name]) for name in ("rare", "common")], len(samples["common"][0])
    ([1, 3], 2)
    """
    rows = {"rare": np.flatnonzero(is_rare), "common": np.flatnonzero(~is_rare)}
    if any(len(each) == 0 for each in rows.values()):
        return {name: [each] for name, each in rows.items()}
    codes = np.unique(document, return_inverse=True)[1]
    size = np.minimum(*(np.bincount(codes[each], minlength=codes.max() + 1) for each in rows.values()))
    samples = {}
    for name, each in rows.items():
        is_used_up = len(each) == size.sum()
        samples[name] = [each] if is_used_up else [_draw(each, codes[each], size, rng) for _ in range(n)]
    return samples


def _draw(rows: Index, code: Index, size: Index, rng: np.random.Generator) -> Index:
    """`size` (D,) of the `rows` of each document, sorted."""
    order = np.lexsort((rng.random(len(rows)), code))
    start = np.searchsorted(code[order], np.arange(len(size)))
    place = np.arange(len(rows)) - start[code[order]]
    return np.sort(rows[order[place < size[code[order]]]])


def moments(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (N,) of the columns of `values` (T, N), in float64 without a copy of all of them in it.

    >>> moments(np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32))
    (array([2., 5.]), array([1., 0.]))
    """
    n = values.shape[1]
    mean, variance = np.empty(n), np.empty(n)
    for start in range(0, n, _COLUMNS):
        block = slice(start, start + _COLUMNS)
        mean[block] = values[:, block].mean(axis=0, dtype=np.float64)
        variance[block] = values[:, block].var(axis=0, dtype=np.float64)
    return mean, variance


def is_finite(values: Floats) -> Flags:
    """Which rows (T,) of `values` (T, N) are finite throughout; extremes pass NaN on, and need no mask of their size.

    >>> is_finite(np.array([[1.0, np.nan], [1.0, 2.0]]))
    array([False,  True])
    """
    found: Flags = np.isfinite(values.min(axis=1)) & np.isfinite(values.max(axis=1))
    return found


def varying(values: Floats) -> Flags:
    """Which columns (N,) of `values` (T, N) are not constant, up to rounding.

    >>> varying(np.array([[1.0, 2.0], [1.0, 3.0]]))
    array([False,  True])
    """
    if not len(values):
        return np.zeros(values.shape[1], dtype=bool)
    low, high = values.min(axis=0), values.max(axis=0)
    varies: Flags = high - low > 1e-6 * np.maximum(np.abs(low), np.abs(high))
    return varies
