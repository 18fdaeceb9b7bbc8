"""How modular each group of neurons is, beside everything that it is compared with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import COLOURS, facets, interval, one, runs_of, style, words

CAPTION = """Three measures of modularity (panels) of each group of neurons on rare and on common tokens: a dot with its
95 % interval over documents, and below it the middle 95 % of each null model with a tick at the mean. Modules would put
the dot to the right of all lines below it. The plateau leads the ranking, so it is also compared with what windows of
the ranking, continued to it, predict."""
_PANELS = {"signed_q": "signed Q", "mg_q": "Q without noise and mode", "abs_q": "Q on |r|"}
_CLASSES = ("rare", "common")
_GROUPS = ("plateau", "power_law", "decay")
# From dark to light, in the order in which they lie below the dot
_NULLS = {
    "trend": ("trend over the ranking", "#009E73"),
    "influence": ("same tenths of influence", "#222222"),
    "activation": ("same fifths of activation", "#5A5A5A"),
    "any": ("any neurons", "#8C8C8C"),
    "shift": ("turned within documents", "#56B4E9"),
    "noise": ("independent noise", "#C9C9C9"),
}
_STEP = 0.12


def _panel(axes: Axes, table: pl.DataFrame, measure: str) -> None:
    places = [(token_class, group) for token_class in _CLASSES for group in _GROUPS]
    for place, (token_class, group) in enumerate(places):
        row = one(table, measure=measure, token_class=token_class, group=group)
        top = place - 3 * _STEP
        if row:
            interval(axes, top, row, COLOURS[token_class])
        for offset, (null, (_, colour)) in enumerate(_NULLS.items(), start=1):
            low, middle, high = (row.get(f"{null}_{end}", np.nan) for end in ("low", "mean", "high"))
            if np.isfinite(middle):
                y = top + offset * _STEP
                axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
                axes.plot([middle], [y], "|", color=colour, markersize=5, markeredgewidth=1.4, zorder=2)
        if place:
            axes.axhline(place - 0.5, color="#555555" if group == _GROUPS[0] else "#E3E3E3", linewidth=0.8)
    axes.set_yticks(range(len(places)), [f"{words(group)}\n({token_class})" for token_class, group in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(_PANELS[measure])
    axes.locator_params(axis="x", nbins=4)
    axes.grid(True, axis="x")


def _legend() -> list[Line2D]:
    dots = [
        Line2D([], [], color=COLOURS[name], marker="o", markeredgecolor="white", linewidth=2.2, label=f"{name} tokens")
        for name in _CLASSES
    ]
    nulls = [Line2D([], [], color=colour, linewidth=1.6, marker="|", label=label) for label, colour in _NULLS.values()]
    return [*dots, *nulls]


def modularity(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each group and class, the middle 95 % and mean of every null below it.

    One row of panels a run: signed modularity, modularity without noise and common mode, modularity of |r|. Takes the
    table `modularity` with `run, token_class, group, measure, estimate, low, high` and `_low, _mean, _high` of nulls.
    """
    table = tables["modularity"]
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=6.2)
        for run, cell in cells:
            panels = cell.subplots(1, len(_PANELS), sharey=True)
            for axes, measure in zip(panels, _PANELS, strict=True):
                _panel(axes, table.filter(pl.col("run") == run), measure)
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, frameon=False, handlelength=1.6)
    return figure
