"""Influence in bands of token frequency: the plateau's core and the rest, and the one over the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style

CAPTION = """Left: mean influence of the plateau's stable core and of all other neurons in ten bands of token
frequency, the tenths of the vocabulary. Right: the logarithm of their ratio; flat means that rarity moves all neurons
alike. Lines are 95 % intervals over documents; a hollow dot has none, since too few documents hold the band."""
_LOOK = {"plateau": (COLOURS["rare"], "plateau (stable core)"), "rest": (GREY, "the rest")}


def _curve(axes: Axes, rows: pl.DataFrame, colour: str, label: str, shift: float) -> bool:
    """One curve with its intervals; false if there is nothing to draw."""
    shown = rows.filter(pl.col("estimate").is_finite()).sort("band")
    if shown.is_empty():
        return False
    band, estimate = floats(shown, "band") + shift, floats(shown, "estimate")
    axes.vlines(band, floats(shown, "low"), floats(shown, "high"), color=colour, alpha=0.5, linewidth=2)
    axes.plot(band, estimate, "-", color=colour, linewidth=0.8, alpha=0.6)
    known = np.isfinite(floats(shown, "low"))
    axes.plot(band[known], estimate[known], "o", color=colour, markersize=5, label=label)
    axes.plot(band[~known], estimate[~known], "o", color=colour, markersize=5, markerfacecolor="white")
    return True


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(label)
    axes.set_xlabel("tenth of the vocabulary (10 = rarest)")
    axes.set_xticks(range(1, 11))
    axes.set_xlim(0.5, 10.5)
    axes.grid(True, axis="y")


def _panels(left: Axes, right: Axes, table: pl.DataFrame) -> None:
    drawn = [
        _curve(left, table.filter(pl.col("curve") == name), colour, label, shift)
        for (name, (colour, label)), shift in zip(_LOOK.items(), (-0.08, 0.08), strict=True)
    ]
    if any(drawn):
        left.set_yscale("log")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, frameon=False, columnspacing=1.2)
    else:
        say(left, "no influence")
    _finish(left, "influence\n", "mean |change of loss| (nats)")
    over = table.filter(pl.col("curve") == "plateau_over_rest")
    if not _curve(right, over, "black", "", 0.0):
        say(right, "no plateau to compare")
    trend, low, high = (float(floats(over, name)[0]) for name in ("trend", "trend_low", "trend_high"))
    words = f"trend {trend:.2g} per tenth ({low:.2g} to {high:.2g})" if np.isfinite(trend) else "no trend"
    _finish(right, f"plateau over rest\n{words}", "ln(plateau / rest)")


def band_curve(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Two panels a run: both curves in nats, and the log of their ratio; hollow dots have no interval.

    Takes the table `frequency_curve` with `run, curve, band, estimate, low, high` and the `trend` columns.
    """
    table = tables["frequency_curve"]
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=3.4)
        for run, cell in cells:
            left, right = cell.subplots(1, 2)
            _panels(left, right, table.filter(pl.col("run") == run))
    return figure
