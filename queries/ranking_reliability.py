"""Would other documents rank the neurons in the same order?

The documents are dealt into two halves, 200 times; each half ranks the neurons by influence, and the two rankings are
compared: by Spearman's correlation, and by the share of its top 10, 30 and 100 that the halves have in common. `half`
is the mean over the splits. A half holds half the data, so for `spearman` the estimate is stepped up to all of it by
Spearman and Brown, 2 r / (1 + r): 1 means that the ranking is free of noise, 0 that it is nothing but noise. Overlaps
are not stepped up.

The interval leaves out groups of documents in turn and splits the rest in the same way (delete-a-group jackknife, on
Fisher's z and on the arcsine of the overlap): no document is ever in both halves. The null permutes the neurons within
each document, which keeps every document's sizes and destroys what is consistent between documents; `p` is one-sided.

Caveats: reliability is about this corpus and this number of documents; a reliable ranking can still be of something
uninteresting. Intervals are cautious where the reliability is low, and with 8 documents the step to the whole
overstates a reliability near 1 by about 0.002, half the width of its interval. The overlap of two top tens falls far
below the correlation when the leaders are close to each other.

Source: ranking by influence as in Liu et al. (2025), arXiv 2505.12822, section 3, which reports no reliability;
Spearman (1910) and Brown (1910).
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.document_sums import TOKEN_CLASSES, document_sums
from queries.stats.groups import floor_p
from queries.stats.nulls import p_text
from queries.stats.ranking import N_NULL, ranking_reliability
from queries.stats.words import counted

KEYS = ("run", "token_class", "measure")
RELIABLE = 0.5
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
P_FLOORS = (floor_p(N_NULL),)
COLUMNS = {
    "half": "Mean over the splits, of half the documents against the other half.",
    "null_mean": "Mean of the estimate with neurons permuted within each document.",
    "p": "One-sided p of `half` against that null.",
    "n_positions": "Positions of the class.",
    "reason": "Why there is no answer; empty where there is one.",
}
SCHEMA = {
    "run": pl.String, "token_class": pl.String, "measure": pl.String,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    "half": pl.Float64, "null_mean": pl.Float64, "p": pl.Float64, "n_positions": pl.Int64, "reason": pl.String,
}  # fmt: skip


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One row per run, class and measure; `n` counts the documents that hold the class."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        sums = document_sums(*(group[name].to_numpy() for name in INPUT))
        for token_class in TOKEN_CLASSES:
            of_class = sums.classes[token_class]
            measures, reason = ranking_reliability(of_class.absolute, of_class.counts, rng)
            shared = {"n": of_class.n_documents, "n_positions": of_class.n_positions, "reason": reason}
            rows += [{"run": run, "token_class": token_class, **asdict(one), **shared} for one in measures]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def answer(table: pl.DataFrame) -> str:
    """One line per run and class."""
    return "\n".join(_class_answer(key, group) for key, group in by_group(table, ("run", "token_class")))


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    head = f"- `{run}`, {token_class} tokens: "
    rows = {row["measure"]: row for row in group.iter_rows(named=True)}
    whole = rows.pop("spearman")
    if whole["reason"]:
        return head + f"no answer, {whole['reason']}."
    if np.isnan(whole["estimate"]):
        return head + "no answer, the influences of a half do not differ."
    word = (
        "reliable"
        if whole["low"] >= RELIABLE
        else "unreliable"
        if whole["high"] < RELIABLE
        else "of doubtful reliability"
    )
    overlaps = "; ".join(
        f"two halves share {100 * row['estimate']:.0f} % of their {name.replace('_', ' ')} "
        f"({100 * row['low']:.0f} to {100 * row['high']:.0f} %; by chance {100 * row['null_mean']:.0f} %)"
        for name, row in sorted(rows.items(), key=lambda item: int(item[0].removeprefix("top_")))
    )
    return head + (
        f"the ranking is {word}: reliability {whole['estimate']:.3g} ({whole['low']:.3g} to {whole['high']:.3g}) "
        f"over {counted(whole['n'], 'document')}, {p_text(whole['p'], *P_FLOORS)} against permuted neurons"
        + (f"; {overlaps}." if overlaps else ".")
    )


def _reliable(table: pl.DataFrame) -> pl.DataFrame:
    """`Claim.findings`: reliable from 0.5 on, with the whole interval."""
    known = pl.when(pl.col("low") >= RELIABLE).then(pl.lit("supported"))
    verdict = known.when(pl.col("high") < RELIABLE).then(pl.lit("contradicted")).otherwise(pl.lit("undecidable"))
    # NaN counts as larger than every number
    told = pl.when(pl.col("low").is_finite()).then(verdict).otherwise(pl.lit("undecidable"))
    judged = table.with_columns(verdict=told)
    return finding("null_mean", q="p", bar=pl.lit(RELIABLE), token_class="rare", measure="spearman")(judged)


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="correlation or share",
    resampled="groups of documents, left out in turn",
    columns=COLUMNS,
    chart=Chart("reliability", tables=("ranking_reliability",)),
    estimate=estimate,
    answer=answer,
    claims=(
        Claim(
            "The ranking of the neurons is reliable",
            "reported by none",
            "split-half reliability (Spearman-Brown)",
            _reliable,
        ),
    ),
    key_columns={"measure": "`spearman` of the two rankings, or `top_k`: the share of the k leaders in common."},
    p_floors=P_FLOORS,
)
