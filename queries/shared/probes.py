"""Linear probes: how well labels are read from states by a ridge classifier that has not seen those documents.

Shapes: T rows, d components, D documents, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
FOLDS = 5
RIDGE = 0.3  # penalty for each row that a probe learns from; components have variance 1


@dataclass(frozen=True)
class Probed:
    """Rows that were answered, rightly answered, and rightly answered by the probe of shuffled labels, per document."""

    rows: NDArray[np.float64]  # (D,)
    right: NDArray[np.float64]
    shuffled: NDArray[np.float64]


def folds(document: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold (T,) of each row: documents go whole into one of `FOLDS`, the larger first, into the smallest fold.

    >>> folds(np.array([3, 3, 3, 8, 8, 9])).tolist()
    [0, 0, 0, 1, 1, 2]
    """
    from sklearn.model_selection import GroupKFold

    n = min(FOLDS, len(np.unique(document)))
    found = np.zeros(len(document), dtype=np.int64)
    if n < 2:
        return found
    for fold, (_, test) in enumerate(GroupKFold(n).split(document, groups=document)):
        found[test] = fold
    return found


def probe(
    states: NDArray[np.float32],
    document: NDArray[np.int64],
    labels: Mapping[str, Labels],
    shuffled: Mapping[str, Labels],
) -> dict[str, Probed]:
    """Each of several labels (T,) of the same rows, classes from 0, by probes that are fitted together.

    A class is its own +-1 target of a ridge regression on standardised states (T, d); the largest answer wins. As many
    targets learn the `shuffled` labels. At least two documents are needed.
    """
    from sklearn.linear_model import Ridge

    fold = folds(document)
    targets = {(name, way): each[name] for name in labels for way, each in (("real", labels), ("shuffled", shuffled))}
    right = {key: np.zeros(len(document), dtype=bool) for key in targets}
    widths = [int(of.max()) + 1 for of in targets.values()]
    coded = np.concatenate([2.0 * np.eye(w)[of] - 1.0 for of, w in zip(targets.values(), widths, strict=True)], axis=1)
    for each in np.unique(fold):
        learn, ask = fold != each, fold == each
        mean, spread = states[learn].mean(axis=0), states[learn].std(axis=0)
        scaled = (states - mean) / np.where(spread > 0, spread, 1.0)
        ridge = Ridge(alpha=RIDGE * int(learn.sum()), solver="cholesky").fit(scaled[learn], coded[learn])
        answers = np.split(ridge.predict(scaled[ask]).reshape(int(ask.sum()), -1), np.cumsum(widths)[:-1], axis=1)
        for (key, of), answer in zip(targets.items(), answers, strict=True):
            right[key][ask] = answer.argmax(axis=1) == of[ask]
    _, place = np.unique(document, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    hits = {key: np.bincount(place, weights=of).astype(np.float64) for key, of in right.items()}
    return {name: Probed(rows, hits[name, "real"], hits[name, "shuffled"]) for name in labels}
