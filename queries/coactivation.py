"""Are plateau neurons coupled with each other, or set against the rest, more than other groups of neurons?

Pearson's r of the activations of two neurons, over the positions of a class, for all pairs within a group (`plateau`,
`power_law`, `decay`), for all pairs of a plateau neuron and a neuron of these (`plateau_x_power_law`,
`plateau_x_decay`), and of a plateau neuron and any neuron outside (`plateau_x_rest`, no median): mean, median, shares
of r above 0, of |r| above 0.5 (`share_strong`) and of r below -0.1 (`share_negative`: anti-correlation).
`share_orthogonal` is the share of pairs whose activation profiles, not centred, are at 80 to 100 degrees.

`null_any`, `null_activation` and `null_influence` are 200 random groups of as many neurons each, and 800 more for the
plateau where these leave the `p` of a verdict below 0.1 (`n_null` says how many): any; from the same strata of
activation mean and variance; from the same strata of influence. The plateau's core leads the ranking and has no equals
there, so the random groups are lower than it is. `null_trend` makes up for that: the statistic of windows of the
ranking, continued along a parabola to the place of the core, is what a smooth dependence on influence gives. Where it
predicts surely more than there is, it does not hold and decides nothing. `null_shift` turns each neuron of the group in
a circle within each document: what remains when nothing happens at the same position. `noise` is the value for
independent Gaussian noise: with 100 positions |r| averages 0.08 without any correlation. `p_...` are one-sided where
there is a verdict, else two-sided; `p` is the largest but for `p_shift`.

All that is compared has as many positions of each document and as many neurons as the plateau's stable core. Intervals
leave out sets of documents in turn. Two claims get a verdict: plateau neurons are coupled (`mean_abs_r` within the
plateau above every null), and act against the rest (`mean_r` of plateau and rest below 0 and below every null).

Caveats: in a gated MLP the sign of a neuron is arbitrary (turning its row of the up-projection and its output weights
changes nothing), so coupling is read off |r|, and whether neurons act against the rest cannot be decided there. Means
of |r| and shares of large |r| grow as positions get fewer; compare them with `noise` and the nulls, not between runs.
Neurons correlate with any common cause, such as the document, which `null_shift` keeps. Correlation is of activations
at the same position: it says nothing about cause. Neurons that are constant in a class are left out. An activation with
a mean far from 0 has profiles with small angles whatever r is. Intervals of shares of pairs are cautious: these cross a
bound one by one. `p` of `share_strong` is too small where coupling only rises with influence: the share bends up at the
top of the ranking.

Source: Liu et al. (2025), arXiv 2505.12822, section 4, and arXiv 2509.21163 (co-activation and orthogonality).
"""

from functools import partial

import numpy as np
import polars as pl

from queries import KEYS as KEY_COLUMNS
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
from queries.stats.bootstrap import Array
from queries.stats.coactivation import (
    MEASURES,
    SIGNED,
    TARGETS,
    group_coactivation,
    left_out_coactivation,
    noise_floor,
    shift_null,
)
from queries.stats.coactivation_verdict import decide_pairs
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
from queries.stats.groups import FIRST_DRAWS, floor_p
from queries.stats.null_columns import null_columns
from queries.stats.verdict import ARBITRARY
from queries.stats.words import counted

BETWEEN = "plateau_x_rest"
# Groups of pairs that only the plateau has
PAIRED = (*(f"plateau_x_{name}" for name in TARGETS), BETWEEN)
# Where a verdict is given, and the side of its p: the plateau's neurons are coupled; they act against the rest
CLAIMS = {("plateau", "mean_abs_r"): "greater", (BETWEEN, "mean_r"): "less"}
P_FLOORS = tuple(
    floor_p(n_draws, side)
    for n_draws in (FULL.groups, FIRST_DRAWS, FULL.other_groups, FULL.shifts, FULL.other_shifts)
    for side in ("greater", "two")
)
OF_NULL = NULL_WORDS | {"shift": "the same neurons, turned within documents"}
CLOSEST = {f"p_{null}": f"null_{null}_mean" for null in OF_NULL}
COLUMNS = {
    **SIZES,
    **null_meanings(
        OF_NULL,
        "null_{}",
        "of them",
        "p against them: one-sided with a verdict (plateau `mean_abs_r` higher, plateau_x_rest `mean_r` lower).",
    ),
    **TREND_MEANINGS,
    "noise": "The value of independent Gaussian neurons at as many positions.",
    "p": "Largest p against the three kinds of random groups and the trend, if there is one.",
    "q": "Benjamini-Hochberg q of `p` over the rows of run and measure with a verdict; of others, over those without.",
    "verdict": "`supported`, `contradicted` or `undecidable`: plateau `mean_abs_r`, plateau_x_rest `mean_r`.",
    "reason": "Why, in words; or why there is no estimate, no interval, or no meaning of the sign.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=SIZES)


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class (and the contrast), group and measure; `n` counts the documents."""
    return estimate_runs(frame, rng, effort, _run_rows, SCHEMA)


def _run_rows(plan: Design, rng: np.random.Generator, effort: Effort) -> list[Row]:
    """The rows of one run, without its name."""
    targets = {name: plan.members[name] for name in TARGETS if name in plan.members}
    judged = [
        (i, side)
        for i, (pairs, measure) in enumerate(MEASURES)
        if (side := CLAIMS.get((_group_of("plateau", pairs), measure)))
    ]
    found = assess(
        plan, partial(group_coactivation, targets=targets), partial(left_out_coactivation, targets=targets), rng,
        partial(leaves_open, plan, judged),
    )  # fmt: skip
    n_shifts = {group: effort.shifts if group == "plateau" else effort.other_shifts for group in GROUPS}
    shifts = {key: _shift(plan, *key, rng, n_shifts[key[1]]) for key in found if key[0] != CONTRAST}
    rows = []
    for token_class in (*CLASSES, CONTRAST):
        for group in GROUPS:
            for i, (pairs, _) in enumerate(MEASURES):
                if pairs == "within" or group == "plateau":
                    key = (token_class, group)
                    rows.append(_row(plan, *key, i, found.get(key), shifts.get(key)))
    correct_judged(rows, _is_judged)
    for row in rows:
        if plan.is_gated and row["measure"] in SIGNED:
            row["reason"] = row["reason"] or ARBITRARY
        if _is_judged(row):
            judge(row, OF_NULL, partial(decide_pairs, is_against=row["group"] == BETWEEN))
    return rows


def _group_of(group: str, pairs: str) -> str:
    return group if pairs == "within" else f"{group}_x_{pairs}"


def _is_judged(row: Row) -> bool:
    return (row["group"], row["measure"]) in CLAIMS and row["token_class"] in CLASSES


def _shift(plan: Design, token_class: str, group: str, rng: np.random.Generator, n_shifts: int) -> Array:
    """The measures (n_shifts, 27) of the group, turned within documents, averaged over the draws of positions."""
    rows, members = plan.rows[token_class], plan.members[group]
    samples = [np.searchsorted(rows, each) for each in plan.samples[token_class]]
    values, targets = plan.values[rows], {name: plan.members[name] for name in TARGETS if name in plan.members}
    if group != "plateau":  # nothing is told of its pairs with others
        values, members, targets = values[:, members], np.arange(len(members)), {}
    return shift_null(values, plan.document[rows], samples, members, targets, n_shifts, rng)


def _row(plan: Design, token_class: str, group: str, i: int, found: Found | None, shift: Array | None) -> Row:
    """The columns of measure `i` of one class and group, without q and verdict."""
    pairs, measure = MEASURES[i]
    row = empty_row(plan, token_class, group, COLUMNS)
    row |= {"group": _group_of(group, pairs), "measure": measure}
    if found is None:
        return row
    value = float(found.value[i])
    if np.isnan(value):
        return row | {"reason": plan.reasons.get(pairs, "there is no neuron outside the group")}
    side = CLAIMS[row["group"], measure] if _is_judged(row) else "two"
    row |= against_nulls(plan, found, i, i, side)
    if shift is not None:
        row |= null_columns("shift", shift[:, i], value, shift[:, i], side)
    if token_class != CONTRAST:
        row["noise"] = noise_floor(row["n_positions"]).get(measure, float("nan"))
    floor = -1.0 if token_class == CONTRAST or not measure.startswith(("share", "mean_abs")) else 0.0
    return row | interval(row, value, float(jackknife_reach(found.left_out)[i]), floor)


def answer(table: pl.DataFrame) -> str:
    """Two claims per run and class: the plateau's neurons are coupled, and act against the rest."""
    wanted = table.filter(pl.col("token_class") != CONTRAST)
    return "\n".join(_class_answer(key, group) for key, group in by_group(wanted, ("run", "token_class")))


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    rows = {(row["group"], row["measure"]): row for row in group.iter_rows(named=True)}
    within, rest = (rows[claim] for claim in CLAIMS)
    head = (
        f"- `{run}`, {token_class} tokens: that plateau neurons are coupled is **{within['verdict']}**: "
        f"{within['reason']}. That they act against the rest is **{rest['verdict']}**: {rest['reason']}."
    )
    if np.isnan(within["estimate"]):
        return head
    sizes = f"({counted(within['n'], 'document')}, {counted(within['n_positions'], 'position')})"
    paired = {name: rows[f"plateau_x_{name}", "mean_abs_r"] for name in TARGETS}
    others = "".join(
        f"; with {name.replace('_', ' ')} neurons {_with_interval(row)}"
        for name, row in paired.items()
        if not np.isnan(row["estimate"])
    )
    coupled = (
        f" Mean |r| within the {within['n_neurons']:,} neurons is {_with_interval(within)}, {_nulls(within)}, and "
        f"{within['noise']:.2g} for independent noise{others}"
    )
    signed, negative = rows["plateau", "mean_r"], rows[BETWEEN, "share_negative"]
    if signed["reason"] == ARBITRARY:
        return head + f"{coupled} {sizes}."
    return head + (
        f"{coupled}; mean r is {_with_interval(signed)}. Mean r with the rest is {_with_interval(rest)}, "
        f"{_nulls(rest)}; {100 * negative['estimate']:.0f} % of those pairs are below -0.1, of turned neurons "
        f"{100 * negative['null_shift_mean']:.0f} % {sizes}."
    )


def _with_interval(row: Row) -> str:
    return f"{row['estimate']:.2g}" + ("" if np.isnan(row["low"]) else f" ({row['low']:.2g} to {row['high']:.2g})")


def _nulls(row: Row) -> str:
    return f"q = {row['q']:.2g}, nulls: {null_text(row, {name: name for name in OF_NULL}, P_FLOORS)}"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """What the verdicts and the noise floor need: the plateau, and the plateau with the rest.

    Reasons of verdicts are in the answer; those of missing estimates and of signs without meaning are here.
    """
    columns = [*KEYS, "estimate", "low", "high", *(f"null_{name}_mean" for name in OF_NULL), "noise", "p", "q"]
    wanted = pl.col("group").is_in(["plateau", BETWEEN]) & (pl.col("token_class") != CONTRAST)
    is_told = pl.col("estimate").is_nan() | (pl.col("reason") == ARBITRARY)
    return table.filter(wanted).select(*columns, pl.when(is_told).then("reason").alias("reason")).head(60)


ANALYSIS = Analysis(
    chapter="Coordination",
    keys=KEYS,
    unit="correlation; share",
    resampled="sets of documents, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "group_null",
        tables=("coactivation",),
        options={
            "caption": "Rare and common positions are drawn in equal number from every document.",
            "classes": CLASSES,
            "groups": (*GROUPS, *PAIRED),
            "measures": {
                "mean_r": "mean r",
                "mean_abs_r": "mean |r|",
                "share_positive": "share of r above 0",
                "share_strong": "share of |r| above 0.5",
                "share_negative": "share of r below -0.1",
                "share_orthogonal": "share at 80 to 100 degrees",
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
            "Plateau neurons are coupled",
            "arXiv 2505.12822",
            "mean |r| within the plateau",
            finding(CLOSEST, token_class="rare", group="plateau", measure="mean_abs_r"),
        ),
        Claim(
            "Plateau neurons act against the rest",
            "arXiv 2509.21163",
            "mean r of plateau and rest",
            finding(CLOSEST, token_class="rare", group=BETWEEN, measure="mean_r"),
        ),
    ),
    key_columns={"group": f"{KEY_COLUMNS['group']} `plateau_x_...`: pairs of a plateau neuron and one of the other."},
    p_floors=P_FLOORS,
)
