"""Numbers against depth: panels and lines that are there, words where nothing is, several runs."""

import polars as pl
import pytest

from reports.charts import draw


def table(run="r-1", layers=6, measure="a", variant="x", low=0.1):
    layer = list(range(layers))
    estimate = [1.0 + each for each in layer]
    return pl.DataFrame(
        {
            "run": run, "measure": measure, "variant": variant, "layer": layer, "estimate": estimate,
            "low": [each - low for each in estimate], "high": [each + low for each in estimate], "control": 0.5,
        }
    )  # fmt: skip


OPTIONS = {"panel": "measure", "panels": {"a": "first", "b": "second"}}


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_panel_has_a_line_for_each_variant():
    both = pl.concat([table(), table(variant="y", measure="a")])
    options = {**OPTIONS, "series": "variant", "names": {"x": "one", "y": "other"}, "is_log": True}
    figure = draw("depth", {"s": both}, options)
    first, second = panels(figure)
    assert first.get_title() == "first"
    assert first.get_yscale() == "log"
    assert [line.get_label() for line in first.lines if not line.get_label().startswith("_")] == ["one", "other"]
    assert texts(second) == ["no estimate"]


def test_each_run_has_its_own_row_and_its_name():
    figure = draw(
        "depth", {"s": pl.concat([table(), table("r-2")])}, {**OPTIONS, "labels": {"r-1": "one", "r-2": "two"}}
    )
    assert len(panels(figure)) == 4
    assert [cell.get_suptitle() for cell in figure.subfigs] == ["one", "two"]


def test_two_tables_and_a_control_share_a_figure():
    other = table(measure="b").rename({"measure": "kind"}).drop("control")
    options = {"panel": {"s": "measure", "t": "kind"}, "panels": OPTIONS["panels"], "control": "control", "zero": 0.0}
    first, second = panels(draw("depth", {"s": table(), "t": other}, options))
    assert len(first.lines) == len(second.lines) + 1


def test_rows_can_be_chosen_and_missing_ends_are_hollow():
    missing = table().with_columns(low=pl.when(pl.col("layer") == 2).then(float("nan")).otherwise("low"))
    (axes, _) = panels(draw("depth", {"s": missing}, {**OPTIONS, "where": {"variant": "x"}}))
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [len(line.get_xdata()) for line in hollow] == [1]


@pytest.mark.parametrize("value", [float("nan"), None])
def test_nothing_at_all_says_so(value):
    empty = table().with_columns(estimate=pl.lit(value, dtype=pl.Float64))
    assert texts(panels(draw("depth", {"s": empty}, OPTIONS))[0]) == ["no estimate"]


def test_layers_that_were_not_read_have_neither_a_line_nor_a_band():
    some = table().with_columns(layer=pl.col("layer") * 10)
    whole, gaps = (panels(draw("depth", {"s": each}, OPTIONS))[0] for each in (table(), some))
    assert [line.get_linestyle() for line in whole.lines].count(":") == 0
    n = table().filter(measure="a").height
    assert [line.get_linestyle() for line in gaps.lines].count(":") == n - 1
    # a bar for each layer alone, and no band
    assert [type(each).__name__ for each in gaps.collections] == ["LineCollection"] * n
    assert [type(each).__name__ for each in whole.collections] == ["FillBetweenPolyCollection"]


def test_the_unit_is_named_once_in_each_row_of_panels():
    names = ["a", "b", "c", "d", "e"]
    units = {**dict.fromkeys(names[:4], "accuracy"), "e": "clusters"}
    figure = draw("depth", {"s": table()}, {"panel": "measure", "panels": {n: n for n in names}, "units": units})
    assert [axes.get_ylabel() for axes in panels(figure)] == ["accuracy", "", "", "accuracy", "clusters"]
