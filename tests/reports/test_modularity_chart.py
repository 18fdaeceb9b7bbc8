"""The figure of modularity: a dot for each group and class, every null beside it, and what is missing said."""

import polars as pl
import pytest

from reports.charts import draw
from reports.charts.canvas import save

NULLS = ("any", "activation", "influence", "trend", "shift", "noise")


def table(runs=("r-1",), estimate=0.3):
    return pl.DataFrame(
        [
            {"run": run, "token_class": token_class, "group": group, "measure": measure, "estimate": estimate}
            | {"low": 0.25, "high": 0.35}
            | {f"{null}_{end}": value for null in NULLS for end, value in (("low", 0.1), ("mean", 0.2), ("high", 0.3))}
            for run in runs
            for token_class in ("rare", "common")
            for group in ("plateau", "power_law", "decay")
            for measure in ("signed_q", "mg_q", "abs_q")
        ]
    )


@pytest.mark.parametrize("runs", [("r-1",), ("r-1", "r-2")])
def test_three_panels_a_run_with_every_null(runs, tmp_path):
    figure = draw("modularity", {"modularity": table(runs)}, {})
    panels = figure.get_axes()
    assert len(panels) == 3 * len(runs)
    # six groups: interval and dot, and a bar and a tick for each null; five lines part the groups
    assert all(len(axes.lines) == 6 * (2 + 2 * len(NULLS)) + 5 for axes in panels)
    save(figure, tmp_path, "modularity")


def test_no_estimate_is_said(tmp_path):
    figure = draw("modularity", {"modularity": table(estimate=float("nan"))}, {})
    assert [text.get_text() for text in figure.get_axes()[0].texts] == ["no estimate"] * 6
    save(figure, tmp_path, "modularity")
