"""Neurons in the order of their influence, on log-log axes: one curve per token class, with its band."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts.canvas import COLOURS, facets, floats, runs_of, say, style, words

CAPTION = """Neurons in the order of their influence (mean |change of the loss| when a neuron is set to its mean),
on log-log axes: rare tokens, common tokens, and all tokens as a thin grey line. The bands are of the ranked curve:
documents are resampled, the neurons ranked anew each time, and the middle 95 % of the influences at each rank drawn.
Noise makes a resampled curve steeper, so bands lie a little high at the left and a little low at the right."""
_CLASSES = ("all", "common", "rare")  # in the order of drawing: the last one lies on top
_EVERY = 60  # ranks from the top that are all drawn
_POINTS = 400  # at most so many further ones, evenly spaced on the log axis: more are less than a pixel apart


def ranked(table: pl.DataFrame) -> pl.DataFrame:
    """The neurons of one curve by rank, thinned to what 800 pixels can show; values of zero or NaN are left out."""
    finite = table.filter(pl.col("estimate").is_finite() & (pl.col("estimate") > 0), pl.col("rank").is_not_null())
    curve = finite.sort("rank")
    if curve.height <= _EVERY + _POINTS:
        return curve
    tail = np.geomspace(_EVERY, curve.height - 1, _POINTS).astype(int)
    return curve[np.unique(np.concatenate([np.arange(_EVERY), tail]))]


def ranked_curves(table: pl.DataFrame, classes: Sequence[str]) -> dict[tuple[str, str], pl.DataFrame]:
    """`ranked` for each (run, token class) that has any neuron to draw."""
    chosen = {
        (run, token_class): ranked(table.filter(pl.col("run") == run, pl.col("token_class") == token_class))
        for run in runs_of(table)
        for token_class in classes
    }
    return {key: curve for key, curve in chosen.items() if not curve.is_empty()}


def draw_curve(axes: Axes, curve: pl.DataFrame, token_class: str, band: bool = True) -> None:
    """One curve, with its band (`curve_low` to `curve_high`) where it has ends."""
    colour = COLOURS.get(token_class, "black")
    rank, estimate = floats(curve, "rank"), floats(curve, "estimate")
    if band:
        # a lower end of zero has no logarithm: the band then goes down to the bottom of the panel
        low = np.where(floats(curve, "curve_low") > 0, floats(curve, "curve_low"), 1e-30)
        high = floats(curve, "curve_high")
        known = np.isfinite(floats(curve, "curve_low")) & np.isfinite(high)
        axes.fill_between(rank, low, high, where=known.tolist(), color=colour, alpha=0.22, linewidth=0, zorder=2)
    axes.plot(rank, estimate, color=colour, linewidth=1.8 if band else 1.0, label=f"{words(token_class)} tokens")


def log_log(axes: Axes, curves: pl.DataFrame, unit: str) -> None:
    """Scales, limits and labels of a rank curve; `curves` holds every curve of the figure, so that panels compare."""
    axes.set(xscale="log", yscale="log")
    estimate, high = floats(curves, "estimate"), floats(curves, "curve_high")
    top = np.append(high[np.isfinite(high)], estimate).max()
    axes.set_ylim(estimate.min() / 1.5, top * 1.5)
    axes.set_xlim(0.9, floats(curves, "rank").max() * 1.15)
    axes.xaxis.set_major_formatter(lambda rank, _: f"{rank:,.0f}")
    axes.set_xlabel("rank of the neuron")
    axes.set_ylabel(f"mean |change of loss| ({unit})")
    axes.grid(True, which="major")


def rank_curve(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Rank against influence for rare and common tokens with bands, all tokens as a thin grey line; one panel a run.

    Takes the table `influence` with `run, token_class, rank, estimate, curve_low, curve_high`. Options: `unit`
    (default nats).
    """
    table, unit = tables["influence"], str(options.get("unit", "nats"))
    runs = runs_of(table)
    with style():
        several = len(runs) > 1
        figure, cells = facets(runs, options.get("labels", {}), height=3.9 if several else 4.6, columns=2)
        curves = ranked_curves(table, _CLASSES)
        for run, cell in cells:
            axes = cell.subplots()
            here = {token_class: curves[run, token_class] for token_class in _CLASSES if (run, token_class) in curves}
            if not here:
                say(axes, "no influence above zero")
                continue
            for token_class, curve in here.items():
                draw_curve(axes, curve, token_class, band=token_class != "all")
            log_log(axes, pl.concat(curves.values()), unit)
            # order statistics fall steeply at the right, so the lower left corner is always free
            axes.legend(loc="lower left", frameon=False, labelcolor="linecolor", reverse=True, handlelength=1.4)
    return figure
