"""Ward's tree: cuts and cophenetic correlation against SciPy."""

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from queries.stats.ward import cophenetic, read_trees, ward


def correlations(rng, m=20):
    return np.corrcoef(rng.standard_normal((m, 60)))


def test_cuts_are_those_of_scipy():
    rng = np.random.default_rng(0)
    merges = hierarchy.linkage(rng.random(20 * 19 // 2), "ward")
    for k, labels in enumerate(read_trees(merges[None], 10)[0][:, 0], start=2):
        reference = hierarchy.fcluster(merges, k, "maxclust")
        assert len(np.unique(labels)) == k
        assert len(set(zip(labels.tolist(), reference.tolist(), strict=True))) == k


def test_distances_in_a_tree_are_those_of_scipy():
    rng = np.random.default_rng(3)
    merges = np.stack([hierarchy.linkage(rng.random(15 * 14 // 2), "ward") for _ in range(4)])
    _, place, heights = read_trees(merges, 2)
    expected = [squareform(hierarchy.cophenet(each)) for each in merges]
    np.testing.assert_array_equal(cophenetic(place, heights), expected)


def test_cophenetic_correlation_is_that_of_scipy():
    one = correlations(np.random.default_rng(1))
    pairs = squareform(1 - np.abs(one), checks=False)
    reference, _ = hierarchy.cophenet(hierarchy.linkage(pairs, "ward"), pairs)
    assert ward(one[None])[0][0] == pytest.approx(reference)


def test_blocks_are_found_whatever_the_sign():
    rng = np.random.default_rng(2)
    factor = rng.standard_normal((3, 200))
    values = factor[np.arange(18) % 3] * rng.choice([-1, 1], 18)[:, None] + 0.3 * rng.standard_normal((18, 200))
    assert ward(np.corrcoef(values)[None])[1][0].argmax() + 2 == 3


def test_a_tree_without_differences_has_no_cophenetic_correlation():
    assert np.isnan(ward(np.eye(8)[None])[0][0])
