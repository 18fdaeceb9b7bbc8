"""Trends over depth: the correlation is Spearman's, steady ones are found, walks without direction are not."""

import numpy as np
import pytest
from scipy import stats

from queries.stats.depth import depth_trend, least_p, rank_correlation, walk_p


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
    assert found.p < 4 * least_p(12)
    assert -1 <= found.low <= found.rho <= found.high <= 1
    assert found.reason == ""


def series(kind, rng):
    """24 layers without a direction: scattered, alike to their neighbours, wandering in even or in uneven steps."""
    values = rng.standard_normal(24)
    if kind == "scattered":
        return values
    if kind == "alike":
        for place in range(1, 24):
            values[place] = 0.9 * values[place - 1] + np.sqrt(1 - 0.9**2) * values[place]
        return values
    return np.cumsum(values if kind == "wandering" else rng.standard_t(2, 24))


@pytest.mark.parametrize("kind", ["scattered", "alike", "wandering", "in large steps"])
def test_series_without_a_direction_have_small_p_no_more_often_than_by_chance(kind):
    """Layers in random order as the null gave p < 0.05 in half of the cases where neighbours are alike."""
    rng = np.random.default_rng([len(kind), 1])
    small = sum(walk_p(series(kind, rng), rng, 399) <= 0.05 for _ in range(200))
    assert small <= 18  # of 200: more than 5 % with a chance of 0.5 %


def test_a_trend_through_noise_is_found_and_few_layers_cannot_show_one():
    rng = np.random.default_rng(3)
    assert sum(walk_p(np.arange(24) + rng.standard_normal(24), rng, 399) <= 0.05 for _ in range(20)) >= 18
    assert walk_p(np.arange(6.0), rng) > 0.05  # 2 of 32 walks of five steps go one way
    assert least_p(6) == 0.0625


def test_an_order_that_the_errors_leave_open_has_an_interval_though_no_jackknife_value_changes_it():
    """Leaving out a document moves a number by its error over the root of the number of documents."""
    rng = np.random.default_rng(4)
    values, error = np.arange(12.0), 1.0
    spread = rng.standard_normal((40, 12))
    spread -= spread.mean(axis=0)
    without = values + error * spread / np.sqrt((spread**2).sum(axis=0) * 39 / 40)
    assert (rank_correlation(without) == 1).all()
    found = depth_trend(values, without, rng, jackknife=True)
    assert found.low < 0.99
    far = depth_trend(100 * values, without - values + 100 * values, rng, jackknife=True)
    assert (far.low, far.high) == (1.0, 1.0)


@pytest.mark.slow
def test_intervals_over_documents_hold_the_true_correlation():
    rng = np.random.default_rng(5)
    truth = np.sin(np.arange(12) / 3) + 0.1 * np.arange(12)
    rho, covered = float(rank_correlation(truth)), 0
    for _ in range(300):
        documents = truth + 1.0 * rng.standard_normal((24, 12)) + 0.3 * rng.standard_normal((24, 1))
        without = (documents.sum(axis=0) - documents) / 23
        found = depth_trend(documents.mean(axis=0), without, rng, jackknife=True)
        covered += found.low - 1e-9 <= rho <= found.high + 1e-9
    assert covered / 300 > 0.93


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
    assert np.isnan(still.low)
    assert "no document changes" in still.reason
