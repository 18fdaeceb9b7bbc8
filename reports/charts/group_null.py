"""A statistic of groups of neurons beside what random groups give: dots with intervals over the bands of the nulls.

Generic: any analysis whose table has the columns `run, token_class, group, measure, estimate, low, high` and, for every
null x, `null_x_low, null_x_high` (and `null_x_mean`) is drawn; nothing here knows the analysis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.charts.canvas import COLOURS, facets, floats, interval, one, runs_of, say, style, words

CAPTION = """Dots are groups of neurons on rare and on common tokens, with their 95 % intervals over documents. The bars
behind each dot are the middle 95 % of its null models, of the trend its 95 % prediction interval (of a parabola,
which knows no bounds: of a share it may pass 0 and 1), the dark tick in a bar their mean; a group stands out only where
its dot is outside all bars."""
_CLASSES = ("rare", "common", "rare_minus_common")
# Greys and a light blue that stay apart in print: one for each null, in the order of the table's columns
_BANDS = ("#D9D9D9", "#ABABAB", "#7C7C7C", "#A8C8E8", "#CBB8D9")
_NULL_NAMES = {
    "any": "any neurons",
    "activation": "same strata of activation",
    "influence": "same strata of influence",
    "trend": "trend over the ranking",
    "shift": "turned within documents",
    "noise": "independent noise",
}


def nulls_of(table: pl.DataFrame) -> list[str]:
    """The nulls of a table that hold a value, in the order of its columns."""
    names = [name[5:-4] for name in table.columns if name.startswith("null_") and name.endswith("_low")]
    return [name for name in names if np.isfinite(floats(table, f"null_{name}_low")).any()]


def _in_order(values: Sequence[str], first: Sequence[str]) -> list[str]:
    return [name for name in first if name in values] + sorted(set(values) - set(first))


def _rows(table: pl.DataFrame, classes: Sequence[str], groups: Sequence[str]) -> list[tuple[str, str]]:
    """Class and group of each row of a panel that the table has, classes together."""
    there = set(table.select("token_class", "group").iter_rows())
    return [(name, group) for name in classes for group in groups if (name, group) in there]


def _panel(
    axes: Axes, table: pl.DataFrame, rows: Sequence[tuple[str, str]], nulls: Sequence[str], is_named: bool
) -> None:
    ends = []
    height = 0.72 / max(1, len(nulls))
    for y, (token_class, group) in enumerate(rows):
        row = one(table, token_class=token_class, group=group)
        for i, null in enumerate(nulls):
            low, high, mean = (row.get(f"null_{null}_{end}", np.nan) for end in ("low", "high", "mean"))
            place = y - 0.36 + (i + 0.5) * height
            if np.isfinite(low) and np.isfinite(high):
                axes.barh(place, high - low, left=low, height=height, color=_BANDS[i % len(_BANDS)], zorder=1)
            axes.plot([mean, mean], [place - height / 2, place + height / 2], color="#333333", linewidth=1.1, zorder=2)
            ends += [low, high]
        interval(axes, y, row, COLOURS.get(token_class, COLOURS["all"]))
        ends += [row.get(name, np.nan) for name in ("estimate", "low", "high")]
        if y and rows[y - 1][0] != token_class:
            axes.axhline(y - 0.5, color="#E3E3E3", linewidth=0.8)
    drawn = np.array(ends)[np.isfinite(ends)]
    if len(drawn):
        room = 0.05 * (np.ptp(drawn) or 1.0)
        axes.set_xlim(drawn.min() - room, drawn.max() + room)
        if drawn.min() < 0 < drawn.max():
            axes.axvline(0.0, color="black", linewidth=0.9, zorder=1.5)
    axes.set_yticks(range(len(rows)), [words(group) for _, group in rows] if is_named else [""] * len(rows))
    for tick, (token_class, _) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(COLOURS.get(token_class, COLOURS["all"]))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(True, axis="x")


def _legend(classes: Sequence[str], nulls: Sequence[str], names: Mapping[str, str]) -> list[Line2D | Patch]:
    dots: list[Line2D | Patch] = [
        Line2D(
            [],
            [],
            color=COLOURS.get(name, COLOURS["all"]),
            marker="o",
            markeredgecolor="white",
            label=f"{words(name)} tokens",
        )
        for name in classes
    ]
    bands = [Patch(color=_BANDS[i % len(_BANDS)], label=names.get(null, words(null))) for i, null in enumerate(nulls)]
    return [*dots, *bands]


def group_null(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """A panel for each measure, a dot with its interval for each class and group, over the bands of the nulls.

    Takes one table with `run, token_class, group, measure, estimate, low, high` and `null_x_low, null_x_high,
    null_x_mean` for every null x, e.g. `null_any_low`. Options: `measures`, measure -> label of its axis (those and
    their order; default: all); `classes` (default: all); `group`, the column that stands for it; `groups`, their order;
    `nulls`, words for them; `columns` of panels (3).
    """
    (table,) = tables.values()
    if "group" in options:
        table = table.with_columns(group=pl.col(options["group"]).replace(options.get("labels", {})))
    measures = dict(options.get("measures") or {name: words(name) for name in sorted(table["measure"].unique())})
    classes = list(options.get("classes") or _in_order(table["token_class"].unique().to_list(), _CLASSES))
    groups = _in_order(table["group"].unique().to_list(), options.get("groups", ("plateau", "power_law", "decay")))
    nulls, names = nulls_of(table), {**_NULL_NAMES, **options.get("nulls", {})}
    columns = min(int(options.get("columns", 3)), max(1, len(measures)))
    lines = -(-len(measures) // columns)
    tallest = max(
        (len(_rows(table.filter(pl.col("measure") == name), classes, groups)) for name in measures), default=1
    )
    with style():
        figure, cells = facets(runs_of(table), options.get("labels", {}), height=1.0 + lines * (0.75 + 0.3 * tallest))
        for run, cell in cells:
            axes = np.atleast_1d(cell.subplots(lines, columns, squeeze=False)).ravel()
            for each in axes[len(measures) :]:
                each.set_axis_off()
            before: list[tuple[str, str]] = []
            for i, (each, (measure, label)) in enumerate(zip(axes, measures.items(), strict=False)):
                part = table.filter(pl.col("run") == run, pl.col("measure") == measure)
                rows = _rows(part, classes, groups)
                if rows:
                    # rows are named where a line of panels begins, or where they differ from those to the left
                    _panel(each, part, rows, nulls, i % columns == 0 or rows != before)
                else:
                    say(each, "no row in the table")
                before = rows
                each.set_xlabel(label, wrap=True)
        figure.legend(handles=_legend(classes, nulls, names), loc="outside upper center", ncols=3, frameon=False)
    return figure
