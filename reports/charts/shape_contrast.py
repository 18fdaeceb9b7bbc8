"""Differences between the curves of two classes, beside what permuted labels give."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.charts.canvas import COLOURS, facets, interval, one, runs_of, style

CAPTION = """Rare minus common tokens, for four numbers of the segmented curve, on all neurons and on those that boost
or suppress. Dots: estimates with the bias of ranking taken out, and their 95 % intervals over documents; where a
breakpoint has no place in too many resamples the bias is not known, and there is no dot. Diamonds: the difference as
segmented. Grey bars: the middle 95 % of that difference with labels permuted within documents, the tick their mean; it
is not at zero, because few positions make a noisier curve."""
_GROUPS = {"all": "all neurons", "boost": "boosting", "suppress": "suppressing"}
_MEASURES = {
    "plateau_excess": "excess of the plateau (ln)",
    "kappa": "kappa",
    "plateau_end": "end of the plateau (rank)",
    "elbow": "elbow (rank)",
}
_COLOUR, _NULL = COLOURS["rare_minus_common"], "#D0D0D0"
_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": _COLOUR, "markeredgewidth": 1.3, "zorder": 5}


def _panel(axes: Axes, table: pl.DataFrame, quantity: str) -> None:
    for y, group in enumerate(_GROUPS):
        row = one(table, quantity=quantity, sign_group=group)
        low, high, mean, raw = (row.get(name, np.nan) for name in ("null_low", "null_high", "null_mean", "segmented"))
        if np.isfinite(low) and np.isfinite(high):
            axes.barh(y, high - low, left=low, height=0.62, color=_NULL, zorder=1)
        axes.plot([mean, mean], [y - 0.31, y + 0.31], color="#6F6F6F", linewidth=1.4, zorder=2)
        interval(axes, y, row, _COLOUR, "no estimate" if np.isnan(raw) else "bias not known")
        axes.plot([raw], [y], linestyle="", marker="D", markersize=5, **_HOLLOW)
    axes.axvline(0.0, color="black", linewidth=0.9, zorder=1.5)
    axes.set_yticks(range(len(_GROUPS)), list(_GROUPS.values()))
    axes.set_ylim(len(_GROUPS) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(True, axis="x")
    axes.set_xlabel(_MEASURES[quantity])


def shape_contrast(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Rare minus common for four quantities of the segmented curve; one block a run, one line a sign group.

    Takes one table with `run, sign_group, quantity, estimate, low, high, segmented, null_low, null_high, null_mean`.
    """
    (table,) = tables.values()
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=4.6)
        for run, cell in cells:
            axes = cell.subplots(2, 2, sharey=True)
            for each, quantity in zip(axes.ravel(), _MEASURES, strict=True):
                _panel(each, table.filter(pl.col("run") == run), quantity)
        handles = [
            Line2D([], [], color=_COLOUR, marker="o", markeredgecolor="white", label="rare minus common"),
            Line2D([], [], linestyle="", marker="D", markersize=5, label="as segmented", **_HOLLOW),
            Patch(color=_NULL, label="as segmented, labels permuted"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure
