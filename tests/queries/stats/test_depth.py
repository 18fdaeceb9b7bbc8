"""Trends over depth: the correlation is Spearman's, steady ones are found, shuffled layers are not, few have none."""

import numpy as np
import pytest
from scipy import stats

from queries.stats.depth import P_FLOOR, depth_trend, rank_correlation


def test_the_correlation_is_spearmans():
    values = np.random.default_rng(0).integers(0, 6, (20, 9)).astype(float)  # with ties
    expected = [stats.spearmanr(np.arange(9), row).statistic for row in values]
    np.testing.assert_allclose(rank_correlation(values), expected, atol=1e-12)


@pytest.mark.parametrize("jackknife", [True, False])
def test_a_steady_rise_is_found(jackknife):
    rng = np.random.default_rng(1)
    values = np.linspace(0, 3, 12)
    replicates = values + 0.05 * rng.standard_normal((20, 12))
    found = depth_trend(values, replicates, rng, jackknife=jackknife)
    assert found.rho == 1.0
    assert found.p == P_FLOOR
    assert -1 <= found.low <= found.rho <= found.high <= 1
    assert found.reason == ""


def test_layers_in_random_order_have_small_p_no_more_often_than_by_chance():
    small = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        values = rng.standard_normal(8)
        small += depth_trend(values, np.tile(values, (5, 1)), rng, jackknife=False).p < 0.05
    assert small <= 20


def test_few_layers_equal_numbers_and_no_replicates_have_reasons():
    rng = np.random.default_rng(2)
    assert "4 layers" in depth_trend(np.arange(4.0), np.zeros((0, 4)), rng, jackknife=True).reason
    assert (
        depth_trend(np.ones(6), np.ones((5, 6)), rng, jackknife=True).reason
        == "no number in some layer, or the same in all"
    )
    alone = depth_trend(np.arange(6.0), np.zeros((0, 6)), rng, jackknife=True)
    assert alone.rho == 1.0
    assert np.isnan(alone.low)
    assert "too few documents" in alone.reason
    still = depth_trend(np.arange(6.0), np.tile(np.arange(6.0), (7, 1)), rng, jackknife=True)
    assert (still.low, still.high) == (1.0, 1.0)
