"""The generic chart of groups against nulls: every band that the table holds, gaps said, reproducible bytes."""

import polars as pl
import pytest
from matplotlib.patches import Rectangle

from reports.charts import draw
from reports.charts.canvas import save

NAN = float("nan")
RUNS = ("r-0000000001", "r-0000000002")


def table(runs=RUNS[:1], measures=("d95", "entropy"), **changes):
    row = {
        "estimate": 0.5, "low": 0.4, "high": 0.6, "null_any_mean": 0.55, "null_any_low": 0.5, "null_any_high": 0.6,
        "null_shift_mean": 0.1, "null_shift_low": 0.05, "null_shift_high": 0.15,
    }  # fmt: skip
    keys = [
        {"run": run, "token_class": token_class, "group": group, "measure": measure}
        for run in runs
        for token_class in ("common", "rare", "rare_minus_common")
        for group in ("decay", "plateau", "other")
        for measure in measures
    ]
    return {"anything": pl.DataFrame([{**key, **row, **changes} for key in keys])}


def bands(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_a_panel_for_each_measure_with_a_band_for_each_null():
    axes = draw("group_null", table(), {"measures": {"entropy": "entropy rank", "d95": "d95"}}).get_axes()
    assert [each.get_xlabel() for each in axes] == ["entropy rank", "d95"]
    assert [len(bands(each)) for each in axes] == [9 * 2] * 2
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["plateau", "decay", "other"] * 3
    assert {label.get_text() for label in axes[1].get_yticklabels()} == {""}


def test_options_choose_classes_groups_and_columns():
    options = {"classes": ("rare",), "groups": ("other",), "columns": 1}
    axes = draw("group_null", table(), options).get_axes()
    assert [[label.get_text() for label in each.get_yticklabels()] for each in axes] == [
        ["other", "decay", "plateau"]
    ] * 2


def test_a_null_without_values_has_no_band_and_no_name():
    without = table(null_shift_low=NAN, null_shift_high=NAN, null_shift_mean=NAN)
    figure = draw("group_null", without, {})
    assert [len(bands(each)) for each in figure.get_axes()] == [9] * 2
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["rare tokens", "common tokens", "rare minus common tokens", "any neurons"]


@pytest.mark.parametrize("missing", [("estimate", "low", "high"), ("low", "high")])
def test_missing_numbers(missing, tmp_path):
    figure = draw("group_null", table(**dict.fromkeys(missing, NAN)), {})
    save(figure, tmp_path, "group_null")
    written = {text.get_text() for axes in figure.get_axes() for text in axes.texts}
    assert written == ({"no estimate"} if "estimate" in missing else set())


def test_the_same_bytes_and_a_facet_for_each_run(tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        figure = draw("group_null", table(RUNS), {"labels": {RUNS[0]: "pythia $1"}})
        save(figure, tmp_path / name, "group_null")
        made.append([(tmp_path / name / f"group_null{suffix}").read_bytes() for suffix in (".svg", ".png")])
    assert made[0] == made[1]
    assert [cell.get_suptitle() for cell in figure.subfigs] == ["pythia $1", RUNS[1]]
