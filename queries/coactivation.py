"""Are plateau neurons coupled with each other, or set against the rest, more than other groups of neurons?

Pearson's r of the activations of two neurons, over the positions of a class, for all pairs within a group (`plateau`,
`power_law`, `decay`) and for all pairs of a plateau neuron and a neuron outside (`plateau_x_rest`): mean, median, and
shares of r above 0, of |r| above 0.5 (`share_strong`) and of r below -0.1 (`share_negative`: anti-correlation).
`share_orthogonal` is the share of pairs whose activation profiles, not centred, are at 80 to 100 degrees.

`null_any`, `null_activation` and `null_influence` are 1,000 random groups of as many neurons each: any; matched on
activation mean and variance; matched on influence. `null_shift` turns each neuron of the group in a circle within each
document: what remains when nothing happens at the same position. `noise` is the value for independent Gaussian noise:
with 100 positions |r| averages 0.08 without any correlation. `p_...` are two-sided; `q` (Benjamini-Hochberg, over
classes and groups of a measure) is of the largest of the first three.

All that is compared has as many positions of each document and as many neurons as the plateau's stable core. Intervals
leave out sets of documents in turn. Two claims get a verdict: plateau neurons are coupled (`mean_abs_r` within the
plateau above every null), and act against the rest (`mean_r` of plateau and rest below 0 and below every null).

Caveats: in a gated MLP the sign of an activation is arbitrary, so coupling is read off |r|. Means of |r| and shares of
large |r| grow as positions get fewer; compare them with `noise` and the nulls, not between runs. Neurons correlate with
any common cause, such as the document, which `null_shift` keeps. Correlation is of activations at the same position: it
says nothing about cause. Neurons that are constant in a class are left out. An activation with a mean far from 0 has
profiles with small angles whatever r is.

Source: Liu et al. (2025), arXiv 2505.12822, section 4, and arXiv 2509.21163 (co-activation and orthogonality).
"""

import numpy as np
import polars as pl

from queries import KEYS as KEY_COLUMNS
from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.coordination import KEYS, NULL_WORDS, SIZES, empty_row, estimate_runs, evidence, interval
from queries.shared.grouped import NEEDS
from queries.shared.tables import Row, correct_within, null_meanings, schema_of
from queries.stats.bootstrap import Array
from queries.stats.coactivation import MEASURES, group_coactivation, member_coactivation, noise_floor, shift_null
from queries.stats.coactivation_verdict import decide_pairs
from queries.stats.coordination import (
    CLASSES,
    CONTRAST,
    FULL,
    GROUPS,
    NULLS,
    Design,
    Effort,
    Found,
    assess,
    jackknife_reach,
    null_columns,
)
from queries.stats.groups import floor_p
from queries.stats.nulls import p_text
from queries.stats.words import counted

BETWEEN = "plateau_x_rest"
# Where a verdict is given: the plateau's neurons are coupled; they act against the rest
CLAIMS = (("plateau", "mean_abs_r"), (BETWEEN, "mean_r"))
P_FLOORS = tuple(floor_p(n_draws, "two") for n_draws in (FULL.groups, FULL.shifts, FULL.other))
OF_NULL = NULL_WORDS | {"shift": "the same neurons, turned within documents"}
CLOSEST = {f"p_{null}": f"null_{null}_mean" for null in OF_NULL}
COLUMNS = {
    **SIZES,
    **null_meanings(OF_NULL, "null_{}", "of them", "Two-sided p against them."),
    "noise": "The value of independent Gaussian neurons at as many positions.",
    "p": "Largest p against the three kinds of random groups.",
    "q": "Benjamini-Hochberg q of `p` over the classes and groups of run and measure.",
    "verdict": "`supported`, `contradicted` or `undecidable`: plateau `mean_abs_r`, plateau_x_rest `mean_r`.",
    "reason": "Why, in words; or why there is no estimate or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=SIZES)


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class (and the contrast), group and measure; `n` counts the documents."""
    return estimate_runs(frame, rng, effort, _run_rows, SCHEMA)


def _run_rows(plan: Design, rng: np.random.Generator, effort: Effort) -> list[Row]:
    """The rows of one run, without its name."""
    found = assess(plan, group_coactivation, member_coactivation, rng)
    n_shifts = {group: effort.shifts if group == "plateau" else effort.other for group in GROUPS}
    shifts = {key: _shift(plan, *key, rng, n_shifts[key[1]]) for key in found if key[0] != CONTRAST}
    rows = []
    for token_class in (*CLASSES, CONTRAST):
        for group in GROUPS:
            for i, (pairs, _) in enumerate(MEASURES):
                if pairs == "within" or group == "plateau":
                    key = (token_class, group)
                    rows.append(_row(plan, *key, i, found.get(key), shifts.get(key)))
    correct_within(rows, "measure")
    for row in rows:
        if (row["group"], row["measure"]) in CLAIMS and row["token_class"] in CLASSES:
            known = evidence(row, OF_NULL)
            row["verdict"], row["reason"] = decide_pairs(known, is_against=row["group"] == BETWEEN)
    return rows


def _shift(plan: Design, token_class: str, group: str, rng: np.random.Generator, n_shifts: int) -> Array:
    """The measures (n_shifts, 13) of the group, turned within documents, averaged over the draws of positions."""
    draws = [
        shift_null(plan.values[rows], plan.document[rows], plan.members[group], n_shifts, rng)
        for rows in plan.samples[token_class]
    ]
    return np.asarray(np.mean(draws, axis=0))


def _row(plan: Design, token_class: str, group: str, i: int, found: Found | None, shift: Array | None) -> Row:
    """The columns of measure `i` of one class and group, without q and verdict."""
    pairs, measure = MEASURES[i]
    row = empty_row(plan, token_class, group, COLUMNS)
    row |= {"group": group if pairs == "within" else BETWEEN, "measure": measure}
    if found is None:
        return row
    value = float(found.value[i])
    if np.isnan(value):
        return row | {"reason": "there is no neuron outside the group"}
    nulls = {name: found.nulls[name] for name in NULLS} | ({} if shift is None else {"shift": shift})
    for name, null in nulls.items():
        row |= null_columns(name, null[:, i], value, null[:, i])
    row["p"] = max(row[f"p_{name}"] for name in NULLS)
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
    signed, negative = rows["plateau", "mean_r"], rows[BETWEEN, "share_negative"]
    return head + (
        f" Mean |r| within the {within['n_neurons']:,} neurons is {_with_interval(within)}, {_nulls(within)}, and "
        f"{within['noise']:.2g} for independent noise; mean r is {_with_interval(signed)}. Mean r with the rest is "
        f"{_with_interval(rest)}, {_nulls(rest)}; {100 * negative['estimate']:.0f} % of those pairs are below -0.1, of "
        f"turned neurons {100 * negative['null_shift_mean']:.0f} % ({counted(within['n'], 'document')}, "
        f"{counted(within['n_positions'], 'position')})."
    )


def _with_interval(row: Row) -> str:
    return f"{row['estimate']:.2g}" + ("" if np.isnan(row["low"]) else f" ({row['low']:.2g} to {row['high']:.2g})")


def _nulls(row: Row) -> str:
    against = (f"{name} {row[f'null_{name}_mean']:.2g} ({p_text(row[f'p_{name}'], *P_FLOORS)})" for name in OF_NULL)
    return f"q = {row['q']:.2g}, nulls: {', '.join(against)}"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """What the verdicts and the noise floor need: the plateau, and the plateau with the rest."""
    columns = [*KEYS, "estimate", "low", "high", *(f"null_{name}_mean" for name in OF_NULL), "noise", "p", "q"]
    wanted = pl.col("group").is_in(["plateau", BETWEEN]) & (pl.col("token_class") != CONTRAST)
    return table.filter(wanted).select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Coordination",
    keys=KEYS,
    unit="correlation; share",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart(
        "group_null",
        tables=("coactivation",),
        options={
            "caption": "Rare and common positions are drawn in equal number from every document.",
            "classes": CLASSES,
            "groups": (*GROUPS, BETWEEN),
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
    key_columns={"group": f"{KEY_COLUMNS['group']} `{BETWEEN}`: pairs of a plateau neuron and one outside."},
    p_floors=P_FLOORS,
)
