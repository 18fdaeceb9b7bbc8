"""Charts of trajectories: the coordinate over steps, its path in the plane, escapes over weight decays."""

import polars as pl
import pytest

from reports.charts import draw

STEPS = [0, 10, 100, 1000]


def phase(run="r-1", representation="states", nc1="nc1_labels"):
    measures = {"coordinate_em": [1.0, 2, 3, 3], "coordinate_sgd": [-2.0, -1, 2, 3], nc1: [5.0, 4, 1, 0.5]}
    if nc1 != "nc1_labels":
        measures["nc1_ratio_sgd"] = measures[nc1]
    parts = [
        pl.DataFrame(
            {
                "run": run, "representation": representation, "measure": name, "step": STEPS, "estimate": values,
                "low": [each - 0.1 for each in values], "high": [each + 0.1 for each in values], "null_mean": 0.5,
            }
        )
        for name, values in measures.items()
    ]  # fmt: skip
    return pl.concat(parts)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_xlabel() or axes.texts]


def test_three_panels_a_representation_and_three_representations_at_most():
    assert len(panels(draw("phase", {"phase": phase()}, {}))) == 3
    many = pl.concat([phase(representation=f"layer {i}") for i in range(7)])
    shown = panels(draw("phase", {"phase": many}, {}))
    assert len(shown) == 9
    assert [axes.get_title() for axes in shown[::3]] == ["layer 0", "layer 3", "layer 6"]
    two = draw("phase", {"phase": pl.concat([phase(), phase("r-2")])}, {"labels": {"r-1": "one", "r-2": "two"}})
    assert [cell.get_suptitle() for cell in two.subfigs] == ["one", "two"]


def test_the_null_is_drawn_and_the_path_goes_through_its_checkpoints():
    left, em, sgd = panels(draw("phase", {"phase": phase()}, {}))
    assert [line.get_linestyle() for line in left.lines].count("--") == 2
    assert em.lines[0].get_xdata().tolist() == [1, 2, 3, 3]
    assert sgd.lines[0].get_xdata().tolist() == [-2, -1, 2, 3]
    assert em.get_ylabel() == "ln NC1 (labels)"


def test_without_labels_the_probes_own_classes_stand_in_and_nothing_says_so():
    _, em, _ = panels(draw("phase", {"phase": phase(nc1="nc1_ratio_em")}, {}))
    assert "own classes" in em.get_ylabel()
    bare = phase().filter(pl.col("measure") != "nc1_labels").with_columns(estimate=float("nan"))
    left, em, sgd = panels(draw("phase", {"phase": bare}, {}))
    assert [[text.get_text() for text in axes.texts] for axes in (left, em, sgd)] == [
        ["no coordinate"],
        ["no NC1"],
        ["no NC1"],
    ]


def grokking(law=True):
    rows = []
    for decay, step in ((0.1, 5000.0), (1.0, 500.0)):
        for name, value in (("memorisation", 50.0), ("crossing", 40.0), ("escape", step)):
            rows.append((f"wd {decay}", name, value, value * 0.9, value * 1.1, decay, float("nan")))
    if law:
        rows.append(("all runs", "power_exponent", -1.0, -1.2, -0.8, float("nan"), 6.2))
        rows.append(("weight decay 1", "escape", 500.0, 400.0, 600.0, 1.0, float("nan")))
    names = ["run", "measure", "estimate", "low", "high", "weight_decay", "intercept"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(representation=pl.lit("states"))


@pytest.mark.parametrize("law", [True, False])
def test_escapes_are_drawn_with_the_law_where_there_is_one(law):
    left, right = draw("escape", {"grokking": grokking(law)}, {}).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["wd 0.1", "wd 1.0"]
    assert right.get_title() == ("exponent -1.00 (-1.20 to -0.80)" if law else "")
    assert len(right.lines) == (2 if law else 1)


def test_no_escape_says_so():
    none = grokking().with_columns(estimate=pl.when(pl.col("measure") != "escape").then("estimate").otherwise(None))
    _, right = draw("escape", {"grokking": none}, {}).axes
    assert [text.get_text() for text in right.texts] == ["no escape with a weight decay"]
