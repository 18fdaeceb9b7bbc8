"""What every attention head does, as a map of layers and heads: on rare targets, on common ones, and the difference."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from reports.charts.canvas import facets, floats, runs_of, say, style, words

CAPTION = """A map of the attention heads: each cell is a head, its colour what ablating it does. The two classes share
a scale, the difference has its own; where the bar of colours ends in an arrow, a few heads beyond it have its last
colour. A dot marks q < 0.05 over the heads; a grey cell has no number, as of a head that
cannot reach the neurons."""
_CLASSES = ("rare", "common", "rare_minus_common")
_INCHES = 0.12  # per layer
_SHOWN, _FAR = 0.98, 1.5  # the scale ends at this quantile of the sizes if the largest is so many times as large


def _grid(table: pl.DataFrame, name: str) -> np.ndarray:
    """A column as (L, H); NaN where there is none."""
    layer, head = table["layer"].to_numpy(), table["head"].to_numpy()
    values = np.full((int(layer.max()) + 1, int(head.max()) + 1), np.nan)
    values[layer, head] = floats(table, name)
    return values


def _panel(axes: Axes, table: pl.DataFrame, token_class: str, scale: Mapping[str, Any]) -> AxesImage | None:
    axes.set_title(words(token_class))
    if table.is_empty():
        say(axes, "no head")
        return None
    values, q = _grid(table, "estimate"), _grid(table, "q")
    n_layers, n_heads = values.shape
    axes.set_facecolor("#BBBBBB")
    drawn = axes.imshow(
        values, **scale, aspect="auto", origin="lower", interpolation="nearest", extent=(0, n_heads, 0, n_layers)
    )
    layer, head = np.nonzero(q < 0.05)
    axes.plot(head + 0.5, layer + 0.5, "o", color="black", markersize=4, markeredgecolor="white", markeredgewidth=0.7)
    for axis, n in ((axes.xaxis, n_heads), (axes.yaxis, n_layers)):
        step = max(1, round(n / 6))
        axis.set_ticks([place + 0.5 for place in range(0, n, step)], [str(place) for place in range(0, n, step)])
    axes.set_xlabel("head")
    return drawn


def _scale(table: pl.DataFrame) -> tuple[dict[str, Any], str]:
    """Colours for the estimates, of two directions around 0, of one where none is below it; which ends they exceed.

    One head far off must not take the colours of all others: then the scale ends where 98 % of the sizes do.
    """
    values = floats(table, "estimate")
    values = values[np.isfinite(values)]
    sizes = np.abs(values)
    limit = float(sizes.max()) if len(values) and sizes.max() > 0 else 1.0
    most = float(np.quantile(sizes, _SHOWN)) if len(values) else 0.0
    is_clipped = 0 < _FAR * most < limit
    limit = most if is_clipped else limit
    if len(values) and values.min() >= 0:
        return {"cmap": "YlOrRd", "vmin": 0.0, "vmax": limit}, "max" if is_clipped else "neither"
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}, "both" if is_clipped else "neither"


def head_map(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Three panels for every run and ablation; `unit` names what the colours are.

    Takes one table with `run, ablation, token_class, layer, head, estimate, q`; with `where` in the options, the rows
    with these values only. Rows without a layer are not drawn.
    """
    (table,) = tables.values()
    wanted = (pl.col(name) == value for name, value in options.get("where", {}).items())
    table = table.filter(pl.col("layer").is_not_null(), *wanted)
    n_layers = 1 + max([0, *table["layer"].to_list()])
    ablations = sorted(table["ablation"].unique().to_list())
    with style():
        height = max(2.8, 1.6 + _INCHES * n_layers) * max(1, len(ablations))
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=height)
        for run, cell in cells:
            rows = cell.subplots(len(ablations), 3, squeeze=False)
            for axes, ablation in zip(rows, ablations, strict=True):
                part = table.filter(pl.col("run") == run, pl.col("ablation") == ablation)
                _row(cell, axes, part, ablation, str(options.get("unit", "")))
    return figure


def _row(cell: Any, axes: np.ndarray, part: pl.DataFrame, ablation: str, unit: str) -> None:
    """The three panels of one ablation, with one bar of colours for the classes and one for the difference."""
    of_class = {name: part.filter(pl.col("token_class") == name) for name in _CLASSES}
    shared, beyond = _scale(pl.concat([of_class["rare"], of_class["common"]]))
    own, own_beyond = _scale(of_class["rare_minus_common"])
    drawn = {
        name: _panel(each, of_class[name], name, own if name == "rare_minus_common" else shared)
        for each, name in zip(axes, _CLASSES, strict=True)
    }
    axes[0].set_ylabel(f"layer ({ablation} ablation)")
    for panels, names, label, extend in (
        (axes[:2], ("rare", "common"), unit, beyond),
        (axes[2:], ("rare_minus_common",), "difference", own_beyond),
    ):
        images = [drawn[name] for name in names if drawn[name] is not None]
        if images:
            ticks = MaxNLocator(4 if len(panels) > 1 else 3)
            bar = {"location": "bottom", "label": label, "aspect": 30, "ticks": ticks, "extend": extend}
            cell.colorbar(images[0], ax=list(panels), **bar)
