"""Clusters of contexts: planted kinds are counted, against scikit-learn, and lexical identity is told apart."""

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import AgglomerativeClustering

from queries.stats.context_clusters import cluster_measures, cosine_matrices, count_clusters, type_entropies


def cosines(vectors):
    """(N, K, K) of vectors (N, K, d)."""
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    every = unit @ unit.transpose(0, 2, 1)
    k = every.shape[1]
    return cosine_matrices(every[:, *np.tril_indices(k, -1)], k)


def all_of(matrix):
    return np.ones(matrix.shape[:2], dtype=bool)


@pytest.mark.parametrize("kinds", [1, 2, 5, 10])
def test_planted_kinds_are_counted(kinds):
    rng = np.random.default_rng(kinds)
    centres = np.linalg.qr(rng.standard_normal((40, 40)))[0][:kinds]
    matrix = cosines((centres[np.arange(20) % kinds] + 0.03 * rng.standard_normal((20, 40)))[None])
    clusters, merged = cluster_measures(matrix, np.arange(20)[None], all_of(matrix))
    assert clusters[0] == kinds
    assert merged[0] == pytest.approx(1 - (kinds - 1) / 19)


def test_the_counts_are_those_of_scikit_learn_side_by_side_and_with_some_left_out():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 4, 6))
    vectors = np.stack([each[rng.integers(0, 4, 15)] for each in centres]) + 0.5 * rng.standard_normal((40, 15, 6))
    matrix = cosines(vectors)
    kept = rng.random((40, 15)) < 0.8
    found = AgglomerativeClustering(n_clusters=None, metric="precomputed", linkage="average", distance_threshold=0.5)
    expected = [found.fit(np.clip(1 - m[k][:, k], 0, 2)).n_clusters_ for m, k in zip(matrix, kept, strict=True)]
    assert count_clusters(matrix, kept).tolist() == expected
    assert len(set(expected)) > 3


def test_the_same_word_in_every_context_is_one_kind_and_says_nothing_of_others():
    matrix = np.ones((1, 20, 20))
    clusters, merged = cluster_measures(matrix, np.full((1, 20), 7), all_of(matrix))
    assert clusters[0] == 1.0
    assert np.isnan(merged[0])


def test_contexts_that_are_alike_only_where_the_word_is_are_not_merged():
    matrix = cosines(np.repeat(np.eye(5), 4, axis=0)[None])
    found = cluster_measures(matrix, np.repeat([3, 9, 1, 4, 2], 4)[None], all_of(matrix))
    assert [each[0] for each in found] == [5.0, 0.0]


def test_fewer_than_two_contexts_have_no_answer():
    matrix = np.ones((2, 3, 3))
    kept = np.array([[False] * 3, [False, True, False]])
    assert np.isnan(cluster_measures(matrix, np.zeros((2, 3), dtype=int), kept)).all()


def test_entropies_without_each_part_are_those_of_the_rest():
    rng = np.random.default_rng(1)
    neuron, types, part = (rng.integers(0, n, 600) for n in (7, 9, 4))
    found = type_entropies(neuron, types, part, 8, 4)
    for row, without in enumerate((-1, 0, 1, 2, 3)):
        for each in range(7):
            counts = np.bincount(types[(neuron == each) & (part != without)])
            assert found[row, each] == pytest.approx(stats.entropy(counts))
    assert np.isnan(found[:, 7]).all()  # it has no context
