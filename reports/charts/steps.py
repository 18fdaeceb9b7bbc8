"""Numbers of every checkpoint against the training step: a panel for each, a colour for each class of tokens."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.charts.canvas import COLOURS, GREY, Floats, facets, floats, runs_of, say, style

CAPTION = """Numbers of each checkpoint against its training step, on a logarithmic axis with step 0 at its left end.
Bands are pointwise 95 % intervals; a dotted line is the step from which on a number differs from that of the first
checkpoint, allowing for all checkpoints that were looked at."""
CLASSES = ("rare", "common")
_COLUMNS = 3  # panels in a row


def positions(steps: Floats) -> Floats:
    """Where steps (S,) lie on the axis: log2, and step 0 one place before the first other.

    >>> positions(np.array([0.0, 4.0, 8.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    later = steps[steps > 0]
    first = np.log2(later.min()) if len(later) else 1.0
    return np.where(steps > 0, np.log2(np.maximum(steps, 1.0)), first - 1.0)


def _curve(axes: Axes, rows: pl.DataFrame, every: Floats, name: str) -> bool:
    """One line with its band and the mark of emergence; false if there is nothing to draw."""
    shown = rows.filter(pl.col("estimate").is_finite()).sort("step")
    if shown.is_empty():
        return False
    place = dict(zip(every.tolist(), positions(every).tolist(), strict=True))
    x = np.array([place[step] for step in floats(shown, "step")])
    low, high = floats(shown, "low"), floats(shown, "high")
    known = (np.isfinite(low) & np.isfinite(high)).tolist()
    colour = COLOURS[name]
    axes.fill_between(x, low, high, where=known, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, floats(shown, "estimate"), "o-", color=colour, linewidth=1.2, markersize=3.5, label=f"{name} tokens")
    emerged = floats(shown, "emerged")
    if np.isfinite(emerged).any():
        begun = place[float(emerged[np.isfinite(emerged)][0])]
        # dots of one class between those of the other, should both be at one step
        axes.axvline(begun, color=colour, linewidth=1.3, linestyle=(3.0 * CLASSES.index(name), (1.5, 4.5)))
    return True


def _axis(axes: Axes, every: Floats) -> None:
    """Ticks at some of the steps, step 0 among them."""
    place = positions(every)
    some = np.unique(np.round(np.linspace(0, len(every) - 1, min(len(every), 6))).astype(int))
    axes.xaxis.set_major_locator(FixedLocator(place[some].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    names = {round(float(x), 6): _short(step) for x, step in zip(place, every, strict=True)}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.get(round(float(x), 6), "")))
    if every[0] == 0 and len(every) > 1:
        axes.axvline(0.5 * (place[0] + place[1]), color=GREY, linewidth=0.8)  # not on the same scale
    axes.set_xlabel("step")
    axes.grid(True, axis="y")


def _short(step: float) -> str:
    """A step as a tick has room for.

    >>> _short(512.0), _short(143000.0)
    ('512', '143k')
    """
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:g}"


def steps(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """The panels `options["panels"]`, measure -> title, for each run."""
    (table,), panels = tables.values(), options["panels"]
    n_rows = -(-len(panels) // _COLUMNS)
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), 2.6 * n_rows + 0.5)
        for run, cell in cells:
            grid = cell.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
            of_run = table.filter(pl.col("run") == run)
            every = floats(of_run.select("step").unique().sort("step"), "step")
            for axes, (measure, title) in zip(grid, panels.items(), strict=False):
                rows = of_run.filter(pl.col("measure") == measure)
                parts = [rows.filter(pl.col("token_class") == name) for name in CLASSES]
                drawn = [_curve(axes, part, every, name) for part, name in zip(parts, CLASSES, strict=True)]
                axes.set_title(title)
                if any(drawn):
                    _axis(axes, every)
                else:
                    say(axes, "no estimate")
            for axes in grid[len(panels) :]:
                axes.set_axis_off()
            handles, labels = grid[0].get_legend_handles_labels()
            if len(labels) > 1:
                cell.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure
