"""Split halves: against SciPy, known reliabilities, the null, and documents that are never in both halves."""

import numpy as np
import pytest
from scipy import stats

from queries.stats import ranking


def measured(true, n_documents, noise, rng):
    """Sums (D, N) of neurons with these true values and independent noise of this sd in each document."""
    return true + noise * rng.standard_normal((n_documents, len(true)))


def test_spearman_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 20, (3, 40)), rng.integers(0, 20, (3, 40))
    ours = ranking.spearman_rows(stats.rankdata(a, axis=1), stats.rankdata(b, axis=1))
    np.testing.assert_allclose(ours, [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])


def test_halves_are_disjoint_and_leave_out_what_is_not_kept():
    kept = np.array([True, True, False, True, True, True])
    halves = ranking.halves_of(np.random.default_rng(0).random((50, 6)), kept)
    assert (halves.sum(axis=1) == 2).all()
    assert (halves[:, 2] == 0).all()
    assert set(np.unique(kept - halves)) == {0.0, 1.0}


def test_reliability_of_normal_values_is_the_classical_one():
    """Classical test theory: reliability = signal variance / (signal + noise / D); Spearman is a little below."""
    rng = np.random.default_rng(1)
    sums = measured(rng.standard_normal(3000), 20, 20**0.5, rng)
    assert ranking.split_half_reliability(sums, np.ones(20), rng) == pytest.approx(0.5, abs=0.05)


def test_measures_of_a_ranking_and_of_noise():
    rng = np.random.default_rng(2)
    strong, reason = ranking.ranking_reliability(measured(rng.standard_normal(300), 24, 1.0, rng), np.ones(24), rng)
    assert reason == ""
    assert [one.measure for one in strong] == ["spearman", "top_10", "top_30", "top_100"]
    assert strong[0].estimate > 0.9
    assert all(one.low <= one.estimate <= one.high for one in strong)
    assert all(one.p == pytest.approx(1 / (1 + ranking.N_NULL)) for one in strong)
    nothing, _ = ranking.ranking_reliability(measured(np.zeros(300), 24, 1.0, rng), np.ones(24), rng)
    assert abs(nothing[0].estimate) < 0.3
    assert nothing[0].p > 0.01
    assert nothing[3].null_mean == pytest.approx(1 / 3, abs=0.05)  # a top 100 of 300 overlaps by a third by chance


def test_tops_and_documents_that_are_too_few():
    assert ranking.top_sizes(60) == (10,)
    rows, reason = ranking.ranking_reliability(
        np.ones((9, 30)), np.r_[np.ones(4), np.zeros(5)], np.random.default_rng(0)
    )
    assert "4 documents" in reason
    assert all(np.isnan(row.estimate) and np.isnan(row.p) for row in rows)


def test_ordinal_ranks():
    np.testing.assert_array_equal(ranking.ordinal_ranks(np.array([[0.1, 3.0, 2.0]])), [[3, 1, 2]])


@pytest.mark.slow
def test_jackknife_intervals_cover():
    """The interval holds the long-run mean reliability in about 95 % of simulated sets (at least 90 %)."""
    rng = np.random.default_rng(3)
    true = rng.standard_normal(200)
    sets = [measured(true, 24, 4.0, rng) for _ in range(150)]
    results = [ranking.ranking_reliability(sums, np.ones(24), rng)[0][0] for sums in sets]
    mean = np.mean([one.estimate for one in results])
    assert np.mean([one.low <= mean <= one.high for one in results]) >= 0.9


def test_the_band_of_a_ranked_curve_is_pointwise():
    rng = np.random.default_rng(0)
    curves = -np.sort(-rng.random((500, 7)), axis=1)
    low, high = ranking.ranked_band(curves, np.full(7, 0.5))
    np.testing.assert_allclose(high, np.maximum(np.percentile(curves, 97.5, axis=0), 0.5))
    np.testing.assert_allclose(low, np.minimum(np.percentile(curves, 2.5, axis=0), 0.5))


def test_the_leading_share_of_nothing_is_no_number():
    shares = ranking.leading_share(np.array([np.zeros(300), np.ones(300), np.arange(300.0)]))
    np.testing.assert_allclose(shares, [np.nan, 0.01, (299 + 298 + 297) / np.arange(300).sum()])


def test_ranks_are_those_of_a_stable_sort():
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.standard_normal((5, 60)), rng.integers(0, 9, (5, 60)), np.zeros((1, 60))])
    values[7, 3:9] = np.nan
    order = np.argsort(-values, axis=1, kind="stable")
    expected = np.empty_like(order)
    np.put_along_axis(expected, order, np.arange(1, 61)[None], axis=1)
    np.testing.assert_array_equal(ranking.ordinal_ranks(values), expected)
