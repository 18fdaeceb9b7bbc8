"""The kinds of chart: one module each, with one function of the same name; the folder listing is the registry.

A chart takes `tables` (slug -> table of that analysis, every run in it) and `options` (of the analysis, and `labels`:
run id -> the name that people see) and returns a Matplotlib figure. It draws the numbers of the tables and computes
none; its module's `CAPTION` says what the marks mean. A value that is NaN or null is not drawn; a text in its place
says so.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FOLDER = Path(__file__).parent


def kinds() -> list[str]:
    """The kinds of chart that exist, by name."""
    return sorted(path.stem for path in _FOLDER.glob("[a-z]*.py") if path.stem != "canvas")


def _module(kind: str) -> ModuleType:
    if kind not in kinds():
        raise ValueError(f"no chart of kind `{kind}`; there are: {', '.join(kinds())}")
    return importlib.import_module(f"reports.charts.{kind}")


def caption(kind: str, options: Mapping[str, Any]) -> str:
    """What a figure of `kind` shows and what its marks mean: `caption` of the options after it, if there is one.

    `own_caption` of the options stands in the place of both.
    """
    if own := str(options.get("own_caption", "")):
        return " ".join(own.split())
    parts = (str(getattr(_module(kind), "CAPTION", "")), str(options.get("caption", "")))
    return " ".join(" ".join(part.split()) for part in parts if part)


def draw(kind: str, tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> "Figure":
    """The figure of `kind`. Raises `ValueError` for a kind that is not in the folder."""
    figure: Figure = getattr(_module(kind), kind)(tables, options)
    return figure


def write_figure(
    kind: str, tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any], folder: Path, slug: str
) -> str:
    """Draw a chart of `kind`, write it as `slug.svg` and `slug.png` into `folder`, and return its caption."""
    from reports.charts.canvas import save  # Matplotlib takes 0.4 s to import

    save(draw(kind, tables, options), folder, slug)
    return caption(kind, options)
