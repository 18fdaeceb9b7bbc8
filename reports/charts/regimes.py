"""Where a rank curve bends, and whether its plateau stands out from what a smooth law would draw."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.charts.canvas import COLOURS, facets, floats, interval, one, runs_of, say, style, words
from reports.charts.rank_curve import draw_curve, log_log, ranked_curves

CAPTION = """Above: neurons in the order of their influence, the middle 95 % of the ranked curve over resamples of
documents, and in black the fitted segmentation; dashed and dotted lines are its two breakpoints, with the bands of
their intervals where they have one. Below: the excess of the plateau over the continued middle line. Dots are
estimates with the bias of ranking taken out and their 95 % intervals; diamonds are the excess as segmented, to be
compared with the grey bars, the middle 95 % of what the best smooth law gives when it is segmented in the same way.
A q counts only those of its curves that show a plateau by the same rules, so an excess within a bar may have a small
one."""
_CLASSES = ("all", "rare", "common")
_EXCESS_CLASSES = ("rare", "common", "all", "rare_minus_common")
_GROUPS = ("all", "boost", "suppress")
_GROUP_NAMES = {"all": "all neurons", "boost": "boosting", "suppress": "suppressing"}
_SMOOTH = ("smooth_low", "smooth_high", "smooth_mean")
_CLOSE = 12.0  # ratio of the ranks of two breakpoints
_BREAKS = {"plateau_end": ("plateau ends", "--", "#00795A"), "elbow": ("elbow", ":", "#444444")}
_FIT = "#111111"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"


def _break(axes: Axes, row: Mapping[str, float], quantity: str, side: str) -> None:
    """A vertical line at a breakpoint with its name, and the band of its interval."""
    estimate, low, high = (row.get(name, np.nan) for name in ("estimate", "low", "high"))
    if not np.isfinite(estimate):
        return
    text, dashes, colour = _BREAKS[quantity]
    if np.isfinite(low) and np.isfinite(high):
        axes.axvspan(low, high, color=colour, alpha=0.13, linewidth=0, zorder=1)
    axes.axvline(estimate, color=colour, linestyle=dashes, linewidth=1.3, zorder=1)
    axes.annotate(
        f"{text}\n{_number(estimate)}",
        (estimate, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=9,
        color=colour,
    )


def _fit(axes: Axes, value: Mapping[str, float], level: float, n: float) -> None:
    """The segmentation as fitted: `value` is quantity -> number, `level` ln influence at the first breakpoint."""
    first, elbow = value["plateau_end"], value["elbow"]
    place = 0.5 * (np.log(first) + np.log(first + 1.0))
    bend = level - value["kappa"] * (np.log(elbow) - place)
    ends = (
        (0.0, place, level + value["plateau_excess"], value["plateau_slope"], place),
        (place, np.log(elbow), level, -value["kappa"], place),
        (np.log(elbow), np.log(n), bend, value["decay_slope"], np.log(elbow)),
    )
    for left, right, height, slope, origin in ends:
        x = np.array([left, right])
        axes.plot(np.exp(x), np.exp(height + slope * (x - origin)), color=_FIT, linewidth=1.2, zorder=4)


def _curve(axes: Axes, curve: pl.DataFrame, regimes: pl.DataFrame, token_class: str) -> None:
    """One class's curve with its breakpoints and the slope of its middle part."""
    draw_curve(axes, curve, token_class)
    part = regimes.filter((pl.col("token_class") == token_class) & (pl.col("sign_group") == "all"))
    fitted = {row["quantity"]: row for row in part.iter_rows(named=True)}
    if "level" in part.columns and fitted and np.isfinite(fitted["plateau_excess"]["level"]):
        values = {name: row["segmented"] for name, row in fitted.items()}
        _fit(axes, values, fitted["plateau_excess"]["level"], floats(curve, "rank").max())
    rows = {
        name: one(regimes, token_class=token_class, sign_group="all", quantity=name) for name in (*_BREAKS, "kappa")
    }
    first, second = (rows[quantity].get("estimate", np.nan) for quantity in _BREAKS)
    # names of breakpoints that are close are written outwards, so that they do not run into each other
    sides = ("right", "left") if second / first < _CLOSE else ("center", "center")
    for quantity, side in zip(_BREAKS, sides, strict=True):
        _break(axes, rows[quantity], quantity, side)
    kappa, low, high = (rows["kappa"].get(name, np.nan) for name in ("estimate", "low", "high"))
    slope = "no slope fitted" if not np.isfinite(kappa) else f"kappa {kappa:.2f}"
    if np.isfinite(kappa) and np.isfinite(low) and np.isfinite(high):
        slope += f"\n[{low:.2f}, {high:.2f}]"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.0}
    verdict = str(fitted.get("plateau_excess", {}).get("verdict") or "")
    text = f"{words(token_class)} tokens\n{slope}" + (f"\nplateau: {verdict}" if verdict else "")
    axes.text(0.04, 0.05, text, transform=axes.transAxes, color=COLOURS[token_class], bbox=box)


def _excess(axes: Axes, regimes: pl.DataFrame) -> None:
    """The excess of each plateau with its interval, over the interval that the smooth law gives."""
    shown = []
    for token_class in _EXCESS_CLASSES:
        for group in _GROUPS:
            row = one(regimes, token_class=token_class, sign_group=group, quantity="plateau_excess")
            if row:
                shown.append((token_class, group, row))
    if not shown:
        say(axes, "no plateau excess in the table")
        return
    for y, (token_class, _, row) in enumerate(shown):
        low, high, mean = (row.get(name, np.nan) for name in _SMOOTH)
        if np.isfinite(low) and np.isfinite(high):
            axes.barh(y, high - low, left=low, height=0.62, color="#D0D0D0", zorder=1)
        if np.isfinite(mean):
            axes.plot([mean, mean], [y - 0.31, y + 0.31], color="#8C8C8C", linewidth=1.4, zorder=2)
        interval(axes, y, row, COLOURS[token_class])
        axes.plot([row.get("segmented", np.nan)], [y], "D", markersize=5, **_hollow(COLOURS[token_class]))
        if y and shown[y - 1][0] != token_class:
            axes.axhline(y - 0.5, color="#E3E3E3", linewidth=0.8)
    axes.axvline(0.0, color="black", linewidth=1.0, zorder=2)
    ends = [row.get(name, np.nan) for _, _, row in shown for name in ("estimate", "low", "high", "segmented", *_SMOOTH)]
    drawn = np.append(np.array(ends)[np.isfinite(ends)], 0.0)
    room = 0.04 * (np.ptp(drawn) or 1.0)
    axes.set_xlim(drawn.min() - room, drawn.max() + room)
    axes.set_yticks(range(len(shown)), [f"{words(name)}, {_GROUP_NAMES[group]}" for name, group, _ in shown])
    for tick, (token_class, _, _) in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(COLOURS[token_class])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    axes.set_xlabel("plateau excess over the extrapolated middle part (ln of influence)")


def _hollow(colour: str) -> dict[str, Any]:
    return {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.3, "zorder": 5}


def _legend(has_segmented: bool) -> list[Line2D | Patch]:
    estimate = Line2D([], [], color="#555555", marker="o", markeredgecolor="white", linewidth=2.2, label="estimate")
    raw = Line2D([], [], linestyle="", marker="D", markersize=5, label="as segmented", **_hollow("#555555"))
    smooth = Patch(color="#D0D0D0", label="as segmented, from one smooth law" if has_segmented else "one smooth law")
    return [estimate, *([raw] if has_segmented else []), smooth]


def _run(
    cell: SubFigure, run: str, curves: Mapping[tuple[str, str], pl.DataFrame], regimes: pl.DataFrame, unit: str
) -> None:
    """The block of one run: two curves above, the excesses below, each part with margins of its own."""
    above, below = cell.subfigures(2, 1, squeeze=False, height_ratios=(1.1, 1.0)).ravel()
    for axes, token_class in zip(above.subplots(1, 3), _CLASSES, strict=True):
        if (run, token_class) in curves:
            _curve(axes, curves[run, token_class], regimes, token_class)
            log_log(axes, pl.concat(curves.values()), unit)
        else:
            say(axes, f"no influence above zero\nfor {words(token_class)} tokens")
        axes.label_outer()
    bottom = below.subplots()
    _excess(bottom, regimes)
    below.legend(handles=_legend("segmented" in regimes.columns), loc="outside upper center", ncols=3, frameon=False)


def regimes(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Rank curves with breakpoints above, the excess of every plateau against a smooth law below; one block a run.

    Takes `influence` (as `rank_curve`) and `regimes` with `run, token_class, sign_group, quantity, estimate, low, high,
    smooth_low, smooth_high, smooth_mean`; `plateau_end` and `elbow` are ranks. The smooth law is simulated and
    segmented like the data, so where there is a column `segmented`, the number before any correction, a diamond shows
    it: that is what the grey bars compare with. Options: `unit` (default nats).
    """
    influence, table = tables["influence"], tables["regimes"]
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=7.6)
        curves = ranked_curves(influence, _CLASSES)
        for run, cell in cells:
            _run(cell, run, curves, table.filter(pl.col("run") == run), str(options.get("unit", "nats")))
    return figure
