"""Numbers of every layer against depth: a panel for each kind of number, a line for each variant of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style

CAPTION = """Numbers of each layer against its depth: a panel for each measure, a colour for each variant. Bands are
95 % intervals; a hollow dot has none."""
_LINES = (COLOURS["common"], COLOURS["rare"], COLOURS["rare_minus_common"])
_COLUMNS = 3  # panels in a row


def _curve(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> bool:
    """One line with its band; false if there is nothing to draw."""
    shown = rows.filter(pl.col("estimate").is_finite()).sort("layer")
    if shown.is_empty():
        return False
    layer, estimate = floats(shown, "layer"), floats(shown, "estimate")
    low, high = floats(shown, "low"), floats(shown, "high")
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(layer, low, high, where=known.tolist(), color=colour, alpha=0.2, linewidth=0)
    axes.plot(layer, estimate, "-", color=colour, linewidth=1.2, label=label)
    axes.plot(layer[known], estimate[known], "o", color=colour, markersize=3.5)
    axes.plot(layer[~known], estimate[~known], "o", color=colour, markersize=3.5, markerfacecolor="white")
    return True


def _panel(axes: Axes, rows: pl.DataFrame, options: Mapping[str, Any]) -> None:
    drawn = False
    for colour, (value, label) in zip(_LINES, options.get("names", {"": ""}).items(), strict=False):
        part = rows.filter(pl.col(options["series"]) == value) if "series" in options else rows
        drawn |= _curve(axes, part, colour, label)
    if not drawn:
        say(axes, "no estimate")
        return
    if options.get("is_log") and rows.filter(pl.col("estimate") <= 0).is_empty():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if "zero" in options:
        axes.axhline(options["zero"], color=GREY, linewidth=0.8, linestyle=":")
    if options.get("control") in rows.columns:
        ordered = rows.sort("layer")
        axes.plot(floats(ordered, "layer"), floats(ordered, options["control"]), "--", color=GREY, linewidth=1.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, axis="y")


def _parts(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """The rows of each panel, by its name; `panel` is the column that names them, or that of each table."""
    found: dict[str, pl.DataFrame] = {}
    for slug, table in tables.items():
        chosen = table.filter(*(pl.col(name) == value for name, value in options.get("where", {}).items()))
        column = options["panel"] if isinstance(options["panel"], str) else options["panel"][slug]
        for (name,), rows in chosen.group_by(column, maintain_order=True):
            found.setdefault(str(name), rows)
    return found


def depth(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """One row of panels, or several, per run."""
    parts, panels = _parts(tables, options), options["panels"]
    first = next(iter(tables.values()))
    n_rows = -(-len(panels) // _COLUMNS)
    with style():
        figure, cells = facets(runs_of(first), options.get("labels", {}), 2.6 * n_rows + 0.5)
        for run, cell in cells:
            grid = cell.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
            for axes, (value, title) in zip(grid, panels.items(), strict=False):
                _panel(axes, parts.get(value, first.clear()).filter(pl.col("run") == run), options)
                axes.set_title(title)
                axes.set_xlabel("layer")
            for axes in grid[len(panels) :]:
                axes.set_axis_off()
            handles, labels = grid[0].get_legend_handles_labels()
            if len(labels) > 1:
                cell.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure
