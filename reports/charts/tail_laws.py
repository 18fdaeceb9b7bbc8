"""How many neurons exceed an influence, and what the fitted laws say of it, on log-log axes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from reports.charts.canvas import COLOURS, facets, floats, runs_of, say, style, words

CAPTION = """The share of neurons (dots) whose influence exceeds the value on the horizontal axis, on log-log axes. The
lines are what fitted laws say of it, the noise of the documents included: the best smooth law, the lognormal law, and
the law with a narrow component of high influence. A line without that component that misses the dots at the right is
what specialist neurons look like."""
_CLASSES = ("rare", "common")
_PREFIX = "exceeded_by_"  # columns: the influence that so many thousandths of the neurons exceed
_MIXTURE = "mixture"
_LOOK: dict[str, dict[str, Any]] = {
    "mixture": {"color": "black", "linewidth": 1.6},
    "smooth": {"color": "#8A4A78", "linewidth": 1.6, "linestyle": (0, (5, 2))},
    "lognormal": {"color": "#767676", "linewidth": 1.3, "linestyle": ":"},
}


def _curve(row: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Influences and the shares of neurons that exceed them, by one law."""
    shares = {name: int(name.removeprefix(_PREFIX)) / 1000 for name in row if name.startswith(_PREFIX)}
    points = [(row[name], share) for name, share in shares.items() if row[name] is not None and np.isfinite(row[name])]
    return [point[0] for point in points], [point[1] for point in points]


def _drawn(laws: pl.DataFrame) -> list[tuple[str, str, dict[str, Any]]]:
    """What is drawn, (look, label, row): the best smooth law, the lognormal law, the mixture."""
    rows = {row["law"]: row for row in laws.sort("estimate").iter_rows(named=True) if np.isfinite(row["estimate"])}
    smooth = next((name for name in rows if name != _MIXTURE), "")
    chosen = [("smooth", f"{words(smooth)} (best smooth)", smooth), ("lognormal", "lognormal", "lognormal")]
    chosen.append(("mixture", "with a high component", _MIXTURE))
    return [
        (look, label, rows[name])
        for look, label, name in chosen
        if name in rows and (look != "lognormal" or smooth != name)
    ]


def _panel(axes: Axes, influence: pl.DataFrame, laws: pl.DataFrame, token_class: str) -> None:
    values = np.sort(floats(influence, "estimate"))[::-1]
    values = values[np.isfinite(values) & (values > 0)]
    axes.set_title(f"{words(token_class)} tokens", loc="left")
    if not len(values):
        say(axes, "no influence above zero")
        return
    shares = (np.arange(len(values)) + 1) / len(values)
    colour = COLOURS[token_class]
    axes.plot(
        values, shares, "o", color=colour, markersize=3.2, markeredgewidth=0, alpha=0.7, label="neurons", zorder=2
    )
    for look, label, row in _drawn(laws):
        axes.plot(*_curve(row), label=label, zorder=3, **_LOOK[look])
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(0.6 / len(values), 1.3)
    axes.set_xlim(values[-1] / 1.3, values[0] * 1.6)
    axes.set_xlabel("mean |change of loss| (nats)")
    axes.grid(True, which="major")
    axes.legend(loc="lower left", frameon=False, handlelength=1.8, fontsize=9)


def _row(cell: SubFigure, influence: pl.DataFrame, laws: pl.DataFrame) -> None:
    panels = np.atleast_1d(cell.subplots(1, len(_CLASSES), sharey=True))
    for axes, token_class in zip(panels, _CLASSES, strict=True):
        of_class = pl.col("token_class") == token_class
        _panel(axes, influence.filter(of_class), laws.filter(of_class), token_class)
    panels[0].set_ylabel("share of neurons above")


def tail_laws(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """The share of neurons above an influence, with the best smooth law and the one with a high component.

    Takes `influence` with `run, token_class, estimate` and `influence_tail` with `run, token_class, law, estimate` and
    the columns `exceeded_by_...`. Rare and common tokens side by side, one row a run.
    """
    influence, laws = tables["influence"], tables["influence_tail"]
    with style():
        figure, cells = facets(runs_of(laws), options.get("labels", {}), height=3.9)
        for run, cell in cells:
            of_run = pl.col("run") == run
            _row(cell, influence.filter(of_run), laws.filter(of_run))
    return figure
