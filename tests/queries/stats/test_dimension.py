"""Dimensions against singular values and closed forms, and the verdict's conditions."""

import numpy as np
import pytest

from queries.stats.dimension import correlation, group_dimensions, left_out_dimensions, spectrum_dimensions
from queries.stats.dimension_verdict import decide_dimension
from queries.stats.group_evidence import GroupEvidence


def test_against_singular_values():
    """Principal components by the singular values of the z-scored data, without a correlation matrix."""
    rng = np.random.default_rng(0)
    for n_positions, m in ((200, 12), (60, 30), (20, 40)):
        values = rng.standard_normal((n_positions, m)) @ rng.standard_normal((m, m)) + 5.0
        z = (values - values.mean(axis=0)) / values.std(axis=0)
        squares = np.linalg.svd(z, compute_uv=False) ** 2
        share = squares / squares.sum()
        share = share[share > 1e-12]
        expected = [
            (1 + np.searchsorted(np.cumsum(share), 0.95)) / m,
            1 / (share**2).sum() / m,
            np.exp(-(share * np.log(share)).sum()) / m,
        ]
        found = group_dimensions(values)(np.arange(m)[None])[0]
        np.testing.assert_allclose(found[:3], expected, rtol=1e-4)
        assert found[0] - 1 / m < found[3] <= found[0] + 1e-9
        # without the second set, what is left are these positions
        more, set_of = np.concatenate([values, rng.standard_normal((30, m))]), np.repeat([4, 7], [n_positions, 30])
        np.testing.assert_allclose(left_out_dimensions(more, set_of, np.arange(m))[1], found, rtol=1e-4)


def test_extremes():
    one = np.zeros((1, 8))
    one[0, 3] = 8.0
    np.testing.assert_allclose(spectrum_dimensions(one)[0, :3], 1 / 8)
    np.testing.assert_allclose(spectrum_dimensions(np.ones((1, 100)))[0], [0.95, 1, 1, 0.95], atol=1e-6)
    assert np.isnan(spectrum_dimensions(np.zeros((1, 4)))).all()


def test_fewer_positions_than_neurons_bound_the_dimension():
    values = np.random.default_rng(1).standard_normal((11, 40))
    found = group_dimensions(values)(np.arange(40)[None])
    assert (found * 40 <= 10 + 1e-4).all()


def test_constant_and_scaled_neurons():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((50, 6))
    values[:, 2] = 1234.5678
    r = correlation(values.astype(np.float32))
    assert not r[2].any()
    others = np.array([0, 1, 3, 4, 5])
    np.testing.assert_allclose(r[np.ix_(others, others)], np.corrcoef(values[:, others].T), atol=1e-5)
    scaled = correlation(values * np.array([1e-6, 1e3, 1, 1, 1, 1]))
    np.testing.assert_allclose(scaled[np.ix_(others, others)], r[np.ix_(others, others)], atol=1e-5)


MEANS = {"any": 0.56, "activation": 0.56, "influence": 0.54}
SMALL = dict.fromkeys(MEANS, 0.002)
TREND_MEANS, NOT_TREND = MEANS | {"trend": 0.48}, SMALL | {"trend": 0.99}


@pytest.mark.parametrize(
    ("evidence", "verdict", "words"),
    [
        ((0.40, 0.36, 0.44, MEANS, SMALL, 0.01), "supported", "fewer than every null"),
        ((0.40, 0.36, 0.55, MEANS, SMALL, 0.01), "undecidable", "reaches 0.55"),
        ((0.40, 0.36, 0.44, MEANS, SMALL, 0.2), "undecidable", "not among the tests"),
        ((0.53, 0.50, 0.56, MEANS, {**SMALL, "influence": 0.5}, 0.6), "contradicted", "strata of influence"),
        ((0.53, 0.40, 0.66, MEANS, {**SMALL, "influence": 0.5}, 0.6), "undecidable", "allows for"),
        ((0.60, 0.57, 0.65, MEANS, SMALL, 0.01), "contradicted", "not fewer"),
        ((0.51, 0.49, 0.53, TREND_MEANS, NOT_TREND, 0.5, "", {"trend": (0.44, 0.52)}), "contradicted", "trend"),
        # a trend that predicts surely fewer than there are does not hold
        ((0.53, 0.50, 0.54, TREND_MEANS, NOT_TREND, 0.5, "", {"trend": (0.44, 0.52)}), "undecidable", "more than"),
        (
            (0.60, 0.57, 0.65, TREND_MEANS, NOT_TREND, 0.5, "", {"trend": (0.44, 0.52)}),
            "contradicted",
            "not fewer than random groups",
        ),
        ((0.53, 0.50, 0.56, TREND_MEANS, NOT_TREND, 0.5, "", {"trend": (0.36, 0.60)}), "undecidable", "trend"),
        ((0.53, np.nan, np.nan, MEANS, SMALL, 0.01, "only 3 documents"), "undecidable", "only 3 documents"),
    ],
)
def test_verdicts(evidence, verdict, words):
    found, reason = decide_dimension(GroupEvidence(*evidence))
    assert (found, words in reason) == (verdict, True), reason
