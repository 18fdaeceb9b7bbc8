"""Gram matrices of groups and of nulls: against the points themselves, and against what a null must keep or lose."""

import numpy as np
import pytest

from queries.stats.groups import monte_carlo_p
from queries.stats.kmeans import cluster
from queries.stats.point_sets import (
    Space,
    aligned,
    eigen,
    gaussian_grams,
    gram,
    group_grams,
    permuted_grams,
    planted_grams,
    shifted_grams,
    turned,
    unit_rows,
)


def space(rng, n=12, documents=6, length=15):
    values = rng.standard_normal((n, documents * length))
    return Space(
        "activation", "rare", unit_rows(values, is_centred=True), np.repeat(np.arange(documents), length), True
    )


def test_the_gram_of_centred_rows_is_their_correlation():
    values = np.random.default_rng(0).standard_normal((7, 50)) * 100 + 1000
    np.testing.assert_allclose(gram(unit_rows(values, is_centred=True)), np.corrcoef(values), atol=1e-4)
    constant = unit_rows(np.full((2, 50), 3.7), is_centred=True)
    assert not constant.any()


def test_groups_and_leaving_documents_out():
    rng = np.random.default_rng(1)
    one = space(rng)
    members = np.array([1, 4, 7])
    whole = one.rows @ one.rows.T
    np.testing.assert_allclose(group_grams(whole, members[None])[0], one.gram(members), atol=1e-6)
    left = one.leave_out(members)
    assert left.shape == (6, 3, 3)
    np.testing.assert_allclose(left[2], np.corrcoef(one.rows[members][:, one.block != 2]), atol=1e-5)


def test_eigenvalues_are_those_of_the_centred_points():
    points = np.random.default_rng(2).standard_normal((9, 4))
    values, _ = eigen((points @ points.T)[None])
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(values[0, :4], singular**2)


def test_turning_keeps_each_neurons_values_and_loses_what_neurons_share():
    rng = np.random.default_rng(3)
    shared = np.repeat(rng.standard_normal((1, 400)), 5, axis=0)
    one = Space("activation", "all", unit_rows(shared, is_centred=True), np.repeat(np.arange(4), 100), True)
    turned = shifted_grams(one, np.arange(5), 20, rng)
    np.testing.assert_allclose(np.einsum("bii->bi", turned), 1, atol=1e-5)
    off = turned[:, *np.triu_indices(5, 1)]
    assert abs(off.mean()) < 0.05
    dealt = permuted_grams(space(rng), np.arange(12), 5, rng)
    np.testing.assert_allclose(np.einsum("bii->bi", dealt), 1, atol=1e-5)


def test_planting_adds_correlation_within_clusters_only():
    planted = planted_grams(np.eye(9)[None].repeat(2, axis=0), 0.3, 3, np.random.default_rng(4))
    assert sorted(np.unique(planted.round(6)).tolist()) == [0.0, 0.3, 1.0]
    assert (planted[0] > 0.1).sum(axis=1).tolist() == [3] * 9


@pytest.mark.parametrize("n_columns", [60, 1000])
def test_a_gaussian_cloud_is_like_its_own_null(n_columns):
    """Draws from the sample eigenvalues alone would all have silhouettes above that of the data."""
    rng = np.random.default_rng(5)
    p = []
    for _ in range(12):
        one = gram(unit_rows(rng.standard_normal((30, n_columns)), is_centred=True))
        null = cluster(gaussian_grams(one, 40, rng), rng).silhouette.max(axis=1)
        p.append(monte_carlo_p(float(cluster(one[None], rng).silhouette.max()), null, "greater"))
    assert 0.25 < np.mean(p) < 0.75


def test_aligned_sets_have_no_sign_of_their_own():
    rng = np.random.default_rng(11)
    points = rng.standard_normal((9, 12)) + 1.0
    sign = rng.choice([-1.0, 1.0], 9)
    one, other = gram(points), gram(points * sign[:, None])
    np.testing.assert_allclose(aligned(other[None]), aligned(one[None]))
    # points on one side are left there
    np.testing.assert_allclose(aligned(one[None])[0], one)
    np.testing.assert_allclose(aligned(turned(one[None], rng)), one[None])


def test_many_sets_are_aligned_each_by_its_leading_eigenvector():
    rng = np.random.default_rng(8)
    grams = np.stack([np.corrcoef(rng.standard_normal((6, 30)) + rng.standard_normal(30)) for _ in range(5)])
    drawn = turned(grams, rng)
    np.testing.assert_allclose(aligned(drawn), aligned(grams))
    np.testing.assert_allclose(np.abs(aligned(drawn)), np.abs(grams))
    # every set is on one side of its largest direction
    assert (np.abs(np.linalg.eigh(aligned(drawn))[1][:, :, -1].sum(axis=1)) > 1.0).all()
    # points that share nothing stay as they are
    np.testing.assert_array_equal(aligned(np.eye(3)[None])[0], np.eye(3))


def test_a_space_is_aligned_as_its_gram_matrix():
    rng = np.random.default_rng(12)
    rows = unit_rows(rng.standard_normal((8, 20)), is_centred=False)
    space = Space("weight", "all", rows, np.arange(20), is_centred=False)
    members = np.array([1, 2, 5, 7])
    own = space.aligned(members)
    np.testing.assert_allclose(own.gram(members), aligned(space.gram(members)[None])[0])
    others = np.array([0, 3, 4, 6])
    np.testing.assert_array_equal(own.of(others), rows[others])
    same = Space("weight", "all", own.of(np.arange(8)), space.block, is_centred=False)
    np.testing.assert_array_equal(own.leave_out(members), same.leave_out(members))
    for draws in (permuted_grams, shifted_grams):
        found, expected = (draws(each, members, 2, np.random.default_rng(1)) for each in (own, same))
        np.testing.assert_array_equal(found, expected)
