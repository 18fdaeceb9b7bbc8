"""The trend over a ranking: windows, its prediction against statsmodels, and its size."""

import numpy as np
import pytest
import statsmodels.api as sm

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
    x = np.sort(rng.normal(size=20))[::-1]
    y = 2 + 0.5 * x + 0.2 * x**2 + 0.1 * rng.standard_normal(20)
    trend = continued(x, y[:, None], 3.0)
    near = np.argsort(np.abs(x - 3.0))[:10]
    fit = sm.OLS(y[near], np.vander(x[near], 3, increasing=True)).fit()
    expected = fit.get_prediction(np.array([[1.0, 3.0, 9.0]])).summary_frame(alpha=0.05).iloc[0]
    assert trend.mean[0] == pytest.approx(expected["mean"])
    assert trend.freedom == 7
    assert trend.n_windows == 10
    low, high = trend.range()
    assert [low[0], high[0]] == pytest.approx([expected["obs_ci_lower"], expected["obs_ci_upper"]])
    assert trend.p(low, "less")[0] == pytest.approx(0.025)
    assert trend.p(high, "greater")[0] == pytest.approx(0.025)


def test_a_group_on_the_trend_is_beyond_it_as_often_as_it_should():
    rng = np.random.default_rng(2)
    x = -np.linspace(0.5, 4, 30)
    rises = 0.3 * x + 0.1 * x**2
    p = [
        continued(x, (rises + rng.standard_normal(30))[:, None], 0.0).p(rng.standard_normal(1), "greater")[0]
        for _ in range(2000)
    ]
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065


def test_too_few_windows_or_a_value_without_number_have_no_prediction():
    assert continued(np.arange(9.0), np.ones((9, 1)), 11.0).freedom == 0
    assert np.isnan(continued(np.arange(9.0), np.ones((9, 1)), 11.0).p(np.ones(1), "greater")).all()
    values = np.arange(24.0).reshape(12, 2)
    values[0, 1] = np.nan
    assert np.isnan(continued(np.arange(12.0), values, -1.0).mean).tolist() == [False, True]
    assert isinstance(continued(np.ones(12), np.ones((12, 1)), 2.0), Trend)


def test_windows_without_scatter_predict_exactly():
    same = continued(np.arange(12.0), np.full((12, 2), 0.3), -1.0)
    assert same.p(np.array([0.3, 0.4]), "greater") == pytest.approx([0.5, 0.0], abs=1e-100)
    assert same.p(np.full(2, 0.3), "two").tolist() == [1.0, 1.0]
