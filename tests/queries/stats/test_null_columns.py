"""Nulls as columns: sides, forms of a statistic that differ, and a trend that there is not."""

import numpy as np
import pytest

from queries.stats.null_columns import null_columns, trend_columns


def test_ranges_are_of_what_is_shown_and_p_of_what_is_tested():
    null = np.arange(99.0)
    found = null_columns("any", null + 5, 97.5, null, "greater")
    assert found["null_any_mean"] == 54
    assert found["null_any_low"] == pytest.approx(5 + 0.025 * 98)
    assert found["p_any"] == 0.02
    assert null_columns("any", null, 97.5, null)["p_any"] == 0.04
    assert null_columns("any", null, 97.5, null, "less")["p_any"] == 0.99


def test_a_trend_is_continued_to_the_place_of_the_group():
    rng = np.random.default_rng(0)
    place = -np.arange(20.0)
    values = 3 + 0.5 * place + 0.01 * rng.standard_normal(20)
    found = trend_columns("trend", place, 2.0, values, 4.0, values, "greater")
    assert found["null_trend_mean"] == pytest.approx(4.0, abs=0.05)
    assert found["null_trend_low"] < 4.0 < found["null_trend_high"]
    assert found["p_trend"] > 0.05
    assert trend_columns("trend", place, 2.0, values, 4.5, values, "greater")["p_trend"] < 1e-4
    assert trend_columns("trend", place, 2.0, values, 4.5, values, "less")["p_trend"] > 0.99
    assert np.isnan(list(trend_columns("trend", place[:7], 2.0, values[:7], 4.0, values[:7]).values())).all()
