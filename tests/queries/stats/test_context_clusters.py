"""Clusters of contexts: planted kinds are counted, against scikit-learn, and lexical identity is told apart."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering

from queries.stats.context_clusters import context_measures, cosine_matrix, count_clusters


def lower(vectors):
    """Cosines of each vector with those before it, one after the other."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T)[np.tril_indices(len(unit), -1)]


@pytest.mark.parametrize("kinds", [1, 2, 5, 10])
def test_planted_kinds_are_counted(kinds):
    rng = np.random.default_rng(kinds)
    centres = np.linalg.qr(rng.standard_normal((40, 40)))[0][:kinds]
    vectors = centres[np.arange(20) % kinds] + 0.03 * rng.standard_normal((20, 40))
    entropy, clusters, merged = context_measures(lower(vectors), list(range(20)))
    assert clusters == kinds
    assert entropy == pytest.approx(np.log(20))
    assert merged == pytest.approx(1 - (kinds - 1) / 19)


@pytest.mark.parametrize("seed", range(10))
def test_the_count_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((4, 6))[rng.integers(0, 4, 15)] + 0.5 * rng.standard_normal((15, 6))
    matrix = cosine_matrix(lower(vectors), 15)
    found = AgglomerativeClustering(n_clusters=None, metric="precomputed", linkage="average", distance_threshold=0.5)
    assert count_clusters(matrix) == found.fit(np.clip(1 - matrix, 0, 2)).n_clusters_


def test_the_same_word_in_every_context_is_one_kind_and_says_nothing_of_others():
    same = np.ones(190)
    entropy, clusters, merged = context_measures(same, [7] * 20)
    assert (entropy, clusters) == (0.0, 1.0)
    assert np.isnan(merged)


def test_contexts_that_are_alike_only_where_the_word_is_are_not_merged():
    vectors = np.repeat(np.eye(5), 4, axis=0)
    _, clusters, merged = context_measures(lower(vectors), np.repeat([3, 9, 1, 4, 2], 4).tolist())
    assert (clusters, merged) == (5.0, 0.0)


def test_fewer_than_two_contexts_have_no_answer():
    assert np.isnan(context_measures(np.zeros(0), [])).all()
    assert np.isnan(context_measures(np.zeros(0), [3])).all()
