"""docs/calibration.svg: every coverage, size and power with its exact interval, an analysis a row."""

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calibration.caveats import COVERAGE, SIZE
from reports.charts.canvas import COLOURS, GREY, WIDTH, style

_PANELS = (("coverage", "coverage of 95 % intervals", (0.55, 1.005)), ("size", "size of 5 % tests", (-0.005, 0.25)))
_POWER = ("power", "power", (-0.02, 1.02))


def draw(table: pl.DataFrame) -> Figure:
    """Coverage, size and power from the table of `rates.rates`; the shade is what is allowed."""
    slugs = sorted(table["analysis"].unique().to_list())
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.5 * len(slugs)), layout="constrained")
        cells = figure.subplots(1, 3, sharey=True)
        for axes, (kind, title, reach) in zip(cells, (*_PANELS, _POWER), strict=True):
            _panel(axes, table.filter(pl.col("kind") == kind), slugs)
            axes.set_xlim(*reach)
            axes.set_xlabel(title)
        cells[0].axvspan(*COVERAGE, color="#E7F0E7", zorder=0)
        cells[1].axvspan(*SIZE, color="#E7F0E7", zorder=0)
        cells[0].axvline(0.95, color=GREY, linewidth=1.0, zorder=1)
        cells[1].axvline(0.05, color=GREY, linewidth=1.0, zorder=1)
        cells[0].set_yticks(range(len(slugs)), [slug.replace("_", "\n", 1) for slug in slugs])
        cells[0].set_ylim(len(slugs) - 0.5, -0.5)
        marks = [
            Line2D([], [], color=COLOURS[colour], marker="o", markersize=4, label=label)
            for colour, label in (
                ("common", "coverage, size, power at the largest effect"),
                ("rare", "smaller effect"),
            )
        ]
        figure.legend(handles=marks, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, slugs: list[str]) -> None:
    """A dot with its interval for each target and design, spread over the height of its analysis."""
    axes.tick_params(axis="y", length=0)
    for place, slug in enumerate(slugs):
        if place:
            axes.axhline(place - 0.5, color="#E3E3E3", linewidth=0.8)
        known = rows.filter(pl.col("analysis") == slug, pl.col("n") > 0).sort("effect", maintain_order=True)
        largest = known["effect"].max() if known.height else None
        for i, row in enumerate(known.iter_rows(named=True)):
            y = place - 0.38 + 0.76 * (i + 0.5) / known.height
            is_weak = row["kind"] == "power" and row["effect"] != largest
            colour = COLOURS["rare"] if is_weak else COLOURS["common"]
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.0, alpha=0.6)
            axes.plot([row["rate"]], [y], "o", color=colour, markersize=2.5)


def write(table: pl.DataFrame, path: Path) -> None:
    """Write the figure as SVG: the same bytes for the same table."""
    with style():
        draw(table).savefig(path, metadata={"Date": None, "Creator": None})
