"""Means by band with documents left out: against loops, NumPy's polyfit, and bands that one document holds."""

import numpy as np

from queries.stats import bands


def test_log_means_against_a_loop():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, (6, 4)).astype(float)
    sums = counts * rng.lognormal(size=(6, 4))
    whole, without = bands.band_log_means(sums, counts)
    for b in range(4):
        np.testing.assert_allclose(whole[b], np.log(sums[:, b].sum() / counts[:, b].sum()))
        for d in range(6):
            k = np.arange(6) != d
            np.testing.assert_allclose(without[d, b], np.log(sums[k, b].sum() / counts[k, b].sum()))


def test_a_band_of_one_document_has_no_value_without_it():
    counts = np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 2.0]])
    whole, without = bands.band_log_means(0.1 * counts, counts)
    np.testing.assert_allclose(whole, np.log([0.1, 0.1]))
    assert np.isnan(without[2, 1])
    np.testing.assert_allclose(without[:2, 1], np.log(0.1))
    assert np.isnan(bands.band_log_means(np.zeros((2, 1)), np.ones((2, 1)))[0]).all()


def test_slope_against_polyfit():
    rng = np.random.default_rng(1)
    x, values = np.array([1.0, 2.0, 5.0, 9.0]), rng.standard_normal((7, 4))
    np.testing.assert_allclose(bands.band_slope(x, values), np.polyfit(x, values.T, 1)[0])
