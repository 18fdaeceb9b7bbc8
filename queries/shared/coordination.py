"""What the analyses of coordination share: the comparisons of each run, and how a row tells what came of one."""

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
import polars as pl

from queries import ESTIMATE
from queries.shared.grouped import grouped
from queries.shared.tables import Row
from queries.stats.coordination import CLASSES, CONTRAST, Design, Effort, design, n_documents
from queries.stats.group_evidence import GroupEvidence
from queries.stats.words import counted

KEYS = ("run", "token_class", "group", "measure")
NULL_WORDS = {
    "any": "random groups of any neurons",
    "activation": "random groups matched on mean and variance of activation",
    "influence": "random groups matched on influence",
}
SIZES = {
    "n_positions": "Positions of the class in each draw.",
    "n_neurons": "Neurons m of the group.",
}


def estimate_runs(
    frame: pl.DataFrame,
    rng: np.random.Generator,
    effort: Effort,
    run_rows: Callable[[Design, np.random.Generator, Effort], Iterable[Row]],
    schema: Mapping[str, type[pl.DataType]],
) -> pl.DataFrame:
    """The table of `run_rows(design, rng, effort)`, rows without their run, sorted by `KEYS`."""
    rows: list[Row] = []
    for run, known in grouped(frame):
        plan = design(
            known.activation, known.document, known.is_rare, known.regime, known.is_core, known.influence,
            rng, effort.groups,
        )  # fmt: skip
        rows += [{**row, "run": run} for row in run_rows(plan, rng, effort)]
    return pl.DataFrame(rows, schema=schema).sort(KEYS)


def empty_row(plan: Design, token_class: str, group: str, columns: Iterable[str]) -> Row:
    """The row of a class and group with its sizes, NaN in the other `columns`, and why there is no answer, if so."""
    classes = CLASSES if token_class == CONTRAST else (token_class,)
    return dict.fromkeys((*ESTIMATE, *columns), float("nan")) | {
        "token_class": token_class,
        "group": group,
        "n": n_documents(plan, token_class),
        "n_positions": min(len(plan.samples[name][0]) for name in classes),
        "n_neurons": len(plan.members.get(group, ())),
        "verdict": None,
        "reason": plan.reason(token_class, group),
    }


def interval(row: Row, value: float, reach: float, floor: float) -> Row:
    """The columns of `value` and of its interval, `reach` to either side within `floor` and 1; NaN: there is none."""
    if np.isnan(reach):
        why = f"no interval: only {counted(row['n'], 'document')} can be compared"
        return {"estimate": value, "low": reach, "high": reach, "reason": why}
    return {"estimate": value, "low": max(value - reach, floor), "high": min(value + reach, 1.0)}


def evidence(row: Row, nulls: Collection[str]) -> GroupEvidence:
    """What a verdict on a row rests on, with those `nulls` that it is held against."""
    means, p = ({name: row[column.format(name)] for name in nulls} for column in ("null_{}_mean", "p_{}"))
    return GroupEvidence(row["estimate"], row["low"], row["high"], means, p, row["q"], row["reason"])
