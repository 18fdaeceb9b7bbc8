"""Words and matrices that analyses of layers share."""

import numpy as np
import polars as pl

from queries.shared.depth import first_and_last, states_by_layer, trend_words


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
    assert (
        trend_words({"trend": nan, "trend_low": nan, "trend_high": nan, "p": nan}) == "no trend over depth can be told"
    )
    words = trend_words({"trend": 0.5, "trend_low": nan, "trend_high": nan, "p": 0.02})
    assert words == "rank correlation with depth 0.50 (p = 0.02)"


def test_states_come_layer_by_layer():
    states = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    frame = pl.DataFrame({"layer": [1, 1, 0, 0], "token_index": [0, 1, 0, 1], "state": states.tolist()})
    found = list(states_by_layer(frame))
    assert [layer for layer, _, _ in found] == [0, 1]
    assert found[0][1].columns == ["layer", "token_index"]
    np.testing.assert_array_equal(found[0][2], states[2:])
