"""Hopkins: its law for uniform points, an independent version with a KD-tree, clusters and blobs."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree

from queries.stats.hopkins import dimensions, hopkins, hopkins_draws, whitened


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_uniform_points_follow_the_beta_law(dimension):
    """H ~ Beta(n, n) with exponent D: Wright (2022). A box wider than the data is what keeps the edge out."""
    rng = np.random.default_rng(dimension)
    found = []
    for _ in range(150):
        points = rng.random((400, dimension)) * 1.4 - 0.2
        inner = np.all((points > 0) & (points < 1), axis=1)
        assert inner.sum() > 10
        found.append(hopkins_draws(points, rng, 1, (np.full(dimension, -0.2), np.full(dimension, 1.2)))[0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    assert stats.kstest(found, stats.beta(40, 40).cdf).pvalue > 0.01


def with_a_tree(points, rng, n_repeats):
    """The same statistic, one repeat at a time, with a KD-tree."""
    m, dimension = points.shape
    n, tree = max(5, round(m / 10)), cKDTree(points)
    low, high = points.min(axis=0), points.max(axis=0)
    found = []
    for _ in range(n_repeats):
        u = tree.query(rng.uniform(low, high, (n, dimension)))[0]
        w = tree.query(points[rng.choice(m, n, replace=False)], k=2)[0][:, 1]
        found.append((u**dimension).sum() / ((u**dimension).sum() + (w**dimension).sum()))
    return np.array(found)


def test_it_agrees_with_an_independent_version():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 4)) + 3 * rng.integers(0, 2, (60, 1))
    mine, other = hopkins_draws(points, rng, 2000), with_a_tree(points, rng, 2000)
    assert mine.mean() == pytest.approx(other.mean(), abs=0.01)
    assert stats.ks_2samp(mine, other).pvalue > 0.001


def test_one_gaussian_cloud_looks_clustered_and_clusters_are_above_it():
    """Why a value above 0.7 is no evidence: 200 points of one cloud reach 0.85 in five dimensions."""
    rng = np.random.default_rng(1)
    cloud = rng.standard_normal((4, 200, 5))
    tight = np.stack([np.arange(300) % 3, (np.arange(300) % 3) ** 2], axis=1) + 0.02 * rng.standard_normal((300, 2))
    of_clouds = hopkins(cloud @ cloud.transpose(0, 2, 1), rng)
    assert (of_clouds > 0.8).all()
    assert hopkins((tight @ tight.T)[None], rng)[0] > max(0.999, of_clouds.max())


def test_projection_is_whitened_and_small_sets_have_few_dimensions():
    rng = np.random.default_rng(2)
    points = rng.standard_normal((30, 8)) * np.arange(1, 9)
    projected = whitened((points @ points.T)[None])[0]
    assert projected.shape == (30, dimensions(30))
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(projected.T @ projected / 30, np.eye(5), atol=1e-10)
    assert dimensions(5) == 1


def test_points_that_coincide_have_no_answer():
    assert np.isnan(hopkins(np.ones((1, 10, 10)), np.random.default_rng(3))[0])
