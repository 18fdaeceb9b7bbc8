"""How much of each neuron's effect goes through one path, against its influence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts.canvas import COLOURS, facets, floats, runs_of, say, style

CAPTION = """Each dot is a neuron, on rare tokens: its influence and the share of its effect that is lost when it cannot
act through the final norm (left) or along the token frequencies (right). Above the dashed line more than half is lost.
Coloured dots with 95 % intervals over documents are the plateau's neurons. Shares below -1 are drawn at -1."""
_PATHS = {"norm_share": "share through the final norm", "frequency_share": "share along the token frequencies"}
_REST, _PLATEAU = "#A6A6A6", COLOURS["rare"]
_FLOOR = -1.0


def _panel(axes: Axes, table: pl.DataFrame, measure: str) -> None:
    part = table.filter(pl.col("measure") == measure, pl.col("estimate").is_finite(), pl.col("influence") > 0)
    if part.is_empty():
        say(axes, "no neuron with an effect")
        return
    rest, plateau = part.filter(~pl.col("is_plateau")), part.filter("is_plateau")
    axes.plot(
        floats(rest, "influence"), np.maximum(floats(rest, "estimate"), _FLOOR), ".", color=_REST, markersize=3,
        label="other neurons", rasterized=True,
    )  # fmt: skip
    place, share = floats(plateau, "influence"), np.maximum(floats(plateau, "estimate"), _FLOOR)
    axes.vlines(place, np.maximum(floats(plateau, "low"), _FLOOR), floats(plateau, "high"), color=_PLATEAU, linewidth=1)
    axes.plot(place, share, "o", color=_PLATEAU, markersize=4, label="plateau")
    axes.axhline(0.5, color="black", linestyle="--", linewidth=0.9)
    axes.axhline(0.0, color="black", linewidth=0.9)
    axes.set_xscale("log")
    axes.set_ylim(_FLOOR - 0.05, 1.05)
    axes.set_xlabel("mean |change of loss| (nats)")
    axes.set_ylabel(_PATHS[measure])
    axes.grid(True)


def mediation(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Two panels a run, one for each path.

    Takes one table with `run, token_class, measure, estimate, low, high, influence, is_plateau`.
    """
    (table,) = tables.values()
    rare = table.filter(pl.col("token_class") == "rare")
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=4.4)
        for run, cell in cells:
            axes = cell.subplots(1, 2)
            for each, measure in zip(axes, _PATHS, strict=True):
                _panel(each, rare.filter(pl.col("run") == run), measure)
            axes[0].legend(loc="lower left", frameon=True)
    return figure
