"""The trend over a ranking: windows, its prediction against statsmodels' formula by hand, and its size."""

import numpy as np
import pytest
from scipy import stats

from queries.stats.trend import Trend, continued, place_of, windows


def test_windows_share_no_neuron_and_leave_the_group_out():
    influence = np.random.default_rng(0).lognormal(size=50)
    influence[3] = np.nan
    members = np.argsort(-np.nan_to_num(influence))[:6]
    found = windows(influence, members)
    assert found.shape == (7, 6)
    assert not set(found.ravel()) & {*members, 3}
    assert len(np.unique(found)) == 42
    assert (np.diff(place_of(influence, found)) < 0).all()


def test_the_prediction_is_that_of_a_regression():
    rng = np.random.default_rng(1)
    x = np.sort(rng.normal(size=16))[::-1]
    y = 2 + 0.5 * x + 0.1 * rng.standard_normal(16)
    trend = continued(x, y[:, None], 3.0)
    near = np.argsort(np.abs(x - 3.0))[:8]
    fit = stats.linregress(x[near], y[near])
    assert trend.mean[0] == pytest.approx(fit.intercept + 3 * fit.slope)
    left = y[near] - fit.intercept - fit.slope * x[near]
    centre = x[near].mean()
    error = np.sqrt((left**2).sum() / 6 * (1 + 1 / 8 + (3 - centre) ** 2 / ((x[near] - centre) ** 2).sum()))
    assert trend.error[0] == pytest.approx(error)
    assert trend.freedom == 6
    low, high = trend.range()
    assert trend.p(low, "less")[0] == pytest.approx(0.025)
    assert trend.p(high, "greater")[0] == pytest.approx(0.025)


def test_a_group_on_the_trend_is_beyond_it_as_often_as_it_should():
    rng = np.random.default_rng(2)
    x = -np.linspace(0.5, 4, 24)
    p = [
        continued(x, (0.3 * x + rng.standard_normal(24))[:, None], 0.0).p(rng.standard_normal(1), "greater")[0]
        for _ in range(2000)
    ]
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065


def test_too_few_windows_or_a_value_without_number_have_no_prediction():
    assert continued(np.arange(7.0), np.ones((7, 1)), 9.0).freedom == 0
    assert np.isnan(continued(np.arange(7.0), np.ones((7, 1)), 9.0).p(np.ones(1), "greater")).all()
    values = np.arange(20.0).reshape(10, 2)
    values[0, 1] = np.nan
    assert np.isnan(continued(np.arange(10.0), values, -1.0).mean).tolist() == [False, True]
    assert isinstance(continued(np.ones(9), np.ones((9, 1)), 2.0), Trend)


def test_windows_without_scatter_predict_exactly():
    same = continued(np.arange(9.0), np.zeros((9, 2)), -1.0)
    assert same.p(np.array([0.0, 0.1]), "greater") == pytest.approx([0.5, 0.0], abs=1e-100)
    assert same.p(np.zeros(2), "two").tolist() == [1.0, 1.0]
