"""Plateau sets under resampling: against sets, a normal threshold, planted sets, and what has no answer."""

import numpy as np
import pytest
from scipy import stats

from queries.stats import stability
from queries.stats.bootstrap import document_weights
from queries.stats.ranking import ordinal_ranks
from queries.stats.segmentation import fit_values
from queries.stats.three_regimes import QUANTITIES
from tests.queries.simulated import planted


def measured(true, n_documents, rng, own=0.4):
    """Sums (D, N) of neurons with these true values and lognormal noise in each document; counts (D,) of 50."""
    noise = rng.lognormal(-(own**2) / 2, own, (n_documents, len(true)))
    return 50 * true * noise, np.full(n_documents, 50.0)


def found(true, n_documents, seed=0, n_draws=300):
    rng = np.random.default_rng(seed)
    sums, counts = measured(true, n_documents, rng)
    return stability.plateau_stability(sums, counts, document_weights(n_documents, n_draws, rng), rng)


def test_jaccard_is_that_of_sets():
    rng = np.random.default_rng(0)
    first, second = rng.random((20, 12)) < 0.4, rng.random((20, 12)) < 0.4
    first[0] = second[0] = False
    sets = [(set(np.flatnonzero(a)), set(np.flatnonzero(b))) for a, b in zip(first, second, strict=True)]
    expected = [len(a & b) / len(a | b) if a | b else 0.0 for a, b in sets]
    np.testing.assert_allclose(stability.jaccard_rows(first, second), expected)


def test_members_are_the_top_of_each_curve():
    values = np.random.default_rng(1).permutation(planted(200, 12, 1.5, 0.7, 100.0))
    members = stability.plateau_members(np.stack([values, 3 * values, np.full(200, np.nan)]))
    assert set(np.flatnonzero(members[0])) == set(np.argsort(-values)[:12])
    assert (members[0] == members[1]).all()
    assert not members[2].any()


def test_members_are_the_first_ranks_also_where_values_are_equal():
    values = np.random.default_rng(2).lognormal(0, 1, (50, 200)).round(1)
    end = fit_values(values).quantity[:, QUANTITIES.index("plateau_end")]
    members = stability.plateau_members(values)
    assert np.isfinite(end).sum() > 30
    np.testing.assert_array_equal(members, ordinal_ranks(values) <= np.nan_to_num(end)[:, None])


def test_intervals_cover_the_probability_of_being_above_a_threshold():
    """Means of normal data above a threshold: the probability is known, the bootstrap share of resamples is given."""
    rng = np.random.default_rng(2)
    for n_documents in (8, 40):
        distance = rng.uniform(-3, 3, 4000)  # of the true mean from the threshold, in standard errors
        observed = distance + rng.standard_normal(4000)
        spread = np.sqrt(rng.chisquare(n_documents - 1, 4000) / n_documents)  # the bootstrap's error over the true one
        share = rng.binomial(2000, stats.norm.cdf(observed / spread)) / 2000
        low, high = stability.membership_interval(share, 2000, n_documents)
        truth = stats.norm.cdf(distance)
        assert 0.94 < np.mean((low <= truth) & (truth <= high)) < 0.995  # above 95 %: counting is on top


def test_a_neuron_that_always_belongs_is_not_certain():
    low, high = stability.membership_interval(np.array([1.0, 0.0]), 2000, 8)
    assert high[0] == 1.0
    assert low[1] == 0.0
    assert 0.5 < low[0] < 0.95
    assert low[0] == pytest.approx(1 - high[1])


def test_a_planted_plateau_is_the_core():
    result, reason = found(planted(200, 12, 1.5, 0.7, 100.0), 16)
    assert reason == ""
    assert result.is_core[:12].mean() > 0.9
    assert not result.is_core[20:].any()
    assert set(np.unique(result.regime)) == {0, 1, 2}
    assert (result.low <= result.share).all() & (result.share <= result.high).all()
    assert result.jaccard_low <= result.jaccard <= result.jaccard_high
    assert result.jaccard > 0.6
    assert result.p == 1 / (1 + stability.FULL.null)
    assert result.jaccard_null < 0.2


def test_exchangeable_neurons_have_no_stable_set():
    result, reason = found(np.ones(150), 12, seed=4)
    assert reason == ""
    assert result.is_core.sum() <= 5
    assert result.p > 0.02
    assert result.jaccard < 0.4


def test_what_cannot_be_segmented_says_why():
    assert "at least 50" in found(np.ones(30), 10)[1]
    assert "only 4 documents" in found(np.ones(100), 4)[1]
    rng = np.random.default_rng(5)
    alike = np.ones((10, 100))
    assert "do not differ" in stability.plateau_stability(alike, np.ones(10), document_weights(10, 50, rng), rng)[1]
    nothing = np.zeros((10, 100))
    assert "0 neurons" in stability.plateau_stability(nothing, np.ones(10), document_weights(10, 50, rng), rng)[1]
    convex = np.exp(1 / np.arange(1, 101)) * np.ones((10, 1))
    result, reason = stability.plateau_stability(convex, np.ones(10), document_weights(10, 50, rng), rng)
    assert (result is None) == bool(reason)


def test_order_of_neurons_and_scale_do_not_matter():
    rng = np.random.default_rng(6)
    sums, counts = measured(planted(120, 10, 1.5, 0.7, 60.0), 8, rng)
    weights, order = document_weights(8, 100, rng), rng.permutation(120)
    one, _ = stability.plateau_stability(sums, counts, weights, np.random.default_rng(0))
    other, _ = stability.plateau_stability(7 * sums[:, order], counts, weights, np.random.default_rng(0))
    np.testing.assert_allclose(one.share[order], other.share)
    assert one.jaccard == pytest.approx(other.jaccard)
    assert (one.regime[order] == other.regime).all()
