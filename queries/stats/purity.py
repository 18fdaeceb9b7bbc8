"""Purity of atoms: how far the positions where an atom is strongest are of one class, early in training and at its end.

Purity is the largest share of a class among an atom's contexts. It is biased upwards (the largest of several noisy
shares), the more classes the more; and contexts of an atom at two steps are partly the same positions, so that
purities correlate even if classes mean nothing. Labels permuted within documents keep both, and are the null.
Shapes: T positions, A atoms, k contexts, C classes, S strata; a label or context of -1 is none.
Source: Yang (2026), arXiv 2605.24057 (purity at 5 % of the training against the end).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Index = NDArray[np.int64]
STRONGEST = 30  # contexts of an atom that its purity is of; more are kept, so that resamples have others to choose
MIN_CONTEXTS = 10  # of those, with a label
MIN_ATOMS = 20
MEASURES = (
    "spearman",
    "purity_early",
    "purity_final",
    "top_decile",
    "lift_over_chance",
    "lift_over_majority",
    "excess_in_strata",
)


@dataclass(frozen=True)
class Labels:
    """Class (T,) of each position, and its stratum (T,), both from 0; how many there are of each."""

    of: Index
    n_classes: int
    stratum: Index
    n_strata: int

    def with_classes(self, of: Index) -> "Labels":
        """The same with other classes of the positions."""
        return replace(self, of=of)


def strongest(contexts: Index, weights: Array | None = None, most: float = STRONGEST) -> Array:
    """How much each context (A, k), from the strongest on, counts: as its position weighs, until `most` are reached.

    With `weights` (T,) of a resample the contexts are chosen anew, as other documents would choose others.

    >>> strongest(np.array([[0, 1, 2, -1]]), np.array([2.0, 0.0, 3.0]), 4).tolist()
    [[2.0, 0.0, 2.0, 0.0]]
    """
    weight = np.append(np.ones(int(contexts.max(initial=-1)) + 1) if weights is None else weights, 0.0)[contexts]
    before = weight.cumsum(axis=1) - weight
    counting: Array = np.clip(most - before, 0.0, weight)
    return counting


def class_counts(contexts: Index, labels: Index, n_classes: int, counting: Array) -> Array:
    """Contexts (A, k) of each class, (A, C), each as much as it is `counting` (A, k).

    >>> class_counts(np.array([[0, 1, 2], [2, -1, -1]]), np.array([0, 0, 1]), 2, np.ones((2, 3))).tolist()
    [[2.0, 1.0], [0.0, 1.0]]
    """
    # a place of its own for what has no class, where -1 as an index points to
    classes = np.append(np.where(labels < 0, n_classes, labels), n_classes)
    place = classes[contexts] + (n_classes + 1) * np.arange(len(contexts))[:, None]
    found: Array = np.bincount(place.ravel(), counting.ravel(), len(contexts) * (n_classes + 1)).astype(np.float64)
    return found.reshape(len(contexts), n_classes + 1)[:, :n_classes]


def purity(counts: Array) -> Array:
    """The largest share of a class (A,) in `counts` (A, C); NaN for an atom without any.

    >>> purity(np.array([[9.0, 3.0], [0.0, 0.0]])).tolist()
    [0.75, nan]
    """
    total = counts.sum(axis=1)
    found: Array = counts.max(axis=1, initial=0.0) / np.where(total > 0, total, np.nan)
    return found


def labelled(contexts: Index, labels: Labels) -> NDArray[np.bool_]:
    """Which atoms (A,) have at least `MIN_CONTEXTS` contexts with a label."""
    counts = class_counts(contexts, labels.of, labels.n_classes, strongest(contexts))
    return np.asarray(counts.sum(axis=1) >= MIN_CONTEXTS)


def top_decile(values: Array) -> Array:
    """Weights (A,), of sum 1, of the tenth of the `values` that is highest; those tied at its edge share what is left.

    >>> top_decile(np.array([0.5] * 18 + [1.0, 0.5])).round(3).tolist()[-2:]
    [0.5, 0.026]
    """
    wanted = 0.1 * len(values)
    edge = np.sort(values)[::-1][max(int(np.ceil(wanted)) - 1, 0)]
    above, at = values > edge, values == edge
    weights: Array = above + at * (wanted - above.sum()) / at.sum()
    return weights / wanted


def lottery(early: Index, final: Index, labels: Labels, weights: Array | None = None) -> Array:
    """`MEASURES` (7,) of the contexts (A, k), the strongest first, of the same atoms at two steps.

    NaN with fewer than `MIN_ATOMS` atoms.
    `top_decile`: mean final purity of the tenth of the atoms that was purest early; `lift_...`: that over 1/C and over
    the share of the largest class; `excess_in_strata`: the final share of an atom's main class beyond what its
    contexts' strata let expect, mean over the same atoms. `weights` (T,): how much each position counts.
    """
    first = purities(early, labels, weights)
    counting = strongest(final, weights)
    counts = class_counts(final, labels.of, labels.n_classes, counting)
    last = purity(counts)
    known = np.isfinite(first) & np.isfinite(last)
    if known.sum() < MIN_ATOMS or labels.n_classes < 2:
        return np.full(len(MEASURES), np.nan)
    classes = labels.of >= 0
    base = np.bincount(labels.of[classes], None if weights is None else weights[classes], labels.n_classes)
    leading = top_decile(first[known])
    top = float(leading @ last[known])
    excess = float(leading @ (last - expected(final, counting, counts, labels, weights))[known])
    return np.array(
        [
            rank_correlation(first[known], last[known]),
            first[known].mean(),
            last[known].mean(),
            top,
            top * labels.n_classes,
            top * base.sum() / base.max(),
            excess,
        ]
    )


def purities(contexts: Index, labels: Labels, weights: Array | None = None) -> Array:
    """Purity (A,) of the atoms with these contexts (A, k)."""
    return purity(class_counts(contexts, labels.of, labels.n_classes, strongest(contexts, weights)))


def expected(contexts: Index, counting: Array, counts: Array, labels: Labels, weights: Array | None = None) -> Array:
    """Share (A,) of an atom's main class if within each stratum its contexts were of any class, as all positions are.

    NaN where the strata are the classes, which leaves nothing to expect.
    """
    if labels.n_strata < 2:
        return np.full(len(contexts), np.nan)
    both = np.zeros((labels.n_strata, labels.n_classes))
    known = (labels.of >= 0) & (labels.stratum >= 0)
    np.add.at(both, (labels.stratum[known], labels.of[known]), 1.0 if weights is None else weights[known])
    rates = both / np.maximum(both.sum(axis=1, keepdims=True), 1.0)  # (S, C)
    strata = class_counts(contexts, np.where(known, labels.stratum, -1), labels.n_strata, counting)
    shares = strata / np.maximum(strata.sum(axis=1, keepdims=True), 1.0)
    found: Array = (shares * rates[:, counts.argmax(axis=1)].T).sum(axis=1)
    return found


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's correlation, ties at their mean rank; NaN where one of the two is constant.

    >>> round(rank_correlation(np.array([1.0, 2.0, 2.0]), np.array([3.0, 5.0, 9.0])), 3)
    0.866
    """
    ranks = [stats.rankdata(each) for each in (x, y)]
    centred = [each - each.mean() for each in ranks]
    scale = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float(centred[0] @ centred[1] / scale) if scale > 0 else float("nan")


def permuted(labels: Index, document: Index, n_draws: int, rng: np.random.Generator) -> Iterator[Index]:
    """`labels` (T,) exchanged at random among the positions of each `document` (T,), `n_draws` times."""
    together = labels[np.argsort(document, kind="stable")]
    for _ in range(n_draws):
        found = np.empty_like(labels)
        found[np.lexsort((rng.random(len(labels)), document))] = together
        yield found
