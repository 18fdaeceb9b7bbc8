"""Numbers over the steps of a training: a panel for each kind of number, a line for each variant of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style, words

CAPTION = """Numbers over the steps of a training, on a log scale that begins with the untrained state. Bands are 95 %
intervals; a hollow dot has none."""
_LINES = (COLOURS["common"], COLOURS["rare"], COLOURS["rare_minus_common"], GREY)


def _ticks(axes: Axes, last: int) -> None:
    """0, then powers of ten: the axis is ln(1 + step)."""
    steps = [0, *(10**each for each in range(len(str(max(last, 1)))))]
    axes.set_xticks(np.log1p(steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{np.expm1(x):,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("step")


def _curve(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> None:
    """One line with its band."""
    shown = rows.filter(pl.col("estimate").is_finite()).sort("step")
    step, estimate = np.log1p(floats(shown, "step")), floats(shown, "estimate")
    low, high = floats(shown, "low"), floats(shown, "high")
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(step, low, high, where=known.tolist(), color=colour, alpha=0.2, linewidth=0)
    axes.plot(step, estimate, "-", color=colour, linewidth=1.2, label=label)
    axes.plot(step[known], estimate[known], "o", color=colour, markersize=3)
    axes.plot(step[~known], estimate[~known], "o", color=colour, markersize=3, markerfacecolor="white")


def training_steps(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """One row of panels for each run and value of `column`; `panels` is title -> what its rows must equal."""
    table = next(iter(tables.values()))
    panels, column, series = options["panels"], options["column"], options["series"]
    with style():
        variants = table[column].unique().sort().to_list() or [""]
        figure, cells = facets(runs_of(table), options.get("labels", {}), 2.7 * len(variants))
        for run, cell in cells:
            grid = cell.subplots(len(variants), len(panels), squeeze=False)
            for variant, line in zip(variants, grid, strict=True):
                for axes, (title, where) in zip(line, panels.items(), strict=True):
                    rows = table.filter(run=run, **{column: variant}, **where).filter(pl.col("estimate").is_finite())
                    axes.set_title(f"{title} ({variant})")
                    if rows.is_empty():
                        say(axes, "no estimate")
                        continue
                    for colour, (name,) in zip(
                        _LINES, rows.select(series).unique().sort(series).iter_rows(), strict=False
                    ):
                        _curve(axes, rows.filter(pl.col(series) == name), colour, words(name))
                    _ticks(axes, int(rows["step"].max()))  # type: ignore[arg-type]
                    axes.grid(True, axis="y")
            handles, labels = grid[0, 0].get_legend_handles_labels()
            if len(labels) > 1:
                cell.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure
