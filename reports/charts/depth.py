"""Numbers of every layer against depth: a panel for each kind of number, a line for each variant of it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from reports.charts.canvas import COLOURS, GREY, Floats, facets, floats, runs_of, say, style

CAPTION = """Numbers of each layer against its depth: a panel for each measure, a colour for each variant. Bands are
95 % intervals, bars where a neighbouring layer was not read; a hollow dot has none. Dots are the layers that were read;
a dotted line only leads from one to the next."""
_LINES = (COLOURS["common"], COLOURS["rare"], COLOURS["rare_minus_common"])
_COLUMNS = 3  # panels in a row
_NAMED = 6  # layers that are named one by one where others were not read


def _curve(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> bool:
    """One line with its band; false if there is nothing to draw."""
    shown = rows.filter(pl.col("estimate").is_finite()).sort("layer")
    if shown.is_empty():
        return False
    layer, estimate = floats(shown, "layer"), floats(shown, "estimate")
    low, high = floats(shown, "low"), floats(shown, "high")
    known = np.isfinite(low) & np.isfinite(high)
    together = _stretches(layer)
    for part in together:
        if len(layer[part]) > 1:
            where = known[part].tolist()
            axes.fill_between(layer[part], low[part], high[part], where=where, color=colour, alpha=0.2, linewidth=0)
        else:
            axes.vlines(layer[part], low[part], high[part], color=colour, alpha=0.5, linewidth=1.5)
    _line(axes, layer, estimate, together, color=colour, linewidth=1.2)
    axes.plot(layer[known], estimate[known], "o", color=colour, markersize=3.5, label=label)
    axes.plot(layer[~known], estimate[~known], "o", color=colour, markersize=3.5, markerfacecolor="white")
    return True


def _stretches(layer: Floats) -> list[slice]:
    """The places of layers (L,), in order, that follow each other without a gap."""
    cuts = [0, *(np.flatnonzero(np.diff(layer) > 1) + 1).tolist(), len(layer)]
    return [slice(start, end) for start, end in pairwise(cuts)]


def _line(axes: Axes, layer: Floats, values: Floats, together: list[slice], style: str = "-", **how: Any) -> None:
    """A line along layers that follow each other, faint and dotted past those that were not read."""
    for part in together:
        axes.plot(layer[part], values[part], style, **how)
    for before, after in pairwise(together):
        gap = slice(before.stop - 1, after.start + 1)
        axes.plot(layer[gap], values[gap], ":", **{**how, "linewidth": 0.9}, alpha=0.6)


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
        layer, control = floats(ordered, "layer"), floats(ordered, options["control"])
        _line(axes, layer, control, _stretches(layer), "--", color=GREY, linewidth=1.0, marker=".", markersize=3.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    read = rows["layer"].unique().sort().to_list()
    if len(read) < read[-1] - read[0] + 1 and len(read) <= _NAMED:
        axes.set_xticks(read)
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
            units = options.get("units", {})
            for place, (axes, (value, title)) in enumerate(zip(grid, panels.items(), strict=False)):
                _panel(axes, parts.get(value, first.clear()).filter(pl.col("run") == run), options)
                axes.set_title(title)
                axes.set_xlabel("layer")
                # panels of one unit share its name at the left of their row
                before = list(panels)[place - 1] if place % _COLUMNS else ""
                if units.get(value, "") != units.get(before, ""):
                    axes.set_ylabel(units[value])
            for axes in grid[len(panels) :]:
                axes.set_axis_off()
            handles, labels = grid[0].get_legend_handles_labels()
            if len(labels) > 1:
                cell.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure
