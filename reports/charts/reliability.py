"""How far two halves of the documents agree on a ranking, against chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import COLOURS, facets, interval, one, runs_of, style, words

CAPTION = """How far two halves of the documents agree on the ranking of the neurons: a dot is the mean over splits of
the documents (for Spearman stepped up to all documents), its line the 95 % interval over documents, the black tick what
permuted neurons give."""
_CLASSES = ("all", "common", "rare")
_STEP = 0.24  # between the classes of one measure, in units of the axis of measures


def _measures(table: pl.DataFrame) -> list[str]:
    """The measures, Spearman first, then top-k by k."""
    names = table["measure"].unique().to_list()
    return sorted(names, key=lambda name: (name.startswith("top_"), int(name[4:]) if name[4:].isdigit() else 0, name))


def _label(measure: str) -> str:
    return f"overlap of\nthe {words(measure)}" if measure.startswith("top_") else words(measure).capitalize()


def _panel(axes: Axes, table: pl.DataFrame, measures: list[str]) -> None:
    for place, measure in enumerate(measures):
        for offset, token_class in enumerate(_CLASSES):
            y = place + (offset - 1) * _STEP
            row = one(table, measure=measure, token_class=token_class)
            if not row:
                continue
            interval(axes, y, row, COLOURS[token_class])
            null = row.get("null_mean", np.nan)
            if np.isfinite(null):
                axes.plot([null], [y], "|", color="black", markersize=9, markeredgewidth=1.6, zorder=2)
        if place:
            axes.axhline(place - 0.5, color="#E3E3E3", linewidth=0.8)
    axes.set_yticks(range(len(measures)), [_label(measure) for measure in measures])
    axes.set_ylim(len(measures) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(min(-0.05, axes.get_xlim()[0]), 1.02)
    axes.set_xlabel("agreement (1 = the same ranking)")
    axes.grid(True, axis="x")


def _legend() -> list[Line2D]:
    dots = [
        Line2D([], [], color=COLOURS[name], marker="o", markeredgecolor="white", label=f"{name} tokens")
        for name in _CLASSES
    ]
    null = Line2D([], [], color="black", marker="|", linestyle="", markersize=9, markeredgewidth=1.6, label="chance")
    return [*dots, null]


def reliability(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each measure and token class, a tick where chance is; one panel a run.

    Takes the table `ranking_reliability` with `run, token_class, measure, estimate, low, high, null_mean`.
    """
    table = tables["ranking_reliability"]
    runs, measures = runs_of(table), _measures(table)
    with style():
        figure, cells = facets(runs, options.get("labels", {}), height=1.1 + 0.72 * len(measures), columns=2)
        for run, cell in cells:
            _panel(cell.subplots(), table.filter(pl.col("run") == run), measures)
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, frameon=False, handlelength=1.6)
    return figure
