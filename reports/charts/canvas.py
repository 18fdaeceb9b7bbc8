"""What all charts share: size, type, colours that colour-blind readers can tell apart, and files that are reproducible.

A figure is 8 inches wide and is seen at about 800 pixels, so 10 points come out as 14 pixels: no text is smaller
than 9 points.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

Floats = npt.NDArray[np.float64]

WIDTH = 8.0  # inches
GREY = "#767676"
# Okabe and Ito (2008): told apart with every common kind of colour blindness, and in grey by their lightness
COLOURS = {
    "rare": "#D55E00",
    "common": "#0072B2",
    "rare_minus_common": "#8A4A78",
    "all": GREY,
}
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],  # comes with Matplotlib: the same letters on every machine
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "figure.facecolor": "white",
    "svg.hashsalt": "rt",
    "svg.fonttype": "path",
}


@contextmanager
def style() -> Iterator[None]:
    """The house style while a figure is drawn or saved; Matplotlib's global state is as before afterwards."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # a model's name may be in a script that the font lacks: boxes in a title must not stop a report
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def save(figure: Figure, folder: Path, slug: str) -> None:
    """Write `slug.svg` and `slug.png` (1,600 pixels wide): the same bytes for the same figure."""
    with style():
        # the layout is solved once: with an engine left, even one that does nothing, each file would be drawn twice
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(folder / f"{slug}.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(folder / f"{slug}.png", dpi=200, metadata={"Software": None})


def runs_of(table: pl.DataFrame) -> list[str]:
    """The runs in a table, sorted."""
    return sorted(table["run"].unique().to_list())


def facets(
    runs: Sequence[str], labels: Mapping[str, str], height: float, columns: int = 1
) -> tuple[Figure, list[tuple[str, SubFigure]]]:
    """A figure of `height` inches per row with one subfigure per run, its name above it where there are several."""
    columns = min(columns, len(runs))
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    cells = np.atleast_1d(figure.subfigures(rows, columns, squeeze=False)).ravel()
    for run, cell in zip(runs, cells, strict=False):
        if len(runs) > 1:
            cell.suptitle(labels.get(run, run), fontsize=11, fontweight="bold", parse_math=False)
    return figure, list(zip(runs, cells, strict=False))


def say(axes: Axes, text: str) -> None:
    """Write in the middle of an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, wrap=True)


def words(name: str) -> str:
    """A column's value as people read it: `rare_minus_common` is `rare minus common`."""
    return name.replace("_", " ")


def floats(table: pl.DataFrame, column: str) -> Floats:
    """A column as float64 `(n_rows,)`; null, or a column that is not there, is NaN."""
    if column not in table.columns:
        return np.full(table.height, np.nan)
    values: Floats = table[column].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
    return values


def one(table: pl.DataFrame, **where: Any) -> dict[str, float]:
    """The numbers of the one row with these keys; empty where there is none."""
    rows = table.filter(*(pl.col(key) == value for key, value in where.items()))
    if rows.is_empty():
        return {}
    return {name: float(floats(rows, name)[0]) for name in rows.columns if rows.schema[name].is_numeric()}


def interval(axes: Axes, y: float, row: Mapping[str, float], colour: str, nothing: str = "no estimate") -> None:
    """A dot with its interval at height `y`; an interval without ends is left out, a NaN says `nothing`."""
    estimate, low, high = (row.get(name, float("nan")) for name in ("estimate", "low", "high"))
    if not np.isfinite(estimate):
        place = axes.get_yaxis_transform()
        axes.text(0.99, y, nothing, transform=place, color=colour, fontsize=9, ha="right", va="center")
        return
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([low, high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
    axes.plot([estimate], [y], "o", color=colour, markersize=6.5, markeredgecolor="white", zorder=4)
