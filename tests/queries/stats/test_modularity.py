"""Quality functions and searches against networkx, brute force, published values and scikit-learn's adjusted Rand."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from queries.stats.louvain import adjusted_rand, agreement, maximise, quality
from queries.stats.modularity import (
    correlation_modularity_matrix,
    keep_strongest,
    marchenko_pastur_edge,
    signed_modularity_matrix,
)


def symmetric(rng, m):
    weights = rng.standard_normal((m, m))
    return (weights + weights.T) / 2


def partitions(m):
    """All partitions of m nodes as restricted growth strings."""
    for labels in itertools.product(range(m), repeat=m):
        if labels[0] == 0 and all(labels[i] <= max(labels[:i]) + 1 for i in range(1, m)):
            yield labels


def test_unsigned_modularity_is_that_of_networkx():
    rng = np.random.default_rng(0)
    for gamma in (0.5, 1.0, 2.0):
        weights = np.abs(symmetric(rng, 12))
        np.fill_diagonal(weights, 0.0)
        labels = rng.integers(0, 4, 12)
        sets = [set(np.flatnonzero(labels == each)) for each in np.unique(labels)]
        expected = nx.community.modularity(nx.from_numpy_array(weights), sets, resolution=gamma)
        assert quality(signed_modularity_matrix(weights, gamma), labels) == pytest.approx(expected)


def test_signed_modularity_is_the_weighted_difference_of_both_signs():
    """Q = (m+ Q+ - m- Q-) / (m+ + m-), with Q+ and Q- from networkx."""
    rng = np.random.default_rng(1)
    weights = symmetric(rng, 10)
    np.fill_diagonal(weights, 0.0)
    labels = rng.integers(0, 3, 10)
    sets = [set(np.flatnonzero(labels == each)) for each in np.unique(labels)]
    positive, negative = np.maximum(weights, 0), np.maximum(-weights, 0)
    q = [nx.community.modularity(nx.from_numpy_array(part), sets) for part in (positive, negative)]
    expected = (positive.sum() * q[0] - negative.sum() * q[1]) / np.abs(weights).sum()
    assert quality(signed_modularity_matrix(weights), labels) == pytest.approx(expected)


@pytest.mark.parametrize("m", [5, 7])
def test_the_search_finds_the_best_of_all_partitions(m):
    rng = np.random.default_rng(m)
    matrices = np.stack([signed_modularity_matrix(symmetric(rng, m)) for _ in range(6)])
    every = np.array(list(partitions(m)))
    best = [max(quality(matrix[None], every)) for matrix in matrices]
    found = maximise(matrices, rng, 20)
    np.testing.assert_allclose(found.quality, best)
    np.testing.assert_allclose(quality(matrices, found.labels), best)


def test_the_karate_club():
    """Optimum 0.4198 of the unweighted graph: Brandes et al. (2008), IEEE Trans. Knowl. Data Eng. 20, 172."""
    club = nx.to_numpy_array(nx.karate_club_graph(), weight=None)
    found = maximise(signed_modularity_matrix(club)[None], np.random.default_rng(0), 20)
    assert found.quality[0] == pytest.approx(0.4198, abs=5e-5)
    assert found.n_communities[0] == 4


def test_as_good_as_networkx_on_graphs_of_a_hundred_nodes():
    graph = nx.relaxed_caveman_graph(10, 10, 0.3, seed=1)
    theirs = nx.community.louvain_communities(graph, seed=1)
    ours = maximise(signed_modularity_matrix(nx.to_numpy_array(graph))[None], np.random.default_rng(0), 20)
    assert ours.quality[0] >= nx.community.modularity(graph, theirs) - 1e-9


def test_planted_blocks_are_found_by_both_quality_functions():
    rng = np.random.default_rng(2)
    blocks = np.repeat([0, 1], 10)
    for between in (0.0, -0.2):
        r = np.where(blocks[:, None] == blocks, 0.3, between)
        np.fill_diagonal(r, 1.0)
        observed = np.corrcoef(rng.multivariate_normal(np.zeros(20), r, 800).T)
        for matrix in (signed_modularity_matrix(observed), correlation_modularity_matrix(observed, 800)):
            found = maximise(matrix[None], rng, 10)
            assert adjusted_rand(found.labels[0], blocks) == 1.0
            assert found.agreement[0] == pytest.approx(1.0)


def test_noise_and_a_common_mode_leave_nothing_to_the_correlation_null():
    rng = np.random.default_rng(3)
    noise = np.corrcoef(rng.standard_normal((5000, 20)).T)
    common = np.corrcoef((rng.standard_normal((5000, 1)) + rng.standard_normal((5000, 20))).T)
    assert np.linalg.eigvalsh(noise)[-1] < 1.03 * marchenko_pastur_edge(20, 5000)
    found = maximise(np.stack([correlation_modularity_matrix(each, 4000) for each in (noise, common)]), rng, 5)
    assert found.quality[0] == 0.0
    assert found.n_communities[0] == 0
    assert found.quality[1] < 0.002  # its eigenvector is even up to sampling


def test_the_correlation_null_does_not_jump_between_equal_modules():
    """Two modules alike: the largest eigenvector of a sample is any mixture of theirs, and Q must not depend on it."""
    rng = np.random.default_rng(8)
    blocks = np.repeat([0, 1], 7)
    r = np.where(blocks[:, None] == blocks, 0.3, 0.0) + 0.7 * np.eye(14)
    samples = np.stack([np.corrcoef(rng.multivariate_normal(np.zeros(14), r, 600).T) for _ in range(40)])
    found = maximise(correlation_modularity_matrix(samples, 600), rng, 5).quality
    assert found.std() < 0.12 * found.mean()


def test_modularity_of_noise_on_absolute_correlations_is_what_papers_report():
    """Pure noise of 30 to 50 neurons gives Q of 0.07 to 0.09 on |r|: as much as was reported of neurons."""
    rng = np.random.default_rng(4)
    noise = np.stack([np.corrcoef(rng.standard_normal((500, 40)).T) for _ in range(30)])
    assert maximise(signed_modularity_matrix(np.abs(noise)), rng, 5).quality.mean() == pytest.approx(0.08, abs=0.01)


def test_batches_do_not_change_a_result_and_a_seed_repeats_it():
    rng = np.random.default_rng(5)
    matrices = np.stack([signed_modularity_matrix(symmetric(rng, 15)) for _ in range(40)])
    first, again = (maximise(matrices, np.random.default_rng(1), 30) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    alone = [maximise(matrix[None], np.random.default_rng(2), 30).quality[0] for matrix in matrices]
    np.testing.assert_allclose(first.quality, alone, atol=2e-3)


def test_adjusted_rand_is_that_of_scikit_learn():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 3, (4, 12))
    pairs = list(itertools.combinations(range(4), 2))
    expected = [adjusted_rand_score(labels[a], labels[b]) for a, b in pairs]
    np.testing.assert_allclose([float(adjusted_rand(labels[a], labels[b])) for a, b in pairs], expected)
    assert agreement(labels[None])[0] == pytest.approx(np.mean(expected))
    assert np.isnan(agreement(labels[None, :1])[0])
    everyone = np.zeros(5, dtype=int)
    assert adjusted_rand(everyone, everyone) == 1.0


def test_no_weights_no_communities():
    found = maximise(signed_modularity_matrix(np.zeros((2, 6, 6))), np.random.default_rng(0), 3)
    np.testing.assert_array_equal(found.quality, 0.0)
    np.testing.assert_array_equal(found.n_communities, 0)
    assert maximise(np.zeros((0, 6, 6)), np.random.default_rng(0), 3).labels.shape == (0, 6)


def test_the_strongest_links_are_kept_symmetrically():
    weights = symmetric(np.random.default_rng(7), 10)
    kept = keep_strongest(weights[None], 0.2)[0]
    np.testing.assert_array_equal(kept, kept.T)
    assert (kept != 0).sum() == 2 * 9
    off = np.abs(weights[~np.eye(10, dtype=bool)])
    assert np.abs(kept[kept != 0]).min() >= np.sort(off)[-18]


@given(st.integers(0, 10_000), st.floats(0.1, 10.0))
def test_scale_and_order_of_nodes_do_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    weights, labels, order = symmetric(rng, 8), rng.integers(0, 3, 8), rng.permutation(8)
    q = quality(signed_modularity_matrix(weights), labels)
    assert quality(signed_modularity_matrix(scale * weights), labels) == pytest.approx(q)
    assert quality(signed_modularity_matrix(weights[np.ix_(order, order)]), labels[order]) == pytest.approx(q)


def test_several_kinds_at_once_are_partitioned_as_one_after_another():
    rng = np.random.default_rng(9)
    kinds = [np.stack([symmetric(rng, 12) * scale - shift for _ in range(50)]) for scale, shift in ((1, 0), (2, 0.5))]
    one = np.random.default_rng(1)
    alone = [maximise(kind, one, 3) for kind in kinds]
    found = maximise(np.concatenate(kinds), np.random.default_rng(1), 3, n_kinds=2)
    np.testing.assert_array_equal(found.labels, np.concatenate([each.labels for each in alone]))
    np.testing.assert_array_equal(found.agreement, np.concatenate([each.agreement for each in alone]))
    assert maximise(np.empty((0, 12, 12)), one, 3, n_kinds=2).labels.shape == (0, 12)
