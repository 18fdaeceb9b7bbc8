"""How far a ranking of neurons can be trusted: split halves of the documents, rank correlation, overlap of the top.

Documents, not tokens, are dealt to the halves, so no document helps both. The interval is a delete-a-group jackknife
over documents: each group of documents is left out in turn and the same shuffles split the rest, so no document can be
in both halves (resampling with replacement would put copies on both sides, or lose a third of the documents).
Source: Spearman (1910) and Brown (1910) for the step from half to whole; Kott (2001), J. Official Statistics 17, 521.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from queries.stats.bootstrap import MIN_DOCUMENTS, percentile_interval, replicate_blocks
from queries.stats.nulls import permuted_in_documents
from queries.stats.words import counted

Array = NDArray[np.float64]

N_SPLITS = 200
N_GROUPS = 20
GROUP_SPLITS = 100
N_NULL = 299
NULL_SPLITS = 5
TOP = (10, 30, 100)


@dataclass(frozen=True)
class Reliability:
    """One measure: `estimate` with `low` and `high`, `half` the raw split-half mean, `null_mean` and `p`."""

    measure: str
    estimate: float
    low: float
    high: float
    half: float
    null_mean: float
    p: float


def ordinal_ranks(values: Array) -> NDArray[np.int32]:
    """Ranks (B, N) from 1 = largest in each row; ties in the order of the columns.

    >>> ordinal_ranks(np.array([[5.0, 9.0, 5.0]]))
    array([[2, 1, 3]], dtype=int32)
    """
    return ranks_and_curves(values)[0]


def ranks_and_curves(values: Array) -> tuple[NDArray[np.int32], Array]:
    """`ordinal_ranks` of `values` (B, N), and its rows in descending order (B, N); NaN last."""
    order, ranked = _descending(values)
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(1, values.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return ranks, ranked


def _descending(values: Array) -> tuple[NDArray[np.int64], Array]:
    """What puts each row of `values` (B, N) in descending order, and the rows in it.

    Ties come in the order of the columns, NaN last. A stable sort is several times slower, so only the rows that hold a
    tie get one.
    """
    order = np.argsort(-values, axis=1)
    ranked = np.take_along_axis(values, order, axis=1)
    tied = ~(ranked[:, 1:] < ranked[:, :-1]).all(axis=1)
    if tied.any():
        order[tied] = np.argsort(-values[tied], axis=1, kind="stable")
    return order, ranked


def mean_ranks(values: Array) -> Array:
    """Ranks (B, N) from 1 = smallest in each row; values that are equal share the mean of theirs.

    Only the rows that hold a tie are left to SciPy, which is several times slower.

    >>> mean_ranks(np.array([[5.0, 9.0, 5.0], [5.0, 9.0, 6.0]]))
    array([[1.5, 3. , 1.5],
           [1. , 3. , 2. ]])
    """
    order = np.argsort(values, axis=1)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, values.shape[1] + 1)[None], axis=1)
    ranked = np.take_along_axis(values, order, axis=1)
    tied = ~(ranked[:, 1:] > ranked[:, :-1]).all(axis=1)
    if tied.any():
        ranks[tied] = stats.rankdata(values[tied], axis=1)
    return ranks


def top_sizes(n: int) -> tuple[int, ...]:
    """Sizes k of a top that make sense among n neurons: those below n / 2."""
    return tuple(k for k in TOP if k < n / 2)


def halves_of(keys: Array, kept: NDArray[np.bool_]) -> Array:
    """Members of the first half (n_splits, D), 1 or 0: the kept documents with the smaller keys, rounded down."""
    order = np.where(kept, keys, np.inf).argsort(axis=1).argsort(axis=1)
    return (order < int(kept.sum()) // 2).astype(np.float64)


def spearman_rows(first: Array, second: Array) -> Array:
    """Spearman correlation (B,) of the rows of two arrays of ranks (B, N); NaN where a row is constant."""
    centre = 0.5 * (first.shape[1] + 1)
    a, b = first - centre, second - centre
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    rho: Array = (a * b).sum(axis=1) / np.where(scale > 0, scale, np.nan)
    return rho


def spearman_brown(r: float) -> float:
    """Reliability of the whole from the correlation of its halves, 2 r / (1 + r).

    >>> spearman_brown(0.5)
    0.6666666666666666
    """
    return 2.0 * r / (1.0 + r) if r > -1.0 else float("nan")


def split_half(sums: Array, halves: Array, others: Array, tops: tuple[int, ...]) -> Array:
    """Mean over splits of the Spearman correlation and of the overlap of each top: (1 + len(tops),).

    `sums` (D, N) per document, `halves` and `others` (n_splits, D) the members of either half.
    """
    n = sums.shape[1]
    parts = [
        _compare((halves[block] @ sums)[:, None], (others[block] @ sums)[:, None], tops)
        for block in replicate_blocks(len(halves), n)
    ]
    means: Array = np.concatenate(parts).mean(axis=0)
    return means


def leading_share(values: Array, share: float = 0.01) -> Array:
    """Share (B,) of the sum of each row of `values` (B, N) that its largest values carry; at least one value.

    >>> leading_share(np.array([[1.0, 3.0, 0.0]]))
    array([0.75])
    """
    n = values.shape[1]
    k = max(1, math.ceil(share * n))
    total = values.sum(axis=1)
    largest = np.partition(values, n - k, axis=1)[:, n - k :].sum(axis=1)
    return np.where(total > 0, largest / np.where(total > 0, total, 1.0), np.nan)


def ranked_band(curves: Array, curve: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Pointwise percentile band, (N,) and (N,), of a ranked curve (N,) from its resamples `curves` (B, N).

    Every row is sorted on its own, so the band at rank r is about whichever value has that rank: unlike intervals of
    single neurons put in order, it is as smooth as the curve. The curve itself is always inside.
    """
    low, high = percentile_interval(curves, level)
    return np.minimum(low, curve), np.maximum(high, curve)


def split_half_reliability(sums: Array, counts: Array, rng: np.random.Generator, n_splits: int = N_SPLITS) -> float:
    """Spearman-Brown reliability of the ranking by `sums` (D, N) over all documents; NaN below two documents."""
    sums = sums[counts > 0]
    if len(sums) < 2 or sums.shape[1] < 2:
        return float("nan")
    halves = halves_of(rng.random((n_splits, len(sums))), np.ones(len(sums), dtype=bool))
    return spearman_brown(float(split_half(sums, halves, 1.0 - halves, ())[0]))


def ranking_reliability(sums: Array, counts: Array, rng: np.random.Generator) -> tuple[list[Reliability], str]:
    """Every measure for `sums` (D, N) and `counts` (D,), and why there is no answer (empty where there is).

    Documents without the class take no part.
    """
    sums = sums[counts > 0]
    n_documents, n = sums.shape
    tops = top_sizes(n)
    names = ("spearman", *(f"top_{k}" for k in tops))
    if n_documents < MIN_DOCUMENTS or n < 3:
        few = f"{counted(n_documents, 'document')} and {counted(n, 'neuron')}"
        reason = f"{few}; at least {MIN_DOCUMENTS} documents and 3 neurons are needed"
        nan = float("nan")
        return [Reliability(name, nan, nan, nan, nan, nan, nan) for name in names], reason
    everyone = np.ones(n_documents, dtype=bool)
    halves = halves_of(rng.random((N_SPLITS, n_documents)), everyone)
    half = split_half(sums, halves, 1.0 - halves, tops)
    low, high = _jackknife(sums, half, tops, rng)
    null = _null(sums, tops, rng)  # (N_NULL, M)
    p = (1 + (null >= half).sum(axis=0)) / (1 + N_NULL)
    results = []
    for m, name in enumerate(names):
        raw = (float(half[m]), float(low[m]), float(high[m]), float(null[:, m].mean()))
        whole = tuple(spearman_brown(r) for r in raw) if name == "spearman" else raw
        results.append(Reliability(name, whole[0], whole[1], whole[2], raw[0], whole[3], float(p[m])))
    return results, ""


def _scale(values: Array) -> Array:
    """Scales on which the jackknife is near normal: Fisher's z for the correlation, arcsine for the overlaps."""
    z = np.arctanh(np.clip(values[..., :1], -1 + 1e-12, 1 - 1e-12))
    angle = np.arcsin(np.sqrt(np.clip(values[..., 1:], 0.0, 1.0)))
    return np.concatenate([z, angle], axis=-1)


def _jackknife(sums: Array, half: Array, tops: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    """Ends of 95 % intervals (M,) and (M,) around `half` (M,): delete-a-group jackknife, Student's t."""
    n_documents = len(sums)
    n_groups = min(N_GROUPS, n_documents)
    group = rng.permutation(n_documents) % n_groups
    keys = rng.random((GROUP_SPLITS, n_documents))
    left_out = []
    for g in range(n_groups):
        kept = group != g
        halves = halves_of(keys, kept)
        left_out.append(_scale(split_half(sums, halves, kept - halves, tops)))
    spread = np.array(left_out) - np.mean(left_out, axis=0)  # (G, M)
    error = np.sqrt((n_groups - 1) / n_groups * (spread**2).sum(axis=0))
    reach = float(stats.t.ppf(0.975, n_groups - 1)) * error
    centre = _scale(half)
    low, high = centre - reach, centre + reach
    low[1:], high[1:] = np.sin(np.clip(low[1:], 0, np.pi / 2)) ** 2, np.sin(np.clip(high[1:], 0, np.pi / 2)) ** 2
    low[0], high[0] = np.tanh(low[0]), np.tanh(high[0])
    return np.minimum(low, half), np.maximum(high, half)


def permuted_halves(
    sums: Array, n_draws: int, n_splits: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Sums (b, n_splits, N) of either half of the documents, for blocks of `n_draws` draws of a null.

    In each draw the neuron labels of `sums` (D, N) are permuted in each document: sizes stay, consistency goes.
    """
    n_documents, n = sums.shape
    everyone = np.ones(n_documents, dtype=bool)
    copies = permuted_in_documents(sums, n_draws, rng)
    for block in replicate_blocks(n_draws, 2 * n_splits * n):
        size = block.stop - block.start
        halves = halves_of(rng.random((size * n_splits, n_documents)), everyone).reshape(size, n_splits, n_documents)
        parts = [(each @ copy, (1.0 - each) @ copy) for each, copy in zip(halves, copies, strict=False)]
        first, second = zip(*parts, strict=True)
        yield np.stack(first), np.stack(second)


def _null(sums: Array, tops: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Split-half means (N_NULL, M) of the null of `permuted_halves`."""
    return np.concatenate([_compare(*both, tops) for both in permuted_halves(sums, N_NULL, NULL_SPLITS, rng)])


def _compare(first: Array, second: Array, tops: tuple[int, ...]) -> Array:
    """Spearman correlation and overlaps (B, M), averaged over the splits of `first` and `second` (B, splits, N)."""
    n = first.shape[-1]
    a, b = mean_ranks(first.reshape(-1, n)), mean_ranks(second.reshape(-1, n))
    overlaps = [((a > n - k) & (b > n - k)).sum(axis=1) / k for k in tops]
    measures = np.stack([spearman_rows(a, b), *overlaps], axis=1)
    means: Array = measures.reshape(len(first), -1, measures.shape[1]).mean(axis=1)
    return means
