"""The phase coordinate along a training, and its path in the plane with ln NC1."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import COLOURS, GREY, facets, floats, runs_of, say, style

CAPTION = """The phase coordinate ln(beta/beta_c) along the training, and against ln NC1. Left: beta by EM and by
gradient with 95 % bands; dashed, the same of structureless vectors; dotted, the critical value. Others: the path of
each, dark at the first checkpoint, light at the last; without labels the ratio of the traces of the probe's own
classes stands for NC1."""
_PROBES = {"em": ("by EM", COLOURS["common"]), "sgd": ("by gradient", COLOURS["rare"])}
_MOST = 3  # representations of a run


def _over_steps(axes: Axes, rows: pl.DataFrame, title: str) -> None:
    drawn = False
    for probe, (_, colour) in _PROBES.items():
        shown = rows.filter(pl.col("measure") == f"coordinate_{probe}", pl.col("estimate").is_finite()).sort("step")
        if shown.is_empty():
            continue
        drawn = True
        place = 1 + floats(shown, "step")
        axes.fill_between(place, floats(shown, "low"), floats(shown, "high"), color=colour, alpha=0.2, linewidth=0)
        axes.plot(place, floats(shown, "estimate"), "-", color=colour, linewidth=1.4)
        axes.plot(place, floats(shown, "null_mean"), "--", color=colour, linewidth=0.9, alpha=0.8)
    axes.set_title(title)
    if not drawn:
        say(axes, "no coordinate")
        return
    axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("1 + step")
    axes.set_ylabel("ln(beta/beta_c)")


def _plane(axes: Axes, rows: pl.DataFrame, probe: str) -> None:
    """The path in (coordinate, ln NC1)."""
    words, colour = _PROBES[probe]
    by_label = not rows.filter(pl.col("measure") == "nc1_labels").is_empty()
    measure = "nc1_labels" if by_label else f"nc1_ratio_{probe}"
    wide = rows.filter(pl.col("measure").is_in([measure, f"coordinate_{probe}"])).pivot(
        on="measure", index="step", values="estimate"
    )
    axes.set_title(words, color=colour)
    if {measure, f"coordinate_{probe}"} - set(wide.columns):
        say(axes, "no NC1")
        return
    shown = wide.sort("step").filter(pl.col(measure) > 0, pl.col(f"coordinate_{probe}").is_finite())
    x, y = floats(shown, f"coordinate_{probe}"), np.log(floats(shown, measure))
    axes.plot(x, y, "-", color=GREY, linewidth=0.8, alpha=0.6)
    axes.scatter(x, y, c=np.arange(len(x)), cmap="viridis", s=16, zorder=3)
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("ln(beta/beta_c)")
    axes.set_ylabel("ln NC1 (labels)" if by_label else "ln (tr S_W / tr S_B), own classes")


def _legend() -> list[Line2D]:
    lines = [Line2D([], [], color=colour, linewidth=1.6, label=words) for words, colour in _PROBES.values()]
    null = Line2D([], [], color=GREY, linestyle="--", linewidth=1.0, label="structureless vectors")
    critical = Line2D([], [], color=GREY, linestyle=":", linewidth=1.0, label="critical")
    return [*lines, null, critical]


def _shown(table: pl.DataFrame, run: str) -> Sequence[str]:
    """The representations of a run that are drawn: the first, a middle and the last of many."""
    names = table.filter(pl.col("run") == run)["representation"].unique().sort().to_list()
    places = sorted({round(i) for i in np.linspace(0, len(names) - 1, min(_MOST, len(names)))})
    return [names[i] for i in places]


def phase(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any]) -> Figure:
    """Three panels for each representation, at most three of a run.

    Takes the table `phase` with `run, representation, measure, step, estimate, low, high, null_mean`.
    """
    (table,) = tables.values()
    runs = runs_of(table)
    most = max(len(_shown(table, run)) for run in runs)
    with style():
        figure, cells = facets(runs, options.get("labels", {}), 2.8 * most + 0.3)
        for run, cell in cells:
            names = _shown(table, run)
            grid = cell.subplots(len(names), 3, squeeze=False)
            for line, name in zip(grid, names, strict=True):
                rows = table.filter(pl.col("run") == run, pl.col("representation") == name)
                _over_steps(line[0], rows, name)
                _plane(line[1], rows, "em")
                _plane(line[2], rows, "sgd")
            colours = ScalarMappable(Normalize(0, 1), "viridis")
            bar = cell.colorbar(colours, ax=grid[:, 2].tolist(), ticks=[0, 1], pad=0.02)
            bar.ax.set_yticklabels(["first", "last"])
            bar.set_label("checkpoint", labelpad=-12)
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, frameon=False, handlelength=1.8)
    return figure
