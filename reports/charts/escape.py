"""Memorisation, crossing and escape of trainings, and escape against weight decay."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from reports.charts.canvas import COLOURS, GREY, WIDTH, floats, say, style

CAPTION = """Steps of memorisation, crossing and escape of each training, and escape against weight decay. Left: bars
go from the checkpoint before to the first at which it is seen. Right: escapes with the fitted power law; trainings that
do not escape are not drawn."""
_STEPS = {"memorisation": COLOURS["common"], "crossing": GREY, "escape": COLOURS["rare"]}


def _steps(axes: Axes, rows: pl.DataFrame) -> None:
    runs = rows.filter(pl.col("measure") == "memorisation")["run"].unique().sort().to_list()
    for (name, colour), shift in zip(_STEPS.items(), (-0.2, 0.0, 0.2), strict=True):
        shown = rows.filter(pl.col("measure") == name, pl.col("run").is_in(runs), pl.col("estimate").is_finite())
        y = np.array([runs.index(run) for run in shown["run"]]) + shift
        axes.hlines(y, 1 + floats(shown, "low"), 1 + floats(shown, "high"), color=colour, linewidth=2.2)
        axes.plot(1 + floats(shown, "estimate"), y, "o", color=colour, markersize=5, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("1 + step")
    axes.set_yticks(range(len(runs)), runs, parse_math=False)
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.0)


def _law(axes: Axes, rows: pl.DataFrame) -> None:
    """Escapes over weight decay, and the power law where there is one."""
    own = rows.filter(pl.col("measure") == "escape", ~pl.col("run").str.starts_with("weight decay "))
    shown = own.filter(pl.col("estimate").is_finite(), pl.col("weight_decay") > 0)
    if shown.is_empty():
        say(axes, "no escape with a weight decay")
        return
    decay = floats(shown, "weight_decay")
    axes.vlines(decay, floats(shown, "low"), floats(shown, "high"), color=COLOURS["rare"], linewidth=2)
    axes.plot(decay, floats(shown, "estimate"), "o", color=COLOURS["rare"], markersize=5)
    law = rows.filter(pl.col("measure") == "power_exponent", pl.col("estimate").is_finite())
    if law.height:
        ends = np.array([decay.min(), decay.max()])
        slope, intercept = floats(law, "estimate")[0], floats(law, "intercept")[0]
        axes.plot(ends, np.exp(intercept + slope * np.log(ends)), "-", color="black", linewidth=1)
        axes.set_title(f"exponent {slope:.2f} ({floats(law, 'low')[0]:.2f} to {floats(law, 'high')[0]:.2f})")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(np.unique(decay), [f"{each:g}" for each in np.unique(decay)])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("weight decay")
    axes.set_ylabel("step of the escape")


def escape(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Two panels for all trainings together, of the first representation.

    Takes the table `grokking` with `run, representation, measure, estimate, low, high, weight_decay, intercept`.
    """
    del options
    (table,) = tables.values()
    rows = table.filter(pl.col("representation") == table["representation"].min())
    n_runs = rows.filter(pl.col("measure") == "memorisation").height
    with style():
        figure = Figure(figsize=(WIDTH, 2.6 + 0.25 * n_runs), layout="constrained")
        left, right = figure.subplots(1, 2)
        _steps(left, rows)
        _law(right, rows)
    return figure
