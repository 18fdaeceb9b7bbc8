"""Sums per document and neuron, by token class, as dense arrays: what every analysis of influence starts from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOKEN_CLASSES = ("all", "common", "rare")


@dataclass(frozen=True)
class ClassSums:
    """One token class: positions `counts` (D,), sums of the delta `signed` (D, N) and of its size `absolute` (D, N)."""

    counts: Array
    signed: Array
    absolute: Array

    @property
    def n_positions(self) -> int:
        """Positions of the class."""
        return int(self.counts.sum())

    @property
    def n_documents(self) -> int:
        """Documents with at least one position of the class."""
        return int((self.counts > 0).sum())

    def mean(self, sums: Array) -> Array:
        """Means over the positions of the class (N,), NaN where it has none."""
        total = self.counts.sum()
        means: Array = sums.sum(axis=0) / (total if total > 0 else np.nan)
        return means


@dataclass(frozen=True)
class DocumentSums:
    """All classes of one run on the same axes: `neurons` (N,), `documents` (D,); `classes` by `TOKEN_CLASSES`."""

    neurons: NDArray[np.int64]
    documents: NDArray[np.int64]
    classes: Mapping[str, ClassSums]

    def is_everything(self, token_class: str) -> bool:
        """Whether another class than `all` has all positions, so that what is said of `all` is said of it."""
        n = self.classes["all"].n_positions
        return token_class != "all" and 0 < n == self.classes[token_class].n_positions


def document_sums(
    token_class: NDArray[np.object_],
    document: NDArray[np.int64],
    neuron: NDArray[np.int64],
    n_positions: NDArray[np.int64],
    sum_delta: Array,
    sum_abs_delta: Array,
) -> DocumentSums:
    """Dense sums from one row per (token class, document, neuron); `all` is `common` and `rare` together.

    >>> sums = document_sums(
    ...     np.array(["rare", "common"], dtype=object), np.array([4, 4]), np.array([7, 7]),
    ...     np.array([1, 3]), np.array([-2.0, 1.0]), np.array([2.0, 5.0]))
    >>> sums.classes["all"].mean(sums.classes["all"].absolute)
    array([1.75])
    """
    documents, row = np.unique(document, return_inverse=True)
    neurons, column = np.unique(neuron, return_inverse=True)
    shape = (len(documents), len(neurons))
    classes: dict[str, ClassSums] = {}
    for name in ("common", "rare"):
        of_class = token_class == name
        place = (row[of_class], column[of_class])
        counts, signed, absolute = np.zeros(shape[0]), np.zeros(shape), np.zeros(shape)
        counts[place[0]] = n_positions[of_class]
        signed[place] = sum_delta[of_class]
        absolute[place] = sum_abs_delta[of_class]
        classes[name] = ClassSums(counts, signed, absolute)
    common, rare = classes["common"], classes["rare"]
    total = ClassSums(common.counts + rare.counts, common.signed + rare.signed, common.absolute + rare.absolute)
    return DocumentSums(neurons, documents, {"all": total, **classes})
