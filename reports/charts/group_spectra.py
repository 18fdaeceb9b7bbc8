"""Measures of the spectra of neuron groups, with intervals, against the range of random groups of the same size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.charts.canvas import facets, interval, one, runs_of, style, words

CAPTION = """Three measures of the spectra of the weights of each group of neurons: a dot with its 95 % interval over
the columns of the weights, where it has one. The grey range is the middle 95 % of random groups of as many neurons, the
black line in it their mean. Open marks above the plateau are the means of groups like it in influence and in length,
the cross is the plateau with the values of each row permuted. A tail index to the left of the grey range is a heavier
tail than that of any neurons; the verdict asks for more: to the left of every kind of groups that could be drawn, with
its interval, and without the direction that the rows share most, too."""
_GROUPS = {"plateau": "#D55E00", "power_law": "#0072B2", "decay": "#767676"}
_MEASURES = {
    "hill_alpha": "tail index (Hill, top 10 %)",
    "edge_share": "share above the edge",
    "stable_rank": "stable rank",
}
_SIDES = ("in", "gate", "out")
# means of groups that are like the plateau in something: column, mark, words
_MATCHED = (("influence_mean", "D", "mean, same influence"), ("norm_mean", "s", "mean, same length"))
_STEP = 0.22  # between the groups of one side
_SHADE = "#DDDDDD"


def _panel(axes: Axes, table: pl.DataFrame, sides: list[str]) -> None:
    for place, side in enumerate(sides):
        for offset, (group, colour) in enumerate(_GROUPS.items()):
            y = place + (offset - 1) * _STEP
            row = one(table, side=side, group=group)
            if not row:
                continue
            low, high = row["null_low"], row["null_high"]
            if offset == 0 and np.isfinite(low) and np.isfinite(high):
                axes.fill_betweenx([place - 0.36, place + 0.36], low, high, color=_SHADE, linewidth=0, zorder=1)
                axes.plot([row["null_mean"]] * 2, [place - 0.36, place + 0.36], color="black", linewidth=1.0, zorder=2)
            permuted = row.get("permuted_mean", float("nan"))
            if np.isfinite(permuted):
                axes.plot([permuted], [y], "x", color="black", markersize=6, zorder=4)
            for column, mark, _ in _MATCHED:
                mean = row.get(column, float("nan"))
                if np.isfinite(mean):
                    axes.plot([mean], [y - 0.12], mark, color="black", markerfacecolor="none", markersize=5.5, zorder=3)
            interval(axes, y, row, colour)
    axes.set_ylim(len(sides) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _legend() -> list[Line2D | Patch]:
    dots: list[Line2D | Patch] = [
        Line2D([], [], color=colour, marker="o", markeredgecolor="white", label=words(group))
        for group, colour in _GROUPS.items()
    ]
    means = [
        Line2D([], [], color="black", markerfacecolor="none", marker=mark, markersize=5.5, linestyle="", label=label)
        for _, mark, label in _MATCHED
    ]
    permuted = Line2D([], [], color="black", marker="x", linestyle="", label="permuted rows")
    return [*dots, Patch(color=_SHADE, label="95 % of random groups"), *means, permuted]


def group_spectra(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Dots with intervals for three measures, side by side; the grey range is that of random groups of equal size.

    Takes `spectra` with `run, side, group, measure, estimate, low, high, null_mean, null_low, null_high`,
    `influence_mean`, `norm_mean` and `permuted_mean`; one row of panels a run.
    """
    table = tables["spectra"]
    sides = [side for side in _SIDES if side in table["side"].to_list()]
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=1.2 + 0.8 * len(sides))
        for run, cell in cells:
            panels = np.atleast_1d(cell.subplots(1, len(_MEASURES), sharey=True))
            for axes, (measure, label) in zip(panels, _MEASURES.items(), strict=True):
                _panel(axes, table.filter(pl.col("run") == run, pl.col("measure") == measure), sides)
                axes.set_xlabel(label)
            panels[0].set_yticks(range(len(sides)), [f"side `{side}`".replace("`", "") for side in sides])
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, frameon=False, handlelength=1.4)
    return figure
