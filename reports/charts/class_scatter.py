"""Each neuron's influence on common tokens against that on rare tokens, selective neurons marked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style

CAPTION = """Each dot is a neuron: its influence on common tokens against that on rare tokens, on log-log axes.
Coloured neurons differ from the network's own ratio of the two (dashed line) with q < 0.05; on the solid line both
influences are equal."""


def _panel(axes: Axes, table: pl.DataFrame) -> None:
    shown = table.filter(
        pl.col("contrast") == "relative", pl.col("influence_rare") > 0, pl.col("influence_common") > 0
    ).filter(pl.col("influence_rare").is_finite(), pl.col("influence_common").is_finite())
    if shown.is_empty():
        reason = table["reason"]
        say(axes, reason[0] if len(reason) and reason[0] else "no influence above zero")
        axes.set_axis_off()
        return
    x, y = floats(shown, "influence_common"), floats(shown, "influence_rare")
    beyond = floats(shown, "q") < 0.05
    above = floats(shown, "estimate") > 0
    for chosen, colour, size in (
        (~beyond, GREY, 2.5),
        (beyond & ~above, COLOURS["common"], 4.5),
        (beyond & above, COLOURS["rare"], 4.5),
    ):
        axes.plot(x[chosen], y[chosen], "o", color=colour, markersize=size, alpha=0.8, markeredgewidth=0)
    limits = np.array([min(x.min(), y.min()) / 1.4, max(x.max(), y.max()) * 1.4])
    axes.plot(limits, limits, color="black", linewidth=0.9, zorder=1)
    network = floats(shown, "ratio") / np.exp(floats(shown, "estimate"))  # the same for every neuron
    if np.isfinite(network).any():
        ratio = network[np.isfinite(network)][0]
        axes.plot(limits, limits * ratio, color="black", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set(xscale="log", yscale="log", xlim=tuple(limits), ylim=tuple(limits), aspect="equal")
    axes.set_xlabel("influence on common tokens (nats)")
    axes.set_ylabel("influence on rare tokens (nats)")
    axes.grid(True, which="major")


def _legend() -> list[Line2D]:
    dots = (
        (COLOURS["rare"], 4.5, "more selective for rare tokens"),
        (COLOURS["common"], 4.5, "less selective"),
        (GREY, 2.5, "not told apart"),
    )
    return [
        *(Line2D([], [], color=c, marker="o", linestyle="", markersize=s, label=text) for c, s, text in dots),
        Line2D([], [], color="black", linewidth=0.9, label="equal"),
        Line2D([], [], color="black", linewidth=0.9, linestyle=(0, (4, 3)), label="the network's ratio"),
    ]


def class_scatter(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A dot per neuron on log-log axes, coloured where q < 0.05; lines of equal influence and of the network's ratio.

    Takes the table `rare_contrast` with `run, contrast, neuron, estimate, q, influence_rare, influence_common, ratio`.
    """
    table = tables["rare_contrast"]
    with style():
        runs = runs_of(table)
        figure, cells = facets(runs, options.get("labels", {}), height=4.8, columns=2)
        for run, cell in cells:
            _panel(cell.subplots(), table.filter(pl.col("run") == run))
        figure.legend(handles=_legend(), loc="outside upper center", ncols=3, frameon=False, handlelength=1.4)
    return figure
