"""What the analyses of coordination share: the comparisons of each run, and how a row tells what came of one."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from queries import ESTIMATE
from queries.shared.grouped import grouped
from queries.shared.tables import Row, correct_within
from queries.stats.coordination import (
    CLASSES,
    CONTRAST,
    NULLS,
    TREND,
    Design,
    Effort,
    Found,
    design,
    n_documents,
)
from queries.stats.group_evidence import GroupEvidence
from queries.stats.groups import is_open
from queries.stats.null_columns import null_columns, trend_columns
from queries.stats.nulls import p_text
from queries.stats.trend import MIN_WINDOWS
from queries.stats.words import counted

KEYS = ("run", "token_class", "group", "measure")
NULL_WORDS = {
    "any": "random groups of any neurons",
    "activation": "random groups from the same strata of mean and variance of activation",
    "influence": "random groups from the same strata of influence",
    TREND: "the trend over the ranking",
}
# What the columns of the trend hold, unlike those of random draws
TREND_MEANINGS = {
    f"null_{TREND}_mean": "Trend over windows of the ranking by influence, continued to the plateau; else NaN.",
    f"null_{TREND}_low": "Low end of its 95 % prediction interval.",
    f"null_{TREND}_high": "High end of its 95 % prediction interval.",
    f"p_{TREND}": "p against the trend, on the side of the others; from Student's t, so it has no smallest value.",
}
NO_TREND = f"no trend over the ranking could be made, which takes {MIN_WINDOWS} windows of as many neurons"
SIZES = {
    "n_positions": "Positions of the class in each draw.",
    "n_neurons": "Neurons m of the group.",
    "n_null": "Random groups of each of the first three nulls; 0 without an estimate.",
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
            rng, effort, known.is_gated,
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
        "n_null": 0,
        "verdict": None,
        "reason": plan.reason(token_class, group),
    }


def interval(row: Row, value: float, reach: float, floor: float) -> Row:
    """The columns of `value` and of its interval, `reach` to either side within `floor` and 1; NaN: there is none."""
    if np.isnan(reach):
        why = f"no interval: only {counted(row['n'], 'document')} can be compared"
        return {"estimate": value, "low": reach, "high": reach, "reason": why}
    return {"estimate": value, "low": max(value - reach, floor), "high": min(value + reach, 1.0)}


def against_nulls(plan: Design, found: Found, shown: int, tested: int, side: str) -> Row:
    """The columns of the random groups and of the trend for the statistic `shown`, and `p`, the largest of theirs.

    The p are of the statistic `tested`, the same or a finer form of it, on one `side` or `two`. Without a trend `p` is
    that of the random groups.
    """
    value = float(found.value[tested])
    row: Row = {"n_null": len(found.nulls[NULLS[0]])}
    for name in NULLS:
        row |= null_columns(name, found.nulls[name][:, shown], value, found.nulls[name][:, tested], side)
    row["p"] = max(row[f"p_{name}"] for name in NULLS)
    if TREND in found.nulls:
        windows = found.nulls[TREND]
        row |= trend_columns(TREND, plan.place, plan.at, windows[:, shown], value, windows[:, tested], side)
        row["p"] = float(np.fmax(row["p"], row[f"p_{TREND}"]))
    return row


def leaves_open(plan: Design, judged: Collection[tuple[int, str]], found: Mapping[tuple[str, str], Found]) -> bool:
    """Whether `p` of the plateau calls for more random groups in a class, in one of the `judged` tests and its side."""
    plateau = [found[token_class, "plateau"] for token_class in CLASSES if (token_class, "plateau") in found]
    return is_open(against_nulls(plan, each, test, test, side)["p"] for each in plateau for test, side in judged)


def null_text(row: Row, words: Mapping[str, str], floors: Sequence[float]) -> str:
    """The mean and p of every null of `row` that there is, with its `words`; a Monte-Carlo p at a floor is a bound."""
    return ", ".join(
        f"{said} {row[f'null_{name}_mean']:.2g} ({p_text(row[f'p_{name}'], *(() if name == TREND else floors))})"
        for name, said in words.items()
        if name != TREND or not np.isnan(row[f"p_{name}"])
    )


def correct_judged(rows: Sequence[Row], is_judged: Callable[[Row], bool]) -> None:
    """Give every row `q`: among the judged rows of its measure, or among the others of it, which no claim is about."""
    for wanted in (True, False):
        correct_within([row for row in rows if is_judged(row) == wanted], "measure")


def judge(row: Row, nulls: Collection[str], decide: Callable[[GroupEvidence], tuple[str, str]]) -> None:
    """Give `row` its `verdict` and `reason`, which also tells that there is no trend where there is an estimate."""
    known = evidence(row, nulls)
    row["verdict"], row["reason"] = decide(known)
    if not known.reason and TREND not in known.null_mean:
        row["reason"] += f"; {NO_TREND}"


def evidence(row: Row, nulls: Collection[str]) -> GroupEvidence:
    """What a verdict on a row rests on, with those `nulls` that it is held against; a trend only where there is one."""
    nulls = [name for name in nulls if name != TREND or not np.isnan(row[f"p_{TREND}"])]
    means, p = ({name: row[column.format(name)] for name in nulls} for column in ("null_{}_mean", "p_{}"))
    ends = {name: (row[f"null_{name}_low"], row[f"null_{name}_high"]) for name in nulls if name == TREND}
    return GroupEvidence(row["estimate"], row["low"], row["high"], means, p, row["q"], row["reason"], ends)
