"""How many kinds of context a neuron fires in: clusters of its embeddings of the contexts where it is most active.

Two contexts are of one kind if the neuron fires there for the same features of the MLP's input: their embeddings (its
row of W_in times the input, component by component) point the same way. Agglomerative, by average linkage of the
cosine distance, cut where the mean cosine of two clusters is one half. Neurons are clustered side by side, and again
without the contexts of each part of the documents. Shapes: N neurons, K contexts that are compared, M in all, P parts.
Source: From Tokens to Semantics, OpenReview Kyx1qoZHcO (agglomerative clusters of neuron embeddings, 1 = monosemantic);
Sokal and Michener (1958), Univ. Kansas Sci. Bull. 38, 1409 (average linkage).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
ALIKE = 0.5  # mean cosine of two clusters that are one


def cosine_matrices(cosines: NDArray[np.floating], k: int) -> Array:
    """(N, K, K) from the cosines (N, K (K - 1) / 2) of each context with those before it, one after the other.

    >>> cosine_matrices(np.array([[0.5, 0.1, 0.2]]), 3)[0].tolist()
    [[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]]
    """
    matrix = np.zeros((len(cosines), k, k))
    row, column = np.tril_indices(k, -1)
    matrix[:, row, column] = matrix[:, column, row] = cosines
    matrix[:, np.arange(k), np.arange(k)] = 1.0
    return matrix


def count_clusters(matrix: Array, kept: Mask) -> Index:
    """Clusters (N,) of the contexts `kept` (N, K) with these cosines (N, K, K).

    >>> count_clusters(cosine_matrices(np.array([[0.9, 0.1, 0.2]]), 3), np.ones((1, 3), dtype=bool)).tolist()
    [2]
    """
    k = matrix.shape[1]
    pairs = kept[:, :, None] & kept[:, None] & ~np.eye(k, dtype=bool)
    mean, size = np.where(pairs, matrix, -np.inf), kept.astype(np.float64)
    count: Index = kept.sum(axis=1).astype(np.int64)
    still = np.arange(len(kept))
    while k and len(still):
        best = mean.reshape(len(still), -1).argmax(axis=1)
        goes_on = mean.reshape(len(still), -1)[np.arange(len(still)), best] >= ALIKE
        still, mean, size, best = still[goes_on], mean[goes_on], size[goes_on], best[goes_on]
        here, one, other = np.arange(len(still)), best // k, best % k
        weight = size[here, one], size[here, other]
        # the mean cosine of the two together with any third; of pairs that are none it stays -inf
        merged = (weight[0][:, None] * mean[here, one] + weight[1][:, None] * mean[here, other]) / sum(weight)[:, None]
        merged[here, one] = merged[here, other] = -np.inf
        mean[here, one], mean[here, :, one] = merged, merged
        mean[here, other], mean[here, :, other] = -np.inf, -np.inf
        size[here, one] += weight[1]
        count[still] -= 1
    return count


def first_of_types(types: Index, kept: Mask) -> Mask:
    """The first context (N, K) of each type among those `kept`; `types` (N, K).

    >>> first_of_types(np.array([[5, 5, 8]]), np.array([[False, True, True]])).tolist()
    [[False, True, True]]
    """
    alike = (types[:, :, None] == types[:, None]) & kept[:, None]
    first: Mask = kept & ~np.tril(alike, -1).any(axis=2)
    return first


def cluster_measures(matrix: Array, types: Index, kept: Mask) -> tuple[Array, Array]:
    """Clusters (N,) of the contexts `kept` (N, K), and how far different types are merged (N,).

    The second leaves out lexical identity: of one context for each of m types, in c clusters, 1 - (c - 1) / (m - 1): 1
    if all types are one kind of context, 0 if each is its own. NaN for fewer than two contexts, the second for fewer
    than two types.

    >>> matrix = cosine_matrices(np.array([[1.0, 0.0, 0.0]]), 3)
    >>> [each.tolist() for each in cluster_measures(matrix, np.array([[5, 5, 8]]), np.ones((1, 3), dtype=bool))]
    [[2.0], [0.0]]
    """
    clusters = np.where(kept.sum(axis=1) > 1, count_clusters(matrix, kept).astype(np.float64), np.nan)
    one_each = first_of_types(types, kept)
    m = one_each.sum(axis=1)
    merged = 1.0 - (count_clusters(matrix, one_each) - 1.0) / np.maximum(m - 1.0, 1.0)
    return clusters, np.where(m > 1, merged, np.nan)


def type_entropies(neuron: Index, types: Index, part: Index, n_neurons: int, n_parts: int) -> Array:
    """Entropy (1 + P, N), nats, of the token types of each neuron's contexts: of all, then without each part.

    A row per context: `neuron`, `types` and `part`, (M,) each. NaN for fewer than two contexts.

    >>> type_entropies(np.array([0, 0, 0]), np.array([4, 4, 7]), np.array([0, 1, 1]), 1, 2).round(3).tolist()
    [[0.637], [0.693], [nan]]
    """
    order = np.lexsort((types, neuron))
    neuron, types, part = neuron[order], types[order], part[order]
    begins = np.ones(len(neuron), dtype=bool)
    begins[1:] = (np.diff(neuron) != 0) | (np.diff(types) != 0)
    group = np.cumsum(begins) - 1  # of contexts with one type
    n_groups, of_group = int(begins.sum()), neuron[begins]
    counts = np.bincount(group * n_parts + part, minlength=n_groups * n_parts).reshape(n_groups, n_parts)
    whole = counts.sum(axis=1, keepdims=True)
    found = np.full((1 + n_parts, n_neurons), np.nan)
    for place, of_type in enumerate(np.concatenate([whole, whole - counts], axis=1).T.astype(np.float64)):
        n = np.bincount(of_group, weights=of_type, minlength=n_neurons)
        logs = np.bincount(of_group, weights=of_type * np.log(np.maximum(of_type, 1.0)), minlength=n_neurons)
        some = np.maximum(n, 1.0)
        found[place] = np.where(n > 1, np.maximum(np.log(some) - logs / some, 0.0), np.nan)
    return found
