"""How many kinds of context a neuron fires in: clusters of its embeddings of the contexts where it is most active.

Two contexts are of one kind if the neuron fires there for the same features of the MLP's input: their embeddings (its
row of W_in times the input, component by component) point the same way. Agglomerative, by average linkage of the
cosine distance, cut where the mean cosine of two clusters is one half. Shapes: k contexts, k (k - 1) / 2 pairs.
Source: From Tokens to Semantics, OpenReview Kyx1qoZHcO (agglomerative clusters of neuron embeddings, 1 = monosemantic);
Sokal and Michener (1958), Univ. Kansas Sci. Bull. 38, 1409 (average linkage).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage

Array = NDArray[np.floating]
ALIKE = 0.5  # mean cosine of two clusters that are one


def cosine_matrix(cosines: Array, k: int) -> NDArray[np.float64]:
    """(k, k) from the cosines of each context with those before it, one after the other.

    >>> cosine_matrix(np.array([0.5, 0.1, 0.2]), 3).tolist()
    [[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]]
    """
    matrix = np.eye(k)
    matrix[np.tril_indices(k, -1)] = cosines
    return matrix + np.tril(matrix, -1).T


def count_clusters(matrix: NDArray[np.float64]) -> int:
    """Clusters of k contexts with these cosines (k, k).

    >>> count_clusters(cosine_matrix(np.array([0.9, 0.1, 0.2]), 3))
    2
    """
    if len(matrix) < 2:
        return len(matrix)
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    heights = linkage(np.clip(1.0 - pairs, 0.0, 2.0), method="average")[:, 2]
    return 1 + int((heights > 1.0 - ALIKE).sum())


def context_measures(cosines: Array, types: Sequence[int | None]) -> tuple[float, float, float]:
    """Entropy of the token types of the contexts (nats), clusters of them, and how far different types are merged.

    `types` (k,) tokens, the strongest context first; None: a context that is left out. The last measure leaves out
    lexical identity: of one context for each of m types, the strongest, in c clusters, 1 - (c - 1) / (m - 1): 1 if all
    types are one kind of context, 0 if each is its own. NaN for fewer than two contexts, the last for fewer than two
    types.

    >>> context_measures(np.array([1.0, 0.0, 0.0]), [5, 5, 8])[1:]
    (2.0, 0.0)
    >>> context_measures(np.array([0.8, 0.9, 0.7]), [4, 5, 8])[1:]
    (1.0, 1.0)
    >>> context_measures(np.array([1.0, 0.0, 0.0]), [5, None, 8])[1:]
    (2.0, 0.0)
    """
    kept = [place for place, each in enumerate(types) if each is not None]
    nan, k = float("nan"), len(kept)
    if k < 2:
        return nan, nan, nan
    matrix = cosine_matrix(cosines, len(types))[np.ix_(kept, kept)]
    known = [types[place] for place in kept]
    _, first, counts = np.unique(np.array(known, dtype=np.int64), return_index=True, return_counts=True)
    share = counts / k
    entropy = max(float(-(share * np.log(share)).sum()), 0.0)
    m = len(first)
    merged = 1.0 - (count_clusters(matrix[np.ix_(first, first)]) - 1) / (m - 1) if m > 1 else nan
    return entropy, float(count_clusters(matrix)), merged
