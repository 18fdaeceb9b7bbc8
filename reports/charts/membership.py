"""How often each neuron is in the plateau set when documents are resampled, in the order of the neurons' influence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style, words

CAPTION = """The neurons around the end of the plateau in the order of their influence: a dot is the share of resamples
of the documents in which the neuron is in the plateau set, its line the 95 % interval. Filled dots are the stable core;
the dashed line is the share that the core needs, the solid one the end of the plateau in the data."""
_CLASSES = ("common", "rare")
_CORE_SHARE = 0.8  # the line that the stable core reaches
_SHOWN = 2  # ranks up to so many times the size of the set


def _panel(axes: Axes, table: pl.DataFrame, token_class: str) -> None:
    axes.set_title(f"{words(token_class)} tokens")
    known = table.filter(pl.col("estimate").is_finite())
    if known.is_empty():
        reason = table["reason"].drop_nulls()
        say(axes, reason[0] if len(reason) and reason[0] else "no such token")
        axes.set_axis_off()
        return
    size = known["n_plateau"][0]
    shown = known.filter(pl.col("rank") <= max(20, _SHOWN * size)).sort("rank")
    rank, share = floats(shown, "rank"), floats(shown, "estimate")
    core, colour = floats(shown, "is_core") > 0, COLOURS[token_class]
    axes.vlines(rank, floats(shown, "low"), floats(shown, "high"), color=colour, alpha=0.35, linewidth=1.6)
    axes.plot(rank[core], share[core], "o", color=colour, markersize=4.5)
    axes.plot(rank[~core], share[~core], "o", color=colour, markersize=4.5, markerfacecolor="white")
    axes.axhline(_CORE_SHARE, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.axvline(size + 0.5, color="black", linewidth=0.9)
    axes.set_xlim(0, rank.max() + 1)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("rank of the neuron")
    axes.grid(True, axis="y")
    shared, low, high, null = (float(floats(shown, name)[0]) for name in _HALVES)
    if np.isfinite(shared):
        interval = f"{100 * low:.0f} to {100 * high:.0f} %; permuted {100 * null:.0f} %"
        axes.set_title(f"{words(token_class)} tokens: halves share {100 * shared:.0f} %\n({interval})")


_HALVES = ("jaccard", "jaccard_low", "jaccard_high", "jaccard_null")


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color="black", marker="o", linestyle="", markersize=4.5, label="stable core"),
        Line2D([], [], color="black", marker="o", linestyle="", markersize=4.5, markerfacecolor="w", label="others"),
        Line2D([], [], color="black", linewidth=0.9, label="end of the plateau in the data"),
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label=f"{100 * _CORE_SHARE:.0f} %"),
    ]


def membership(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot with its interval for each leading neuron: its share of resamples; a panel a class, a row a run.

    Takes the table `plateau_stability` with `run, token_class, neuron, estimate, low, high, rank, is_core, n_plateau`
    and the `jaccard` columns.
    """
    table = tables["plateau_stability"]
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=3.5)
        for run, cell in cells:
            panels = cell.subplots(1, len(_CLASSES), sharey=True)
            for axes, token_class in zip(panels, _CLASSES, strict=True):
                _panel(axes, table.filter(pl.col("run") == run, pl.col("token_class") == token_class), token_class)
            panels[0].set_ylabel("share of resamples\nin the plateau set")
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, frameon=False, handlelength=1.4)
    return figure
