"""Document bootstrap: the weights, the ratio estimator, BCa intervals against SciPy, and classes that are absent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from queries.stats.bootstrap import (
    absence_reason,
    document_weights,
    percentile_interval,
    ratio_intervals,
    replicates,
)


def test_replicates_are_the_ratio_of_the_resampled_documents():
    rng = np.random.default_rng(0)
    sums, counts = rng.random((6, 4)), rng.integers(1, 9, 6).astype(float)
    weights = document_weights(6, 50, rng)
    drawn = np.repeat(np.arange(6), weights[7].astype(int))
    assert len(drawn) == 6
    expected = sums[drawn].sum(axis=0) / counts[drawn].sum()
    np.testing.assert_allclose(replicates(sums, counts, weights)[7], expected)


def test_bca_agrees_with_scipy():
    """`scipy.stats.bootstrap(method="BCa")` of the mean: ends agree up to the chance of their resamples."""
    rng = np.random.default_rng(1)
    values = rng.gamma(2.0, 1.0, 40)
    ours = ratio_intervals(values[:, None], np.ones(40), document_weights(40, 20_000, rng))
    left = (values.sum() - values) / 39
    square = (left - left.mean()) ** 2
    contributing = square.sum() ** 2 / (square**2).sum()
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, contributing - 1) * np.sqrt(40 / 39)) - 1
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=rng, confidence_level=level)
    assert ours.low[0] == pytest.approx(theirs.confidence_interval.low, rel=0.02)
    assert ours.high[0] == pytest.approx(theirs.confidence_interval.high, rel=0.02)


@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 2, 3)])
def test_percentiles_are_numpys_with_and_without_nan(shape):
    values = np.random.default_rng(2).standard_normal(shape)
    expected = np.percentile(values, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(percentile_interval(values), expected, rtol=1e-14)
    kept = values.copy()
    percentile_interval(values)
    np.testing.assert_array_equal(values, kept)
    values[4] = np.nan
    expected = np.nanpercentile(values, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(percentile_interval(values), expected, rtol=1e-14)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
def test_interval_scales_with_the_data_and_holds_the_estimate(scale, seed):
    rng = np.random.default_rng(seed)
    sums, counts = rng.lognormal(0, 1, (12, 3)), rng.integers(1, 30, 12).astype(float)
    weights = document_weights(12, 200, rng)
    one, other = ratio_intervals(sums, counts, weights), ratio_intervals(scale * sums, counts, weights)
    np.testing.assert_allclose(other.low, scale * one.low, rtol=1e-9)
    np.testing.assert_allclose(other.high, scale * one.high, rtol=1e-9)
    estimate = sums.sum(axis=0) / counts.sum()
    assert (one.low <= estimate).all()
    assert (estimate <= one.high).all()


def test_order_of_the_documents_does_not_matter():
    rng = np.random.default_rng(3)
    sums, counts, weights = rng.random((9, 2)), rng.integers(1, 9, 9).astype(float), document_weights(9, 300, rng)
    order = rng.permutation(9)
    one = ratio_intervals(sums, counts, weights)
    other = ratio_intervals(sums[order], counts[order], weights[:, order])
    np.testing.assert_allclose(one.low, other.low)
    np.testing.assert_allclose(one.high, other.high)


@pytest.mark.parametrize(
    ("counts", "words"),
    [(np.zeros(30), "no position"), (np.r_[np.ones(4), np.zeros(26)], "only 4 documents")],
)
def test_too_few_documents_give_nan_and_a_reason(counts, words):
    weights = document_weights(30, 200, np.random.default_rng(0))
    interval = ratio_intervals(np.ones((30, 2)) * counts[:, None], counts, weights)
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()
    assert words in interval.reason


def test_a_few_absent_replicates_are_left_out_and_many_are_refused():
    weights = np.eye(8)[np.zeros(100, dtype=int)] * 8
    counts = np.r_[0.0, np.ones(7)]
    assert "absent from 100 %" in absence_reason(counts, weights)
    mixed = np.concatenate([np.ones((97, 8)), weights[:3]])
    assert absence_reason(counts, mixed) == ""
    interval = ratio_intervals(counts[:, None], counts, mixed)
    assert interval.low[0] == interval.high[0] == 1.0


def test_eight_documents_are_not_taken_for_many():
    """Plain BCa covers 85 % of such truths; counting the documents that contribute mends it."""
    rng = np.random.default_rng(6)
    counts = rng.integers(20, 80, 8).astype(float)
    sums = counts[:, None] * rng.lognormal(-0.5 * 0.6**2, 0.6, (8, 2000))
    interval = ratio_intervals(sums, counts, document_weights(8, 2000, rng))
    assert 0.92 <= np.mean((interval.low <= 1.0) & (interval.high >= 1.0)) <= 0.98


@pytest.mark.slow
def test_intervals_cover_at_their_level():
    """95 % intervals of a ratio over 60 documents of unequal length cover 93 to 97 % of 2,000 simulated truths."""
    rng = np.random.default_rng(5)
    counts = rng.integers(20, 80, 60).astype(float)
    sums = counts[:, None] * rng.gamma(4.0, 0.25, (60, 2000))
    interval = ratio_intervals(sums, counts, document_weights(60, 2000, rng))
    assert 0.93 <= np.mean((interval.low <= 1.0) & (interval.high >= 1.0)) <= 0.97
