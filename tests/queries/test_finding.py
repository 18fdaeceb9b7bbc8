"""What a claim shows of a run: the chosen row, the closest null, nothing where there is nothing."""

import math

import polars as pl
import pytest

from queries import FINDING, finding

TABLE = pl.DataFrame(
    {
        "run": ["r-1", "r-1", "r-2"], "group": ["plateau", "decay", "plateau"],
        "verdict": ["supported", None, "undecidable"], "estimate": [0.5, 0.1, math.nan],
        "low": [0.4, 0.0, math.nan], "high": [0.6, 0.2, math.nan], "q": [0.01, 0.5, math.nan], "n": [12, 12, 12],
        "p_any": [0.001, 0.2, math.nan], "any_mean": [0.2, 0.2, math.nan],
        "p_like": [0.03, 0.1, math.nan], "like_mean": [0.3, 0.3, math.nan],
    }
)  # fmt: skip
NULLS = {"p_any": "any_mean", "p_like": "like_mean"}


def test_one_row_a_run_with_the_closest_null():
    found = finding(NULLS, group="plateau")(TABLE)
    assert found.schema == FINDING
    first, second = found.rows(named=True)
    assert first == {
        "run": "r-1", "verdict": "supported", "estimate": 0.5, "low": 0.4, "high": 0.6, "n": 12, "null": 0.3, "q": 0.01,
        "power": pytest.approx(math.nan, nan_ok=True), "bar": 0.3, "reason": None,
            "remedy": None,
    }  # fmt: skip
    assert second["verdict"] == "undecidable"
    assert math.isnan(second["null"])


def test_other_columns_and_no_null():
    found = finding(q="p_any", names={"estimate": "low"}, group="decay")(TABLE).row(0, named=True)
    assert (found["estimate"], found["q"]) == (0.0, 0.2)
    assert math.isnan(found["null"])


@pytest.mark.parametrize("null", ["any_mean", NULLS, ""])
def test_an_empty_table_says_nothing(null):
    found = finding(null, group="plateau")(TABLE.clear())
    assert found.is_empty()
    assert found.schema == FINDING


def test_what_the_interval_must_exclude_may_be_another_value_than_the_null():
    found = finding("any_mean", bar=pl.lit(0.5), group="plateau")(TABLE.with_columns(power=0.8)).row(0, named=True)
    assert (found["null"], found["bar"], found["power"]) == (0.2, 0.5, 0.8)


def test_a_refuted_trend_is_not_what_is_held_against():
    nulls = {**NULLS, "p_trend": "trend_mean"}
    refuted = TABLE.with_columns(p_trend=0.99, trend_mean=0.9)
    assert finding(nulls, group="plateau")(refuted).row(0, named=True)["bar"] == 0.3
    possible = TABLE.with_columns(p_trend=0.9, trend_mean=0.6)
    assert finding(nulls, group="plateau")(possible).row(0, named=True)["null"] == 0.6
    assert finding({"p_trend": "trend_mean"}, group="plateau")(refuted).row(0, named=True)["null"] == 0.9
