"""The figure files of a report: what a process needs to know to write one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from reports.charts import caption, draw
from reports.charts.canvas import save


def write_figure(
    kind: str, tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any], folder: Path, slug: str
) -> str:
    """Draw a chart of `kind` and write `slug.svg` and `slug.png` into `folder`; its caption."""
    save(draw(kind, tables, options), folder, slug)
    return caption(kind, options)
