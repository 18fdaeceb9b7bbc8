"""Measures of groups of neurons beside what three nulls give."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.charts.canvas import COLOURS, GREY, facets, interval, one, runs_of, style, words

CAPTION = """Dots are groups of neurons in each space, with their 95 % intervals from leaving out documents
(activations) or twentieths of the weights. Grey bars hold the middle 95 % of random groups from the same tenths of
influence; green bars below them, where there are neurons enough, what the trend over the ranking predicts for the
group; blue bars that of one Gaussian cloud with its covariance. Clusters would put the dot to the right of all."""
_GROUPS = ("plateau", "power_law", "decay")
# columns of the ends, height above the dot, colour and words
_BARS = (
    ("null", -0.24, "#CCCCCC", "groups from the same tenths of influence, 95 %"),
    ("trend", 0.0, "#B5DDB5", "trend over the ranking, 95 %"),
    ("gaussian", 0.24, "#9ECAE9", "one Gaussian cloud, 95 %"),
)


def _places(table: pl.DataFrame) -> list[tuple[str, str, str]]:
    """Space, class and group from top to bottom."""
    found = table.select("space", "token_class", "group").unique().rows()
    return sorted(found, key=lambda place: (place[0], place[1], _GROUPS.index(place[2])))


def _panel(axes: Axes, table: pl.DataFrame, places: list[tuple[str, str, str]], measure: str) -> None:
    for y, (space, token_class, group) in enumerate(places):
        row = one(table, measure=measure, space=space, token_class=token_class, group=group)
        if not row:
            continue
        for null, below, colour, _ in _BARS:
            low, high = row.get(f"{null}_low", np.nan), row.get(f"{null}_high", np.nan)
            if np.isfinite(low) and np.isfinite(high):
                axes.barh(y + below, high - low, left=low, height=0.24, color=colour, zorder=1)
        interval(axes, y, row, COLOURS["rare"] if group == "plateau" else GREY)
        if y and places[y - 1][:2] != (space, token_class):
            axes.axhline(y - 0.5, color="#BBBBBB", linewidth=0.8)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _label(place: tuple[str, str, str]) -> str:
    space, token_class, group = place
    where = "weights" if space == "weight" else f"{token_class} tokens"
    return f"{where}: {words(group)}"


def set_nulls(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each space, class and group on bars of three nulls; one panel a measure and run.

    `options["measures"]`: measure -> label of its axis. Takes one table with `run, space, token_class, group, measure,
    estimate, low, high`, and `low` and `high` of `null`, `trend` and `gaussian`.
    """
    (table,) = tables.values()
    measures: Mapping[str, str] = options["measures"]
    places = _places(table)
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=1.3 + 0.3 * len(places))
        for run, cell in cells:
            panels = cell.subplots(1, len(measures), sharey=True, squeeze=False)[0]
            for axes, (measure, label) in zip(panels, measures.items(), strict=True):
                _panel(axes, table.filter(pl.col("run") == run), places, measure)
                axes.set_xlabel(label)
            panels[0].set_yticks(range(len(places)), [_label(place) for place in places])
        handles = [
            Line2D([], [], color=COLOURS["rare"], marker="o", markeredgecolor="white", label="plateau"),
            Line2D([], [], color=GREY, marker="o", markeredgecolor="white", label="other regimes"),
            *(Patch(color=colour, label=label) for _, _, colour, label in _BARS),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure
