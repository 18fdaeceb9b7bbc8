"""Which neurons are in the plateau whatever the documents, and do two halves of the documents name the same ones?

The ranked curve of influences is cut into plateau, power law and decay; the plateau set is the neurons up to the first
breakpoint. `regime` is where a neuron lies in the data as they are. The documents are resampled 2,000 times, and ranks
and breakpoints are found again each time: `estimate` is the share of resamples in which the neuron is in the plateau
set. Its interval is about the probability that as many other documents put the neuron into the set; it is wide, because
one corpus says little about a neuron at the edge. The stable core, `is_core`, is the neurons that are in the plateau
set of the data and in at least 80 % of the resamples.

The documents are also dealt into two halves, 200 times, and each half names its own plateau set: `jaccard` is the mean
share of the neurons in either set that are in both. Its interval leaves out groups of documents in turn; `jaccard_null`
is its mean with the neurons permuted within each document. The set is called stable (`supported`) if the two halves
share at least half of their neurons (lower end of the interval) and more than the permuted neurons do (`q`).

Caveats: `regime` is a description: any light-tailed law gives a concave curve that can be cut in three, and the
analysis of regimes decides whether the plateau is more than the top of one smooth law. A stable set says that the same
neurons lead, not that a plateau exists. A half holds half of the data, so `jaccard` is below what all of it would give;
and with few documents a resample holds only two thirds of them, so shares are drawn away from 0 and 1. Intervals are
cautious: that of `jaccard` covers 99 to 100 % of simulated truths instead of 95. The 80 % is a
convention within the 60 to 90 % of stability selection; its error bound is for subsamples and is not claimed here.

Source: the three regimes of Liu et al. (2025), arXiv 2505.12822, section 3; stability selection of Meinshausen and
Buehlmann (2010), J. R. Statist. Soc. B 72, 417.
"""

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.bootstrap import Array, document_weights
from queries.stats.document_sums import TOKEN_CLASSES, ClassSums, document_sums
from queries.stats.groups import floor_p
from queries.stats.nulls import benjamini_hochberg
from queries.stats.ranking import ordinal_ranks, split_half_reliability
from queries.stats.stability import FULL, Effort, Stability, plateau_stability
from queries.stats.words import counted

KEYS = ("run", "token_class", "neuron")
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
REGIMES = ("plateau", "power_law", "decay")
SHARED_HALF = 0.5
RELIABLE = 0.9
COLUMNS = {
    "influence": "Mean size of the change of the loss over the positions of the class, nats.",
    "rank": "Rank by influence within run and class; 1 = most influential.",
    "regime": "`plateau`, `power_law` or `decay` in the data as they are; null without a segmentation.",
    "is_core": "In the plateau set of the data and in at least 80 % of the resamples of documents.",
    "n_plateau": "Neurons in the plateau set of the data.",
    "jaccard": "Mean Jaccard overlap of the plateau sets of two halves of the documents.",
    "jaccard_low": "Low end of its interval.",
    "jaccard_high": "High end of its interval.",
    "jaccard_null": "Its mean with neurons permuted within each document.",
    "p": "One-sided p of `jaccard` against that null; the same for all neurons of run and class.",
    "q": "Benjamini-Hochberg q of `p` over the classes of the run.",
    "reliability": "Split-half reliability of the ranking (Spearman-Brown).",
    "verdict": "The plateau set is stable: `supported`, `contradicted` or `undecidable`.",
    "reason": "Why there is no segmentation; empty where there is one.",
}
SCHEMA = {
    "run": pl.String, "token_class": pl.String, "neuron": pl.Int64,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    "influence": pl.Float64, "rank": pl.Int64, "regime": pl.String, "is_core": pl.Boolean, "n_plateau": pl.Int64,
    "jaccard": pl.Float64, "jaccard_low": pl.Float64, "jaccard_high": pl.Float64, "jaccard_null": pl.Float64,
    "p": pl.Float64, "q": pl.Float64, "reliability": pl.Float64, "verdict": pl.String, "reason": pl.String,
}  # fmt: skip


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class and neuron; `n` counts the documents that hold the class."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        sums = document_sums(*(group[name].to_numpy() for name in INPUT))
        weights = document_weights(len(sums.documents), effort.replicates, rng)
        found = {
            name: plateau_stability(c.absolute, c.counts, weights, rng, effort) for name, c in sums.classes.items()
        }
        p = np.array([stability.p if stability else np.nan for stability, _ in (found[c] for c in TOKEN_CLASSES)])
        for token_class, q in zip(TOKEN_CLASSES, benjamini_hochberg(p), strict=True):
            of_class = sums.classes[token_class]
            reliability = split_half_reliability(of_class.absolute, of_class.counts, rng)
            part = _class_columns(of_class, *found[token_class], reliability, float(q))
            parts.append(
                part.with_columns(
                    run=pl.lit(run), token_class=pl.lit(token_class), neuron=pl.Series(sums.neurons)
                ).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
            )
    return pl.concat(parts).sort(KEYS)


def _class_columns(sums: ClassSums, found: Stability | None, reason: str, reliability: float, q: float) -> pl.DataFrame:
    """The columns of one class, all but the keys, one row per neuron."""
    influence = sums.mean(sums.absolute)
    table = pl.DataFrame(
        {"influence": influence, "rank": ordinal_ranks(influence[None])[0]},
        schema_overrides={"influence": pl.Float64},
    ).with_columns(
        n=pl.lit(sums.n_documents), reliability=pl.lit(reliability), q=pl.lit(q), reason=pl.lit(reason),
        rank=pl.col("rank") if sums.n_positions else pl.lit(None),
    )  # fmt: skip
    if found is None:
        unknown = ("estimate", "low", "high", "jaccard", "jaccard_low", "jaccard_high", "jaccard_null", "p")
        return table.with_columns(
            *(pl.lit(float("nan")).alias(name) for name in unknown),
            *(pl.lit(None).alias(name) for name in ("regime", "is_core", "n_plateau")),
            verdict=pl.lit("undecidable"),
        )
    return table.with_columns(
        estimate=_series(found.share), low=_series(found.low), high=_series(found.high),
        regime=pl.Series([REGIMES[code] for code in found.regime], dtype=pl.String),
        is_core=pl.Series(found.is_core), n_plateau=pl.lit(found.n_plateau),
        jaccard=pl.lit(found.jaccard), jaccard_low=pl.lit(found.jaccard_low), jaccard_high=pl.lit(found.jaccard_high),
        jaccard_null=pl.lit(found.jaccard_null), p=pl.lit(found.p),
        verdict=pl.lit(_verdict(found, q, reliability)),
    )  # fmt: skip


def _series(values: Array) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64)


def _verdict(found: Stability, q: float, reliability: float) -> str:
    """Whether the set is stable; unstable only where the ranking itself is good enough to have shown a stable one."""
    if found.jaccard_low >= SHARED_HALF and q < 0.05:
        return "supported"
    return "contradicted" if found.jaccard_high < SHARED_HALF and reliability >= RELIABLE else "undecidable"


def answer(table: pl.DataFrame) -> str:
    """One paragraph per run and class: how large the set is, how much of it is stable, and how far halves agree."""
    return "\n".join(_class_answer(key, group) for key, group in by_group(table, ("run", "token_class")))


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    row = group.row(0, named=True)
    head = f"- `{run}`, {token_class} tokens: a stable plateau set is **{row['verdict']}**: "
    if row["reason"]:
        return head + f"{row['reason']}."
    core = group.filter("is_core").sort("rank")
    leaders = ", ".join(str(neuron) for neuron in core["neuron"].head(5))
    are = "is" if core.height == 1 else "are"
    size = counted(row["n_plateau"], "neuron")
    members = f"{core.height:,} of its {size} {are} in it in at least 80 % of the resamples"
    why = {
        "supported": "two halves of the documents share at least half of its neurons",
        "contradicted": "two halves of the documents rank alike but share less than half of its neurons",
        "undecidable": "whether two halves of the documents share half of its neurons is open",
    }[row["verdict"]]
    return head + (
        f"{why}: {100 * row['jaccard']:.0f} % ({100 * row['jaccard_low']:.0f} to {100 * row['jaccard_high']:.0f} %; "
        f"with neurons permuted {100 * row['jaccard_null']:.0f} %, q = {row['q']:.2g}). {members}"
        + (f", first {leaders}" if leaders else "")
        + f" ({counted(row['n'], 'document')}; reliability of the ranking {row['reliability']:.3g})."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The neurons around the end of the plateau, where membership is open: six of every class."""
    near = (pl.col("rank") - pl.col("n_plateau")).abs().rank("ordinal").over("run", "token_class")
    columns = [*KEYS, "estimate", "low", "high", "influence", "rank", "regime", "is_core", "n_plateau"]
    known = table.filter(pl.col("rank").is_not_null())
    closest = known.filter(pl.coalesce(near, pl.col("rank")) <= 6)
    return closest.sort("run", "token_class", "rank").select(columns)


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="share of resamples",
    resampled="documents: resampled, or left out in groups (`jaccard`)",
    columns=COLUMNS,
    chart=Chart("membership", tables=("plateau_stability",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    claims=(
        Claim(
            "Other documents name the same plateau neurons",
            "arXiv 2505.12822",
            "Jaccard overlap of two halves of the documents",
            finding(
                "jaccard_null",
                token_class="rare",
                names={"estimate": "jaccard", "low": "jaccard_low", "high": "jaccard_high"},
                bar=pl.lit(SHARED_HALF),
            ),
        ),
    ),
    p_floors=(floor_p(FULL.null),),
)
