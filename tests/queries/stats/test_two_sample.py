"""Two corpora: intervals against SciPy's two-sample bootstrap, coverage, and documents dealt anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from queries.stats.bootstrap import acceleration
from queries.stats.two_sample import Sample, dealt_anew, log_ratio_intervals, rank_correlation, spearman


def sample(rng, n_documents, n=1, shift=0.0):
    counts = rng.integers(5, 40, n_documents).astype(float)
    return Sample(counts[:, None] * rng.lognormal(shift, 0.5, (n_documents, n)), counts)


def test_the_interval_agrees_with_scipy():
    """`scipy.stats.bootstrap(paired=False, method="BCa")` of the log ratio of two means, at our level."""
    rng = np.random.default_rng(0)
    one, other = Sample(rng.gamma(2.0, 1.0, (30, 1)), np.ones(30)), Sample(rng.gamma(2.0, 2.0, (50, 1)), np.ones(50))
    ours = log_ratio_intervals(one, other, 20_000, rng)
    left = [
        sign * (1 - 1 / len(each.counts)) * (np.log(each.left_out).mean() - np.log(each.left_out[:, 0]))
        for each, sign in ((other, 1), (one, -1))
    ]
    square = np.concatenate(left) ** 2
    stretch = np.sqrt(sum(len(u) / (len(u) - 1) * (u**2).sum() for u in left) / square.sum())
    reach = stretch * stats.t.ppf(0.975, square.sum() ** 2 / (square**2).sum() - 1)
    theirs = stats.bootstrap(
        (other.sums[:, 0], one.sums[:, 0]), lambda x, y, axis: np.log(x.mean(axis=axis) / y.mean(axis=axis)),
        n_resamples=20_000, method="BCa", paired=False, rng=rng, confidence_level=2 * stats.norm.cdf(reach) - 1,
    )  # fmt: skip
    assert ours.low[0] == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high[0] == pytest.approx(theirs.confidence_interval.high, abs=0.01)
    assert acceleration(np.concatenate(left)[:, None])[0] != 0


def test_the_correlation_is_scipys():
    rng = np.random.default_rng(1)
    one, other = sample(rng, 12, 30), sample(rng, 9, 30)
    rho, low, high = rank_correlation(one, other)
    assert rho == pytest.approx(stats.spearmanr(one.means, other.means).statistic)
    assert low < rho < high
    same = Sample(np.outer(np.ones(8), np.arange(1.0, 6.0)), np.ones(8))
    assert np.isnan(rank_correlation(same, same)[1:]).all()


def test_deals_keep_the_sizes_and_every_document():
    rng = np.random.default_rng(2)
    one, other = sample(rng, 6, 4), sample(rng, 11, 4)
    total, sizes = one.sums.sum(axis=0) + other.sums.sum(axis=0), []

    def back(first, second):
        sizes.append((first.shape, second.shape))
        return np.concatenate([first, second], axis=1)

    drawn = dealt_anew(one, other, back, 40, rng)
    assert drawn.shape == (40, 8)
    assert set(sizes) == {((40, 4), (40, 4))}
    # of equal documents the means do not move, whatever the deal
    flat = [Sample(np.full((d, 2), 3.0), np.ones(d)) for d in (3, 5)]
    assert (dealt_anew(*flat, back, 10, rng) == 3.0).all()
    assert (drawn[:, :4].min(axis=0) < total / (one.counts.sum() + other.counts.sum())).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_units_and_order_do_not_matter_and_sides_change_the_sign(seed, scale):
    rng = np.random.default_rng(seed)
    one, other = sample(rng, 7, 5), sample(rng, 10, 5)
    order = rng.permutation(7)
    shuffled = Sample(scale * one.sums[order], one.counts[order])
    rho, low, high = rank_correlation(one, other)
    np.testing.assert_allclose(rank_correlation(shuffled, other), (rho, low, high), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(rank_correlation(other, one), (rho, low, high), rtol=1e-7, atol=1e-9)
    ends = log_ratio_intervals(one, other, 300, np.random.default_rng(seed))
    moved = log_ratio_intervals(Sample(scale * one.sums, one.counts), other, 300, np.random.default_rng(seed))
    np.testing.assert_allclose(moved.low, ends.low - np.log(scale), rtol=1e-6, atol=1e-9)
    estimate = np.log(other.means / one.means)
    assert (ends.low <= estimate).all()
    assert (estimate <= ends.high).all()


@pytest.mark.parametrize("sizes", [(8, 8), (6, 40)])
def test_few_documents_are_covered(sizes):
    """95 % intervals of a log ratio of 0, over 1,500 draws."""
    rng = np.random.default_rng(3)
    one, other = (sample(rng, size, 1500) for size in sizes)
    ends = log_ratio_intervals(one, other, 1000, rng)
    assert 0.93 <= np.mean((ends.low <= 0) & (ends.high >= 0)) <= 0.985


def test_ranks_of_one_row_go_with_every_row():
    assert spearman(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).tolist() == [1.0, -1.0]
