"""Nulls by rearranging what the documents say: flipped signs, permuted neuron labels, positions turned within them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

N_FLIPS = 9999
# Where fewer draws than this reach the observed value, p is told from more draws: families of many tests need small p.
FEW = 10
# Flips that are held at once, times the number of neurons: what a processor's cache holds.
_BLOCK = 1 << 17


def sign_flip_p(sums: Array, rng: np.random.Generator, n_flips: int = N_FLIPS, n_more: int = 0) -> Array:
    """Two-sided p (N,) of "the signed mean is zero" from `sums` (D, N) per document, by random sign flips.

    p = (1 + #{|flipped total| >= |total|}) / (n_flips + 1): valid whatever the documents' sizes, as long as the sum
    of a document is as likely to be positive as negative under the null. The same flips serve every neuron. Neurons
    that fewer than `FEW` of them reach get `n_more` flips in all, if that is more: families of many tests need small
    p. It is valid in either stage (sequential Monte-Carlo p: Besag and Clifford, 1991, Biometrika 78, 301).
    Of all flips of D documents, not counting those whose sum is 0, the observed signs and their opposites reach the
    total, so no exact p is below `least_sign_flip_p(D)`; where drawn flips met them too seldom, p is that.

    >>> sign_flip_p(np.ones((20, 1)), np.random.default_rng(0), 999)
    array([0.001])
    >>> sign_flip_p(np.ones((8, 1)), np.random.default_rng(2), 999) >= 2 / 2**8
    array([ True])
    """
    reached = _flips_that_reach(sums, rng, n_flips)
    p: Array = (1.0 + reached) / (n_flips + 1.0)
    few = np.flatnonzero(reached < FEW)
    if n_more > n_flips and len(few):
        p[few] = (1.0 + reached[few] + _flips_that_reach(sums[:, few], rng, n_more - n_flips)) / (n_more + 1.0)
    least = [least_sign_flip_p(n) for n in np.count_nonzero(sums, axis=0).tolist()]
    return np.maximum(p, np.array(least, dtype=np.float64))


def least_sign_flip_p(n_documents: int) -> float:
    """The smallest two-sided p that flipping the signs of so many documents can give, however many flips are drawn.

    >>> least_sign_flip_p(5)
    0.0625
    """
    return min(1.0, float(2.0 ** (1 - n_documents)))


def _flips_that_reach(sums: Array, rng: np.random.Generator, n_flips: int) -> Array:
    """How many of `n_flips` flipped totals are as large (N,) as that of `sums` (D, N)."""
    n_documents, n = sums.shape
    # flipped totals that equal the observed one up to rounding count as equal
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-12)
    reached = np.zeros(n)
    step = max(1, _BLOCK // max(n, n_documents, 1))
    for start in range(0, n_flips, step):
        flips = rng.integers(0, 2, size=(min(step, n_flips - start), n_documents)) * 2.0 - 1.0
        totals = flips @ sums
        reached += np.count_nonzero(np.abs(totals, out=totals) >= observed, axis=0)
    return reached


def p_text(p: float, *floors: float) -> str:
    """A Monte-Carlo p in words: an upper bound where it is one of `floors`, the smallest that the draws allow.

    >>> p_text(0.04, 0.001), p_text(0.001, 0.001)
    ('p = 0.04', 'p <= 0.001')
    """
    return f"p {'<=' if is_floor(p, floors) else '='} {p:.2g}"


def is_floor(p: float, floors: Sequence[float]) -> bool:
    """Whether a Monte-Carlo p is one of the smallest values that the draws allow, so that it is only an upper bound."""
    return any(abs(p - floor) <= 1e-9 * floor for floor in floors)


def benjamini_hochberg(p: Array) -> Array:
    """q-values (N,) of Benjamini and Hochberg; NaN stays NaN and does not count as a test.

    >>> benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    array([0.02,  nan, 0.04])
    """
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q


def permute_within_documents(sums: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Totals (n_draws, N) of `sums` (D, N) whose neuron labels are permuted in each document on its own.

    Each document's row is shuffled once; every draw then turns it by its own random offset. A turn is a permutation
    drawn from a group, which is what a permutation test needs, and copies memory in order: 50 times faster.
    """
    n_documents, n = sums.shape
    totals = np.zeros((n_draws, n))
    for document in range(n_documents):
        row = rng.permutation(sums[document])
        turned = sliding_window_view(np.concatenate([row, row[:-1]]), n)
        totals += turned[rng.integers(0, n, size=n_draws)]
    return totals


def permuted_in_documents(sums: Array, n_draws: int, rng: np.random.Generator) -> Iterator[Array]:
    """`n_draws` copies (D, N) of `sums`, permuted as in `permute_within_documents`: one after another, in one place."""
    n_documents, n = sums.shape
    rows, copy = rng.permuted(sums, axis=1), np.empty(sums.shape)
    for offsets in rng.integers(0, n, size=(n_draws, n_documents)).tolist():
        for row, place, offset in zip(rows, copy, offsets, strict=True):
            place[: n - offset], place[n - offset :] = row[offset:], row[:offset]
        yield copy


class Turns:
    """`values` (T, m) turned in circles within their documents, `document` (T,), whose rows need not follow each other.

    >>> turns = Turns(np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([0, 0, 0, 1]))
    >>> turns.apply(np.array([[2], [0]])).ravel().tolist()
    [3.0, 1.0, 2.0, 9.0]
    """

    def __init__(self, values: NDArray[np.floating], document: NDArray[np.int64]) -> None:
        _, self._document, self.size = np.unique(document, return_inverse=True, return_counts=True)
        order = np.argsort(self._document, kind="stable")
        self._place = np.empty_like(order)
        self._place[order] = np.arange(len(order))
        ordered = np.ascontiguousarray(values[order].T)  # (m, T)
        self._is_in_order = bool((order[1:] > order[:-1]).all())
        # each document twice over: whatever the offset, its turned values are there side by side
        first = np.cumsum(self.size) - self.size
        ends = list(zip(first.tolist(), (first + self.size).tolist(), strict=True))
        self._twice = np.concatenate([ordered[:, i:j] for i, j in ends for _ in range(2)], axis=1)  # (m, 2 T)
        self._windows = [
            (slice(i, j), sliding_window_view(self._twice[:, 2 * i : 2 * j], j - i, axis=1)) for i, j in ends
        ]
        self._at = self._place + first[self._document]  # of each row in `_twice`

    def apply(self, offset: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> NDArray[np.floating]:
        """The values, in document d and column j turned by `offset` (D, m); of these only `rows`, if given."""
        column, offset = np.arange(len(self._twice)), offset % self.size[:, None]
        if rows is not None:
            some: NDArray[np.floating] = self._twice[column, self._at[rows, None] + offset[self._document[rows]]]
            return some
        drawn = np.empty((len(self._twice), len(self._place)), self._twice.dtype)
        for (place, windows), of_document in zip(self._windows, offset, strict=True):
            drawn[:, place] = windows[column, of_document]
        return (drawn if self._is_in_order else drawn[:, self._place]).T


def circular_shifts(
    values: NDArray[np.floating],
    document: NDArray[np.int64],
    n_draws: int,
    rng: np.random.Generator,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[NDArray[np.floating]]:
    """`n_draws` copies of `values` (T, m) in which each neuron is turned in a circle within each document, on its own.

    Each neuron keeps its values, its mean in every document and, but for one cut, their order; what neurons do at the
    same position goes. With `rows`, only these positions of every copy are made.

    >>> turned, = circular_shifts(np.arange(3.0)[:, None], np.zeros(3, dtype=np.int64), 1, np.random.default_rng(0))
    >>> turned.ravel().tolist()
    [2.0, 0.0, 1.0]
    """
    turns = Turns(values, document)
    for _ in range(n_draws):
        offset = rng.integers(0, turns.size[:, None], size=(len(turns.size), values.shape[1]))
        yield turns.apply(offset, rows)
