"""Words and matrices that analyses of layers share."""

import numpy as np
import polars as pl

from queries.shared.depth import first_and_last, states_by_layer, trend_words, with_trend
from queries.stats.depth import DepthTrend


def rows(*estimates, low=0.5):
    return pl.DataFrame(
        {"layer": range(len(estimates)), "estimate": estimates, "low": [each - low for each in estimates],
         "high": [each + low for each in estimates]}
    )  # fmt: skip


def test_both_ends_and_the_extremes_between_them_are_told():
    assert first_and_last(rows(1.0, 2.0, 3.0)) == "1 (0.5 to 1.5) in layer 0, 3 (2.5 to 3.5) in layer 2"
    assert first_and_last(rows(9.0, 15.0, 8.0, 10.0)).endswith("lowest 8 in layer 2, highest 15 in layer 1")
    assert first_and_last(rows(2.0)) == "2 (1.5 to 2.5) in layer 0"
    assert first_and_last(rows(2.0, low=float("nan"))) == "2 in layer 0"
    assert first_and_last(rows(float("nan"))) == "no estimate in any layer"


def test_a_trend_without_an_answer_says_so():
    nan = float("nan")
    none = {"trend": nan, "trend_low": nan, "trend_high": nan, "p": nan}
    assert trend_words(pl.DataFrame([none] * 6)) == "no trend over depth can be told"
    assert trend_words(pl.DataFrame([none] * 3)) == "3 layers are too few for a trend (at least 5)"
    words = trend_words(pl.DataFrame([{**none, "trend": 0.5, "p": 0.02}] * 6))
    assert words == "rank correlation with depth 0.50 (p = 0.02)"


def test_why_there_is_no_trend_is_added_to_the_reason():
    nan = float("nan")
    few = DepthTrend(nan, nan, nan, nan, "few layers")
    assert with_trend({"reason": ""}, few)["reason"] == "few layers"
    assert with_trend({"reason": "few documents"}, few)["reason"] == "few documents; few layers"
    assert (
        with_trend({"reason": "few documents"}, DepthTrend(0.5, nan, nan, 0.1, "no end"))["reason"] == "few documents"
    )
    assert with_trend({"reason": ""}, DepthTrend(0.5, nan, nan, 0.1, "no end"))["reason"] == "no end"


def test_states_come_layer_by_layer():
    states = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    frame = pl.DataFrame({"layer": [1, 1, 0, 0], "token_index": [0, 1, 0, 1], "state": states.tolist()})
    found = list(states_by_layer(frame))
    assert [layer for layer, _, _ in found] == [0, 1]
    assert found[0][1].columns == ["layer", "token_index"]
    np.testing.assert_array_equal(found[0][2], states[2:])
