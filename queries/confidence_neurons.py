"""Do plateau neurons act through the final norm, or along the token frequencies, rather than on single tokens?

Entropy neurons change the scale of the final norm: they make the model surer or less sure, whatever the token.
Token-frequency neurons push the prediction towards the unigram distribution or away from it. Every neuron is ablated
once more with one of these paths frozen: with the norm's scale as it was, and with the logits not moving along the
centred log-unigram vector. `estimate` is the share of the neuron's effect that is lost by it,
1 - mean |delta, frozen| / mean |delta|: `norm_share` and `frequency_share`. A share of 1 means: it acts through this
path only; 0: not at all; below 0: the path works against the rest. The interval comes from
the differences between documents, that of `overlap` from resampling them; where no neuron is above one half, or all
resamples agree, it is at least the exact binomial one of so many neurons.

A neuron is said to act `mainly` through a path if the interval of its share lies above one half. `overlap` is the share
of the plateau's neurons (its stable core, of rare tokens) whose share is above one half, `chance` that of all neurons;
`p` is hypergeometric. The verdict is on "plateau neurons act mainly through this path": `supported` if more than half
of them do, by the whole interval, and more than by chance (q < 0.05); `contradicted` if fewer than half do.

What an entropy neuron's weights should look like stands beside it: a long row of W_out (`out_norm`), a small
`logit_variance`, a large `null_space_share`.

Caveats: one half is a convention. The interval of `overlap` is for these very neurons on other documents. The two paths
overlap (the norm also scales the logits along the frequencies), so the shares need not add up. The frequencies are
those of the run's unigram source; a proxy blurs the second share.

Source: Stolfo et al. (2024), arXiv 2406.16254 (entropy neurons and token frequency neurons); Clopper and Pearson
(1934), Biometrika 26, 404 (binomial interval).
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.bootstrap import N_REPLICATES, document_weights
from queries.stats.document_sums import TOKEN_CLASSES
from queries.stats.mediation import MAINLY, Mediation, decide_overlap, mediation
from queries.stats.nulls import benjamini_hochberg
from queries.stats.words import counted

KEYS = ("run", "token_class", "neuron", "measure")
MEASURES = {"norm_share": "sum_abs_frozen_norm", "frequency_share": "sum_abs_frozen_frequency"}
WORDS = {"norm_share": "the final norm (entropy neurons)", "frequency_share": "token frequencies"}
FACTS = ("out_norm", "logit_variance", "null_space_share")
COLUMNS = {
    "mainly": "The whole interval lies above one half.",
    "is_plateau": "One of the plateau's stable core, of rare tokens.",
    "influence": "Mean |delta| over the positions of the class, in nats.",
    "out_norm": "Length of the neuron's row of W_out.",
    "logit_variance": "Variance over tokens of the cosine between that row and the token's row of the unembedding.",
    "null_space_share": "Share of that row's length in the directions that the unembedding shrinks most.",
    "median_share": "Median share of all neurons.",
    "overlap": "Plateau neurons with a share above one half.",
    "overlap_low": "Low end of its 95 % interval.",
    "overlap_high": "High end of its 95 % interval.",
    "chance": "All neurons with a share above one half: what the overlap would be by chance.",
    "n_plateau": "Plateau neurons.",
    "p": "Hypergeometric p of the overlap, one-sided.",
    "q": "Benjamini-Hochberg q over both measures and the three classes.",
    "verdict": "Plateau neurons act mainly through this path: `supported`, `contradicted` or `undecidable`.",
    "reason": "Why, in words.",
}
_TYPES = {"mainly": pl.Boolean, "is_plateau": pl.Boolean, "n_plateau": pl.Int64, "verdict": pl.String}
SCHEMA: dict[str, Any] = {
    "run": pl.String, "token_class": pl.String, "neuron": pl.Int64, "measure": pl.String,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    **{name: _TYPES.get(name, pl.Float64) for name in COLUMNS}, "reason": pl.String,
}  # fmt: skip


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two rows per run, class and neuron; `n` counts the documents that hold the class."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        parts += [part.with_columns(pl.lit(run).alias("run")) for part in _run_parts(group, rng)]
    return pl.concat(part.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()) for part in parts).sort(KEYS)


def _run_parts(group: pl.DataFrame, rng: np.random.Generator) -> list[pl.DataFrame]:
    """The rows of each class and measure, without the name of the run."""
    facts = group.group_by("neuron").agg(pl.col("is_plateau", *FACTS).first()).sort("neuron")
    is_member = facts["is_plateau"].to_numpy()
    documents = group["document"].unique().sort()
    weights = document_weights(len(documents), N_REPLICATES, rng)
    found: dict[tuple[str, str], tuple[Mediation, int, np.ndarray]] = {}
    for token_class in TOKEN_CLASSES:
        of_class = group if token_class == "all" else group.filter(token_class=token_class)
        counts, sums = _dense(of_class, documents, facts["neuron"])
        n_documents, total = int((counts > 0).sum()), sums["sum_abs_delta"]
        influence = total.sum(axis=0) / max(counts.sum(), 1.0)
        for measure, column in MEASURES.items():
            one = mediation(sums[column], total, counts, weights, is_member)
            found[token_class, measure] = one, n_documents, influence
    q = benjamini_hochberg(np.array([one.p for one, _, _ in found.values()]))
    return [_part(facts, key, *each, float(q[i])) for i, (key, each) in enumerate(found.items())]


def _dense(part: pl.DataFrame, documents: pl.Series, neurons: pl.Series) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Positions per document (D,) and each sum (D, N); rare and common rows of a document are added."""
    row = documents.search_sorted(part["document"]).to_numpy()
    column = neurons.search_sorted(part["neuron"]).to_numpy()
    sums = {name: np.zeros((len(documents), len(neurons))) for name in ("sum_abs_delta", *MEASURES.values())}
    for name, values in sums.items():
        np.add.at(values, (row, column), part[name].to_numpy())
    first = part.filter(pl.col("neuron") == neurons[0]) if len(neurons) else part
    counts = np.zeros(len(documents))
    np.add.at(counts, documents.search_sorted(first["document"]).to_numpy(), first["n_positions"].to_numpy())
    return counts, sums


def _part(
    facts: pl.DataFrame, key: tuple[str, str], found: Mediation, n_documents: int, influence: np.ndarray, q: float
) -> pl.DataFrame:
    n_plateau = int(facts["is_plateau"].sum())
    verdict, reason = decide_overlap(found, n_plateau, n_documents, q)
    median = float(np.nanmedian(found.share)) if np.isfinite(found.share).any() else float("nan")
    return facts.with_columns(
        pl.lit(key[0]).alias("token_class"),
        pl.lit(key[1]).alias("measure"),
        pl.Series("estimate", found.share),
        pl.Series("low", found.low),
        pl.Series("high", found.high),
        pl.lit(n_documents).alias("n"),
        pl.Series("mainly", found.low > MAINLY),
        pl.Series("influence", influence),
        pl.lit(median).alias("median_share"),
        pl.lit(found.overlap).alias("overlap"),
        pl.lit(found.overlap_low).alias("overlap_low"),
        pl.lit(found.overlap_high).alias("overlap_high"),
        pl.lit(found.chance).alias("chance"),
        pl.lit(n_plateau).alias("n_plateau"),
        pl.lit(found.p).alias("p"),
        pl.lit(q).alias("q"),
        pl.lit(verdict).alias("verdict"),
        pl.lit(reason).alias("reason"),
    )


def answer(table: pl.DataFrame) -> str:
    """One line per run and measure, on rare tokens."""
    rare = table.filter(pl.col("token_class") == "rare")
    return "\n".join(_measure_answer(key, group) for key, group in by_group(rare, ("run", "measure")))


def _measure_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, measure = key
    first = group.row(0, named=True)
    mainly = group.filter("mainly").sort("influence", descending=True)
    named = ", ".join(
        f"{row['neuron']} ({100 * row['estimate']:.0f} %, {100 * row['low']:.0f} to {100 * row['high']:.0f} %)"
        for row in mainly.head(5).iter_rows(named=True)
    )
    leaders = f", the most influential {named}" if named else ""
    return (
        f"- `{run}`, rare tokens: {mainly.height} of {group.height:,} neurons act mainly through {WORDS[measure]}"
        f"{leaders}; the median share is {100 * first['median_share']:.1f} % "
        f"(of {counted(first['n'], 'document')}, those with such deltas). "
        f"That the {first['n_plateau']} plateau neurons do is **{first['verdict']}**: {first['reason']}."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The ten largest shares on rare tokens among the more influential half of the neurons, for each measure."""
    columns = [*KEYS, "estimate", "low", "high", "influence", "is_plateau", *FACTS]
    rare = table.filter(pl.col("token_class") == "rare", pl.col("estimate").is_finite())
    influential = rare.filter(pl.col("influence") >= pl.col("influence").median().over("run", "measure"))
    top = influential.sort("estimate", descending=True).group_by("run", "measure", maintain_order=True).head(10)
    return top.sort("run", "measure", "estimate", descending=[False, True, True]).select(columns)


def _claim(measure: str) -> Any:
    names = {"estimate": "overlap", "low": "overlap_low", "high": "overlap_high"}
    return finding(null="chance", names=names, bar=pl.lit(MAINLY), token_class="rare", measure=measure)


ANALYSIS = Analysis(
    chapter="Confidence",
    keys=KEYS,
    unit="share of the effect",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart("mediation", tables=("confidence_neurons",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("neuron_tokens.delta_loss", "neuron_tokens.delta_frozen_norm", "neuron_tokens.delta_frozen_frequency"),
    uses=("plateau_stability",),
    claims=(
        Claim(
            "Plateau neurons act through the final norm (entropy neurons)",
            "arXiv 2406.16254",
            "plateau neurons with more than half of their effect through the norm",
            _claim("norm_share"),
        ),
        Claim(
            "Plateau neurons act along the token frequencies",
            "arXiv 2406.16254",
            "plateau neurons with more than half of their effect along the frequencies",
            _claim("frequency_share"),
        ),
    ),
    subject="deltas with frozen paths",
    subject_from="rt extract --frozen-tokens 4000",
)
