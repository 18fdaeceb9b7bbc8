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
    """Rows that were answered, and rightly: by the probe, by that of shuffled labels, without any; per document.

    `majority` always says the largest class, `by_token` the largest among rows of the same token type; both learn from
    the same rows as the probe.
    """

    rows: NDArray[np.float64]  # (D,)
    right: NDArray[np.float64]
    shuffled: NDArray[np.float64]
    majority: NDArray[np.float64]
    by_token: NDArray[np.float64]

    @property
    def baseline(self) -> NDArray[np.float64]:
        """The better of the two that look at no state."""
        return self.by_token if self.by_token.sum() > self.majority.sum() else self.majority


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
    token: NDArray[np.int64],
    labels: Mapping[str, Labels],
    shuffled: Mapping[str, Labels],
) -> dict[str, Probed]:
    """Each of several labels (T,) of the same rows, classes from 0, by probes that are fitted together.

    A class is its own +-1 target of a ridge regression on standardised states (T, d); the largest answer wins. As many
    targets learn the `shuffled` labels. `token` (T,) is the type that was read. At least two documents are needed.
    """
    from sklearn.linear_model import Ridge

    fold = folds(document)
    targets = {(name, way): each[name] for name in labels for way, each in (("real", labels), ("shuffled", shuffled))}
    ways = ("majority", "by_token")
    right = {key: np.zeros(len(document), dtype=bool) for key in (*targets, *((n, w) for n in labels for w in ways))}
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
        for name, of in labels.items():
            for way, guess in zip(ways, guesses(token, of, learn), strict=True):
                right[name, way][ask] = guess[ask] == of[ask]
    _, place = np.unique(document, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    hits = {key: np.bincount(place, weights=of).astype(np.float64) for key, of in right.items()}
    return {name: Probed(rows, *(hits[name, way] for way in ("real", "shuffled", *ways))) for name in labels}


def guesses(token: NDArray[np.int64], label: Labels, learn: NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """What can be said of each row (T,) without its state, from the rows `learn` (T,).

    The largest class; and the largest of the token type, which is the former where the type was not met.

    >>> learn = np.array([True, True, True, False, False])
    >>> [each.tolist() for each in guesses(np.array([5, 5, 8, 8, 9]), np.array([1, 1, 0, 0, 0]), learn)]
    [[1, 1, 1, 1, 1], [1, 1, 0, 0, 1]]
    """
    _, of_type = np.unique(token, return_inverse=True)
    counts = np.zeros((int(of_type.max()) + 1, int(label.max()) + 1))
    np.add.at(counts, (of_type[learn], label[learn]), 1.0)
    largest = int(counts.sum(axis=0).argmax())
    table = np.where(counts.any(axis=1), counts.argmax(axis=1), largest)
    return np.full(len(token), largest), table[of_type]
