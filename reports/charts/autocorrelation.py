"""Moran's I of influence and of membership beside what chance gives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.charts.canvas import COLOURS, facets, interval, one, runs_of, style

CAPTION = """Moran's I of influence, and of being in the plateau's core, among neurons that write in like directions:
a dot with its 95 % interval from leaving out twentieths of the weights. Grey bars hold the middle 95 % with the
values dealt anew among the neurons, green bars what the trend over the ranking by influence predicts for the core."""
_BARS = (
    ("null", -0.15, "#CCCCCC", "values dealt anew among the neurons, 95 %"),
    ("trend", 0.15, "#B5DDB5", "trend over the ranking, 95 %"),
)
_PLACES = (("influence", "common"), ("influence", "rare"), ("membership", "common"), ("membership", "rare"))
_LABELS = {"influence": "influence", "membership": "in the plateau"}


def _panel(axes: Axes, table: pl.DataFrame) -> None:
    for y, (measure, token_class) in enumerate(_PLACES):
        row = one(table, measure=measure, token_class=token_class)
        if not row:
            continue
        for null, below, colour, _ in _BARS:
            low, high = row.get(f"{null}_low", np.nan), row.get(f"{null}_high", np.nan)
            if np.isfinite(low) and np.isfinite(high):
                axes.barh(y + below, high - low, left=low, height=0.3, color=colour, zorder=1)
        interval(axes, y, row, COLOURS[token_class])
    axes.axvline(0, color="#555555", linewidth=0.8)
    axes.set_yticks(range(len(_PLACES)), [f"{_LABELS[name]}, {token_class} tokens" for name, token_class in _PLACES])
    axes.set_ylim(len(_PLACES) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Moran's I (0: neighbours by weights are not alike)")
    axes.grid(True, axis="x")


def autocorrelation(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each measure and class on the bars of its nulls; one panel a run.

    Takes one table with `run, token_class, measure, estimate, low, high, null_low, null_high, trend_low, trend_high`.
    """
    (table,) = tables.values()
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=2.6)
        for run, cell in cells:
            _panel(cell.subplots(), table.filter(pl.col("run") == run))
        handles = [Patch(color=colour, label=label) for _, _, colour, label in _BARS]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    return figure
