"""Contrasts of two classes: against hand jackknives, SciPy, normal data, heavy tails, and what has no answer."""

import numpy as np
import pytest
from scipy import stats

from queries.stats import contrast


def tokens(n_documents, n, rng, tail, selective=1.0):
    """Sums and counts per document of n neurons: heavy-tailed |delta|, about 8 rare and 100 common positions each.

    Rare tokens weigh 1.8 times as much for all neurons; `selective` (n,) or 1 is what neurons have of their own.
    """
    parts = []
    for level, positions in ((1.8 * selective, 8), (1.0, 100)):
        counts = np.maximum(1, rng.poisson(positions * rng.gamma(4, 0.25, n_documents)))
        sums = np.empty((n_documents, n))
        for d, count in enumerate(counts):
            factor = np.exp(0.5 * rng.standard_normal((count, 1)))  # a hard token is hard for all neurons
            size = np.abs(rng.standard_normal((count, n))) * np.exp(tail * rng.standard_normal((count, n)))
            sums[d] = (level * factor * size).sum(axis=0)
        parts += [sums, counts.astype(float)]
    return parts


def relative_of(*parts):
    return contrast.studentise(*contrast.relative(*contrast.left_out(*parts)))


def test_left_out_is_the_ratio_without_each_document():
    rng = np.random.default_rng(0)
    top, top_counts, bottom, bottom_counts = tokens(6, 4, rng, 1.0)
    whole, without = contrast.left_out(top, top_counts, bottom, bottom_counts)
    np.testing.assert_allclose(
        whole, np.log(top.sum(0) / top_counts.sum()) - np.log(bottom.sum(0) / bottom_counts.sum())
    )
    for d in range(6):
        k = np.arange(6) != d
        np.testing.assert_allclose(
            without[d], np.log(top[k].sum(0) / top_counts[k].sum() / (bottom[k].sum(0) / bottom_counts[k].sum()))
        )


def test_the_jackknife_of_a_mean_is_its_standard_error():
    """For a mean, the jackknife gives s / sqrt(n); p is SciPy's but for the degrees of freedom."""
    values = np.random.default_rng(1).standard_normal((30, 1)) + 0.3
    without = (values.sum(axis=0) - values) / 29
    found = contrast.studentise(values.mean(axis=0), without)
    u = values - values.mean()
    freedom = (u**2).sum() ** 2 / (u**4).sum() - 1
    error = stats.sem(values[:, 0])
    assert found.p[0] == pytest.approx(2 * stats.t.sf(values.mean() / error, freedom))
    assert found.high[0] - found.estimate[0] == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert freedom < 29


def test_rank_biserial_is_that_of_scipys_statistic():
    values = np.random.default_rng(2).standard_normal(50) + 0.4
    total = 50 * 51 / 2
    minus = stats.wilcoxon(values, alternative="greater").statistic  # W+
    assert contrast.rank_biserial(values) == pytest.approx((2 * minus - total) / total)
    assert contrast.rank_biserial(np.array([0.0, np.nan])) != contrast.rank_biserial(np.array([1.0]))


@pytest.mark.parametrize("n_documents", [8, 20])
def test_size_with_heavy_tails(n_documents):
    """No neuron is selective: the relative test at 5 % rejects at most 8 %, and q finds next to nothing."""
    rng = np.random.default_rng(3)
    found = [relative_of(*tokens(n_documents, 60, rng, 1.2)) for _ in range(25)]
    assert np.mean([one.p < 0.05 for one in found]) < 0.08
    assert np.mean([one.p < 0.001 for one in found]) < 0.004


def test_selective_neurons_are_found_and_covered():
    rng = np.random.default_rng(4)
    selective = np.ones(60)
    selective[:6] = 5.0
    truth = np.log(selective) - np.log(selective).mean()
    found = [relative_of(*tokens(40, 60, rng, 0.8, selective)) for _ in range(12)]
    assert np.mean([one.p[:6] < 0.05 for one in found]) > 0.9
    assert np.mean([(one.low <= truth) & (truth <= one.high) for one in found]) > 0.92


def test_scale_and_order_do_not_matter():
    rng = np.random.default_rng(5)
    top, a, bottom, b = tokens(9, 12, rng, 1.0)
    one, other = relative_of(top, a, bottom, b), relative_of(3 * top[:, ::-1], a, 3 * bottom[:, ::-1], b)
    np.testing.assert_allclose(one.p, other.p[::-1])
    np.testing.assert_allclose(one.estimate, other.estimate[::-1])


def test_what_has_no_answer():
    assert contrast.contrast_reason(np.zeros(9), np.ones(9)) == "no position of rare tokens"
    assert contrast.contrast_reason(np.ones(9), np.ones(9)) == ""
    zero = np.zeros((6, 1))
    ones = np.ones((6, 1))
    whole, without = contrast.left_out(np.hstack([zero, ones, ones]), np.ones(6), np.hstack([ones] * 3), np.ones(6))
    found = contrast.studentise(whole, without)
    assert np.isnan(found.p).all()  # no influence, and constants that no document moves
    nothing = contrast.relative(whole[:1], without[:, :1])
    assert np.isnan(nothing[0]).all()
    effect, low, high = contrast.rank_biserial_interval(np.ones(4), np.ones((6, 4)))
    assert effect == 1.0
    assert np.isnan(low)
    assert np.isnan(high)
