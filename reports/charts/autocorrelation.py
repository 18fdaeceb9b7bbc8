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
a dot with its 95 % interval from leaving out twentieths of the weights. The grey bar is the middle 95 % with the values
dealt anew among the neurons."""
_NULL = "#D9D9D9"
_PLACES = (("influence", "common"), ("influence", "rare"), ("membership", "common"), ("membership", "rare"))
_LABELS = {"influence": "influence", "membership": "in the plateau"}


def _panel(axes: Axes, table: pl.DataFrame) -> None:
    for y, (measure, token_class) in enumerate(_PLACES):
        row = one(table, measure=measure, token_class=token_class)
        if not row:
            continue
        if np.isfinite(row["null_low"]):
            axes.barh(y, row["null_high"] - row["null_low"], left=row["null_low"], height=0.6, color=_NULL, zorder=1)
        interval(axes, y, row, COLOURS[token_class])
    axes.axvline(0, color="#555555", linewidth=0.8)
    axes.set_yticks(range(len(_PLACES)), [f"{_LABELS[name]}, {token_class} tokens" for name, token_class in _PLACES])
    axes.set_ylim(len(_PLACES) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Moran's I (0: neighbours by weights are not alike)")
    axes.grid(True, axis="x")


def autocorrelation(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each measure and class on the bar of its null; one panel a run.

    Takes one table with `run, token_class, measure, estimate, low, high, null_low, null_high`.
    """
    (table,) = tables.values()
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=2.6)
        for run, cell in cells:
            _panel(cell.subplots(), table.filter(pl.col("run") == run))
        handle = Patch(color=_NULL, label="values dealt anew among the neurons, 95 %")
        figure.legend(handles=[handle], loc="outside upper center", frameon=False)
    return figure
