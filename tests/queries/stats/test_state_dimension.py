"""Dimensions of states: planted ones, against a direct analysis, and without a group of documents."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from queries.stats.state_dimension import MAX_GROUPS, dimensions, document_groups, state_dimensions


def test_they_are_those_of_a_principal_component_analysis():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((300, 12)) @ rng.standard_normal((12, 12)) + 100
    group = np.repeat(np.arange(6), 50)
    whole, without = state_dimensions(states, group)
    for found, some in ((whole, states), (without[2], states[group != 2])):
        variance = PCA().fit(some).explained_variance_
        np.testing.assert_allclose(found, dimensions(variance), rtol=1e-8)
        np.testing.assert_allclose(found[0, 0], variance.sum() ** 2 / (variance**2).sum(), rtol=1e-8)
        np.testing.assert_allclose(found[0, 2], 12 * variance[0] / variance.sum(), rtol=1e-8)
        assert np.ceil(found[0, 1]) == 1 + (np.cumsum(variance) < 0.95 * variance.sum()).sum()


@pytest.mark.parametrize("planted", [2, 7, 20])
def test_planted_dimensions_are_found(planted):
    rng = np.random.default_rng(planted)
    basis = np.linalg.qr(rng.standard_normal((30, 30)))[0][:planted]
    states = rng.standard_normal((20_000, planted)) @ basis + 1e-4 * rng.standard_normal((20_000, 30))
    (participation, d95, anisotropy), _ = state_dimensions(states, np.zeros(20_000, dtype=int))[0]
    assert participation == pytest.approx(planted, rel=0.02)
    assert d95 == pytest.approx(0.95 * planted, rel=0.03)
    assert anisotropy == pytest.approx(30 / planted, rel=0.1)


def test_one_outlier_dimension_hides_the_others_and_goes_with_the_top_component():
    rng = np.random.default_rng(3)
    states = rng.standard_normal((5000, 10))
    states[:, 4] *= 1000
    whole, _ = state_dimensions(states, np.zeros(5000, dtype=int))
    assert whole[0, 0] == pytest.approx(1, abs=1e-3)
    assert whole[1, 0] == pytest.approx(9, rel=0.01)


def test_no_variance_has_no_answer_and_many_documents_are_grouped():
    assert np.isnan(state_dimensions(np.ones((20, 4)), np.repeat([0, 1], 10))[0]).all()
    groups = document_groups(np.arange(50).repeat(2))
    assert len(np.unique(groups)) == MAX_GROUPS
    assert (groups[::2] == groups[1::2]).all()
