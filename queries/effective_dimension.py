"""Do the plateau neurons span fewer dimensions than other groups of neurons?

The activations of a group of m neurons are z-scored and taken apart into principal components. `d95` is the number of
components that hold 95 % of the variance, `participation` the participation ratio of the eigenvalues, `entropy` the
exponential of their entropy; all are divided by m. Low values mean: the neurons move together, in few directions.

`null_any`, `null_activation` and `null_influence` are 200 random groups of as many neurons each, and 800 more for the
plateau where these leave its `p` below 0.1 (`n_null` says how many): of any neurons; with as many neurons of each
stratum of activation mean and variance; of each stratum of influence. The plateau's core leads the ranking and has no
equals in its strata, so `null_trend` is what a smooth dependence on influence gives: the statistic of windows of the
ranking, continued along a parabola to the place of the core. Where it predicts surely fewer than there are, it does not
hold and decides nothing. A group is special only beyond ALL of them, so `q` (Benjamini-Hochberg) is of the largest p.
`p_...` of the plateau in a class are one-sided (fewer).

All that is compared has equally many neurons and positions, since both bound the number of dimensions: rare and common
positions are drawn in equal number from every document (the larger class four times, and averaged), and power law and
decay are represented by as many neurons as the plateau's stable core has, evenly spread over their ranks. Intervals
leave out sets of documents in turn; resampling would repeat positions, and repeated positions span fewer dimensions.
`supported` means that the plateau spans fewer dimensions than every null; `contradicted`, that it spans as many as one
of them, within an interval that excludes the reported reduction by an eighth (0.49 against 0.56).

Caveats: values depend on the number of positions and cannot be compared between runs with different numbers; with fewer
positions than neurons, d95 is at most (positions - 1) / m. Neurons that are constant in a class are left out. The nulls
ask about neurons, the interval about documents: random groups may hold neurons of the plateau, which makes the test
careful; a dependence on influence that turns sharply at the top of the ranking is not on the parabola of the trend.
Few dimensions come from any common cause, such as the position or a frequent word.

Source: Liu et al. (2025), arXiv 2505.12822, section 4 (d95/m of 0.49 for plateau neurons, 0.56 for random groups).
"""

from functools import partial

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.coordination import (
    KEYS,
    NULL_WORDS,
    SIZES,
    TREND_MEANINGS,
    against_nulls,
    correct_judged,
    empty_row,
    estimate_runs,
    interval,
    judge,
    leaves_open,
    null_text,
)
from queries.shared.grouped import NEEDS
from queries.shared.tables import Row, null_meanings, schema_of
from queries.stats.coordination import (
    CLASSES,
    CONTRAST,
    FULL,
    GROUPS,
    Design,
    Effort,
    Found,
    assess,
    jackknife_reach,
)
from queries.stats.dimension import MEASURES, group_dimensions, left_out_dimensions
from queries.stats.dimension_verdict import decide_dimension
from queries.stats.groups import FIRST_DRAWS, floor_p
from queries.stats.words import counted

P_FLOORS = tuple(
    floor_p(n_draws, side) for n_draws in (FULL.groups, FIRST_DRAWS, FULL.other_groups) for side in ("greater", "two")
)
COLUMNS = {
    **SIZES,
    **null_meanings(
        NULL_WORDS,
        "null_{}",
        "of them",
        "p against them: one-sided for the plateau in a class (fewer), else two-sided.",
    ),
    **TREND_MEANINGS,
    "p": "Largest p against the three kinds of random groups and the trend, if there is one.",
    "q": "Benjamini-Hochberg q of `p` over the plateau's classes, of run and measure; of other rows, over the others.",
    "verdict": "Of `d95` of the plateau: fewer dimensions is `supported`, `contradicted` or `undecidable`.",
    "reason": "Why, in words; or why there is no estimate or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=SIZES)


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class (and the contrast), group and measure; `n` counts the documents."""
    return estimate_runs(frame, rng, effort, _run_rows, SCHEMA)


def _run_rows(plan: Design, rng: np.random.Generator, effort: Effort) -> list[Row]:
    """The rows of one run, without its name; the plan holds the draws that `effort` asks for."""
    judged = [(_tested(i), "less") for i in range(len(MEASURES))]
    found = assess(plan, group_dimensions, left_out_dimensions, rng, partial(leaves_open, plan, judged))
    rows = [
        _row(plan, token_class, group, i, found.get((token_class, group)))
        for token_class in (*CLASSES, CONTRAST)
        for group in GROUPS
        for i in range(len(MEASURES))
    ]
    correct_judged(rows, _is_judged)
    for row in rows:
        if _is_judged(row) and row["measure"] == "d95":
            judge(row, NULL_WORDS, decide_dimension)
    return rows


def _tested(i: int) -> int:
    """Where what measure `i` is tested with is: d95 in its interpolated form, as whole numbers tie and hardly move."""
    return len(MEASURES) if MEASURES[i] == "d95" else i


def _is_judged(row: Row) -> bool:
    return row["group"] == "plateau" and row["token_class"] in CLASSES


def _row(plan: Design, token_class: str, group: str, i: int, found: Found | None) -> Row:
    """The columns of measure `i` of one class and group, without q and verdict."""
    row = empty_row(plan, token_class, group, COLUMNS) | {"measure": MEASURES[i]}
    if found is None:
        return row
    tested = _tested(i)
    reach = float(jackknife_reach(found.left_out)[tested])
    if tested != i:
        # rounding to whole components: half of one, and of both classes in their difference
        rounding = (1.0 if token_class == CONTRAST else 0.5) / row["n_neurons"]
        reach = float(np.hypot(reach, rounding))
    row |= against_nulls(plan, found, i, tested, "less" if _is_judged(row) else "two")
    return row | interval(row, float(found.value[i]), reach, -1.0 if token_class == CONTRAST else 0.0)


def answer(table: pl.DataFrame) -> str:
    """One line per run and class, and one on the contrast."""
    plateau = table.filter(pl.col("group") == "plateau")
    return "\n".join(_class_answer(key, group) for key, group in by_group(plateau, ("run", "token_class")))


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    rows = {row["measure"]: row for row in group.iter_rows(named=True)}
    d95 = rows["d95"]
    against = null_text(d95, NULL_WORDS, P_FLOORS)
    interval = "" if np.isnan(d95["low"]) else f" ({d95['low']:.2g} to {d95['high']:.2g})"
    if token_class == CONTRAST:
        head = f"- `{run}`, rare minus common tokens: "
        if np.isnan(d95["estimate"]):
            return head + f"no answer, {d95['reason']}."
        return head + f"d95/m of the plateau differs by {d95['estimate']:.2g}{interval}; {against}; q = {d95['q']:.2g}."
    head = f"- `{run}`, {token_class} tokens: that plateau neurons span fewer dimensions is **{d95['verdict']}**: "
    head += f"{d95['reason']}."
    if np.isnan(d95["estimate"]):
        return head
    others = " and ".join(
        f"{name} {rows[name]['estimate']:.2g} (q = {rows[name]['q']:.2g})" for name in ("participation", "entropy")
    )
    return head + (
        f" d95/m of the {d95['n_neurons']:,} neurons is {d95['estimate']:.2g}{interval}, q = {d95['q']:.2g}; "
        f"{against}. Per neuron, {others} ({counted(d95['n'], 'document')}, {counted(d95['n_positions'], 'position')})."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Every group with the means of the nulls; of further runs what fits."""
    columns = [*KEYS, "estimate", "low", "high", *(f"null_{name}_mean" for name in NULL_WORDS), "p", "q", "verdict"]
    return table.select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Coordination",
    keys=KEYS,
    unit="dimensions per neuron",
    resampled="sets of documents, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "group_null",
        tables=("effective_dimension",),
        options={
            "caption": "Rare and common positions are drawn in equal number from every document.",
            "classes": CLASSES,
            "measures": {
                "d95": "components of 95 % variance / m",
                "participation": "participation ratio / m",
                "entropy": "entropy rank / m",
            },
        },
    ),
    matrix="activations.activation",
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=NEEDS,
    uses=("plateau_stability",),
    claims=(
        Claim(
            "Plateau neurons span fewer dimensions",
            "arXiv 2505.12822",
            "d95 / m",
            finding(
                {f"p_{null}": f"null_{null}_mean" for null in NULL_WORDS},
                token_class="rare",
                group="plateau",
                measure="d95",
            ),
        ),
    ),
    p_floors=P_FLOORS,
)
