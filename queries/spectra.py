"""Do the weights of rare-token neurons have heavier-tailed spectra than random groups of neurons?

For each side of the MLP (`in`, `gate` where there is one, `out`) the rows of a group of m neurons are standardised over
the d columns, and C = Z Z^T / d is their correlation matrix. `hill_alpha` is the tail index of its eigenvalues from the
largest tenth (the share above x falls as x^-alpha; a lower alpha is a heavier tail), with a scan at 5, 20 and 30 %.
`hill_alpha_rest` is the same of the rows without the direction that they share most, standardised again;
`csn_alpha` the density exponent above the threshold that the Kolmogorov-Smirnov distance chooses; `edge_share` the
share of eigenvalues above what independent rows would give at this m and d; `stable_rank` and `spectral_entropy` say
how evenly the eigenvalues share their sum. All of them depend on m, so every group is measured at the size of the
plateau's stable core (at most 100): the power-law and decay groups, and a larger plateau, as the mean over ten random
subgroups.

The plateau is compared with 249 random groups each of any neurons, of neurons matched on influence, and matched on the
length of their rows (they may hold plateau neurons, which makes the test careful); `p` is the largest of the three.
`permuted_mean` is the group with the values of every row permuted: no correlations at all. The claim, a lower
`hill_alpha` than random groups, is `supported` if q < 0.05, the interval lies below the mean of the closest null, and
`hill_alpha_rest` is lower too (p < 0.05), and `contradicted` if not and a quarter less would have been seen.

Intervals come from random halves of the d columns, their own bias taken out: they say what other columns would give.
Those of the tail indices are in proportion and wider, as few eigenvalues make them. `csn_alpha` and `edge_share` have
none: they jump between halves.

Caveats: with m = 50 the largest tenth is 5 eigenvalues, and the tail index itself has an error of 45 %. The columns of
a weight matrix are not a sample of anything, so an interval over columns is a measure of how few of them decide. A
power law of fewer than 50 eigenvalues (`n_tail`) is no claim. Groups of a few dozen rows say nothing about how well a
layer is trained, for which such exponents of whole layers are read. One direction that all rows share is one large
eigenvalue, lowers every alpha, and shows as a low `stable_rank`: that is alignment, not a power law, and no support.
Rows that share it unequally would still differ in what is left of them, which is why they are standardised again. The
plateau is that of the rare tokens. Intervals of the alphas are cautious; those of `stable_rank` are too short where few
columns (64) have one or two large eigenvalues: they cover 87 % there.

Source: Liu et al. (2025), arXiv 2505.12822, section 5; Martin and Mahoney (2021), JMLR 22, 165 (spectra of weights);
Hill (1975), Annals of Statistics 3, 1163.
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.tables import correct_within, schema_of
from queries.stats.groups import floor_p
from queries.stats.spectra import standardise
from queries.stats.spectra_groups import CLAIM, FULL, GROUPS, Effort, Side, side_rows
from queries.stats.spectra_verdict import decide_tail

KEYS = ("run", "side", "group", "measure")
COLUMNS = {
    "n_neurons": "Neurons of the group.",
    "m": "Rows of the groups that are compared.",
    "edge": "Upper Marchenko-Pastur edge at this m and d.",
    "n_tail": "For `csn_alpha`: eigenvalues above the threshold; below 50 the exponent is no claim.",
    "column_bias": "Mean over halves of the columns minus the estimate; not in the interval.",
    "null_mean": "Mean over random groups of any neurons.",
    "null_low": "Low end of 95 % of them.",
    "null_high": "High end of 95 % of them.",
    "influence_mean": "Mean over random groups matched on influence; plateau only, as the next and all p.",
    "norm_mean": "Mean over random groups matched on the length of the rows.",
    "permuted_mean": "Mean with the values of every row permuted.",
    "p_any": "p against groups of any neurons: lower for the alphas, else two-sided.",
    "p_influence": "p against groups matched on influence.",
    "p_norm": "p against groups matched on length.",
    "p": "Largest of them; matched groups are left out where the plateau fills its strata.",
    "critical": "Value below which all of them are below 0.05.",
    "q": "Benjamini-Hochberg q of `p` over the sides of the run, per measure.",
    "verdict": "Heavier tails than random groups: `supported`, `contradicted` or `undecidable`; plateau only.",
    "reason": "Why, in words, or why there is no number or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_neurons", "m", "n_tail"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, side, group and measure; `n` counts the columns."""
    rows: list[dict[str, Any]] = []
    for (run,), of_run in by_group(frame, ("run",)):
        found: list[dict[str, Any]] = []
        for (side,), part in by_group(of_run, ("side",)):
            found += [{"run": run, "side": side, **row} for row in side_rows(_read(part), rng, effort)]
        _add_q(found)
        rows += found
    floats = [name for name, kind in SCHEMA.items() if kind == pl.Float64]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(floats).fill_null(float("nan"))).sort(KEYS)


def _read(part: pl.DataFrame) -> Side:
    """The neurons of one side whose weights are finite and differ."""
    raw = part["weight"].list.to_array(part["weight"].list.len()[0]).to_numpy().astype(np.float64)  # (N, d)
    rows = standardise(raw)
    kept = np.isfinite(rows).all(axis=1)
    regime = part["regime"].to_numpy()[kept]
    core = part["is_core"].fill_null(False).to_numpy()[kept]
    members = {group: np.flatnonzero((regime == group) & (core | (group != "plateau"))) for group in GROUPS}
    influence = part["influence"].fill_null(float("nan")).to_numpy()[kept]
    return Side(rows[kept], np.linalg.norm(raw[kept], axis=1), np.nan_to_num(influence), members)


def _add_q(rows: list[dict[str, Any]]) -> None:
    """Put `q` in the rows of one run that have a `p`, and the verdict in those of the claim."""
    known = [row for row in rows if "p" in row]
    correct_within(known, "measure")
    p_rest = {row["side"]: float(row["p"]) for row in known if row["measure"] == "hill_alpha_rest"}
    for row in known:
        if row["measure"] == CLAIM and not row["reason"]:
            row["verdict"], row["reason"] = decide_tail(row, p_rest[row["side"]])


def answer(table: pl.DataFrame) -> str:
    """One line per run and side."""
    claim = table.filter(pl.col("measure") == CLAIM)
    return "\n".join(_side_answer(key, group) for key, group in by_group(claim, ("run", "side")))


def _side_answer(key: tuple[Any, ...], part: pl.DataFrame) -> str:
    run, side = key
    rows = {row["group"]: row for row in part.iter_rows(named=True)}
    plateau = rows["plateau"]
    head = f"- `{run}`, side `{side}`: heavier tails of rare-token neurons are **{plateau['verdict']}**: "
    head += f"{plateau['reason']}."
    if np.isnan(plateau["estimate"]):
        return head
    read = ", ".join(
        f"{name.replace('_', ' ')} {row['estimate']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
        for name, row in sorted(rows.items(), key=lambda pair: ("plateau", "power_law", "decay").index(pair[0]))
        if not np.isnan(row["estimate"])
    )
    size = f"{plateau['m']:,} of {plateau['n_neurons']:,} plateau neurons, {plateau['n']:,} columns"
    return f"{head} Alpha: {read} ({size})."


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The tail index, with and without the leading direction, and the density exponent."""
    nulls = ("null_mean", "null_low", "null_high", "permuted_mean")
    columns = [*KEYS, "estimate", "low", "high", "m", *nulls, "q", "verdict"]
    return table.filter(pl.col("measure").is_in([CLAIM, "hill_alpha_rest", "csn_alpha"])).select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Weights",
    keys=KEYS,
    unit="exponents, shares and ranks",
    resampled="columns of the weights",
    counts="columns of the weights",
    columns=COLUMNS,
    chart=Chart("group_spectra", tables=("spectra",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("weights.weight", "neuron_tokens.delta_loss"),
    uses=("plateau_stability",),
    claims=tuple(
        Claim(
            f"Rare-token neurons have heavier-tailed weights (side {side})",
            "arXiv 2505.12822",
            "tail index alpha (lower = heavier)",
            finding(
                {"p_any": "null_mean", "p_influence": "influence_mean", "p_norm": "norm_mean"},
                side=side, group="plateau", measure=CLAIM,
            ),
        )
        for side in ("in", "gate", "out")
    ),
    key_columns={"side": "Which weights of the neuron: `in` (W_in, or `up` where gated), `gate` or `out` (W_out)."},
    p_floors=(floor_p(FULL.groups), floor_p(FULL.groups, "two")),
)  # fmt: skip
