"""The layout of tables: types by name; corrected p-values stay within their family."""

import numpy as np
import polars as pl
import pytest

from queries.shared.tables import correct_within, null_meanings, schema_of
from queries.stats.nulls import benjamini_hochberg


def test_types_are_known_by_name_and_columns_keep_their_order():
    columns = ["n_neurons", "law", "p", "verdict", "reason"]
    schema = schema_of(("run", "side"), columns, counts=["n_neurons"], text=["law"])
    assert list(schema) == ["run", "side", "estimate", "low", "high", "n", *columns]
    assert {name for name, kind in schema.items() if kind == pl.String} == {"run", "side", "law", "verdict", "reason"}
    assert {name for name, kind in schema.items() if kind == pl.Int64} == {"n", "n_neurons"}
    assert pl.DataFrame(schema=schema).is_empty()


def test_each_family_is_corrected_alone_and_nan_stays_nan():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=9)
    p[4] = np.nan
    rows = [{"measure": "ab"[i % 2], "p": value} for i, value in enumerate(p)]
    correct_within(rows, "measure")
    q = np.array([row["q"] for row in rows])
    for start in (0, 1):
        np.testing.assert_array_equal(q[start::2], benjamini_hochberg(p[start::2]))
    assert np.isnan(q[4])
    correct_within([], "measure")


def test_a_null_has_four_columns_in_order():
    found = null_meanings({"any": "any groups", "shift": "turned ones"}, "null_{}", "of these", "Two-sided p.")
    assert list(found)[:5] == ["null_any_mean", "null_any_low", "null_any_high", "p_any", "null_shift_mean"]
    assert found["null_shift_low"] == "Low end of the middle 95 % of these."
    assert next(iter(null_meanings({"any": "any groups"}, "{}", "of these", "p."))) == "any_mean"


def test_rows_without_a_p_are_an_error():
    with pytest.raises(KeyError):
        correct_within([{"measure": "a"}], "measure")
