"""Which attention heads matter for the loss on rare targets, and which more than on common ones?

Each head is ablated at sampled positions, one position at a time: its output there is replaced by its mean over all
analysed positions (`mean`), or by what it would be if the head attended to position 0 alone (`bos`). `estimate` is the
mean change of the loss of the next token in nats; above 0 the head helps, below 0 it is in the way. `rare` and `common`
are the classes of positions; `rare_minus_common` is the difference within documents, so that what makes one text harder
than another does not count. Intervals resample the documents; `p` flips the signs of documents, under which a head that
changes nothing on average (or does not tell the classes apart) is as likely to be on either side; `q` is Benjamini and
Hochberg's over the heads. `mean_abs` is the mean size of the change, whatever its sign.

Caveats: the loss of rare targets is higher and moves more whatever is ablated, so a head with a larger effect on them
need not be a head for rare tokens: compare heads with each other. One head is ablated at a time: of two that do the
same either may look idle. What a head writes at earlier positions, and others read, is left as it was. The positions
are a sample in which half of the targets are rare.

Source: ablation of heads as in Liu et al., arXiv 2509.21163 and 2509.04479, there on position 0 only.
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, by_group
from queries.shared.heads import KEY_COLUMNS, name_of, out_of_reach
from queries.shared.tables import schema_of
from queries.stats.bootstrap import N_REPLICATES, Array, document_weights, ratio_intervals
from queries.stats.document_sums import DocumentSums, document_sums
from queries.stats.nulls import N_FLIPS, benjamini_hochberg, sign_flip_p
from queries.stats.paired import paired_differences
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

KEYS = ("run", "ablation", "token_class", "layer", "head")
CLASSES = ("rare", "common", "rare_minus_common")
STRIDE = 1 << 16  # of the layer in a number that names a head
COLUMNS = {
    "mean_abs": "Mean size of the change; null for the difference.",
    "n_positions": "Sampled positions of the class, of the rarer one for the difference.",
    "p": "Two-sided p of no change (no difference), by flips of the signs of documents.",
    "q": "Benjamini-Hochberg q of `p` over the heads of run, ablation and class.",
    "reason": "Why there is no interval; empty where there is one.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "head", "n_positions"))


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One row per run, ablation, class and head; `n` counts the documents that hold the class."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run, ablation), group in by_group(frame, ("run", "ablation")):
        head = (group["layer"] * STRIDE + group["head"]).to_numpy()
        columns = [group[name].to_numpy() for name in ("n_positions", "sum_delta", "sum_abs_delta")]
        sums = document_sums(group["token_class"].to_numpy(), group["document"].to_numpy(), head, *columns)
        weights = document_weights(len(sums.documents), N_REPLICATES, rng)
        for token_class in CLASSES:
            part = _class_columns(sums, token_class, weights, rng).with_columns(
                run=pl.lit(run),
                ablation=pl.lit(ablation),
                token_class=pl.lit(token_class),
                layer=pl.Series(sums.neurons // STRIDE),
                head=pl.Series(sums.neurons % STRIDE),
            )
            parts.append(part.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()))
    return pl.concat(parts).sort(KEYS)


def _class_columns(sums: DocumentSums, token_class: str, weights: Array, rng: np.random.Generator) -> pl.DataFrame:
    """All columns but the keys, one row per head."""
    rare, common = sums.classes["rare"], sums.classes["common"]
    if token_class == "rare_minus_common":
        signed, counts = paired_differences(rare.signed, rare.counts, common.signed, common.counts)
        size, n_positions = None, min(rare.counts.sum(), common.counts.sum())
    else:
        one = sums.classes[token_class]
        signed, counts, n_positions = one.signed, one.counts, one.counts.sum()
        size = one.mean(one.absolute)
    found = ratio_intervals(signed, counts, weights)
    present = counts > 0
    p = np.full(signed.shape[1], np.nan)
    if not found.reason:
        p = sign_flip_p(signed[present], rng)
    total = counts.sum()
    return pl.DataFrame(
        {
            "estimate": signed.sum(axis=0) / (total if total > 0 else np.nan),
            "low": found.low,
            "high": found.high,
            "mean_abs": np.full(len(p), np.nan) if size is None else size,
            "p": p,
            "q": benjamini_hochberg(p),
            "n": int(present.sum()),
            "n_positions": int(n_positions),
            "reason": found.reason,
        }
    )


def answer(table: pl.DataFrame) -> str:
    """One paragraph per run and ablation: the heads that matter on rare targets, and those that do more so."""
    return "\n".join(_answer(key, group) for key, group in by_group(table, ("run", "ablation")))


def _answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, ablation = key
    on_rare, contrast = (group.filter(token_class=name) for name in ("rare", "rare_minus_common"))
    row = contrast.row(0, named=True)
    head = f"- `{run}`, `{ablation}` ablation of {counted(contrast.height, 'head')}: "
    if row["reason"]:
        return head + f"{row['reason']}."
    said = [
        f"{_significant(on_rare, 'help')} on rare targets",
        f"{_significant(contrast, 'do so more on rare than on common ones')}",
    ]
    few = out_of_reach(row["n"], contrast.height)
    size = f"{counted(row['n'], 'document')}, {counted(row['n_positions'], 'position')} a class"
    return head + f"{'; '.join(said)} (q < {LEVEL}; {size}){f'; {few}' if few else ''}."


def _significant(rows: pl.DataFrame, what: str) -> str:
    """How many heads are above 0, the three largest by name, and how many are below."""
    known = rows.filter(pl.col("q") < LEVEL)
    above = known.filter(pl.col("estimate") > 0).sort("estimate", descending=True)
    first = ", ".join(_named(row) for row in above.head(3).iter_rows(named=True))
    below = known.height - above.height
    return f"{above.height:,} {what}{f' (most {first})' if first else ''} and {below:,} the reverse"


def _named(row: dict[str, Any]) -> str:
    return f"{name_of(row['layer'], row['head'])}: {row['estimate']:.2g} nats, {row['low']:.2g} to {row['high']:.2g}"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The six heads with the largest effect of every class."""
    place = pl.col("estimate").abs().fill_nan(-1.0).rank("ordinal", descending=True)
    first = table.filter(place.over("run", "ablation", "token_class") <= 6)
    columns = [*KEYS, "estimate", "low", "high", "mean_abs", "p", "q"]
    size = pl.col("estimate").abs()
    return first.sort("run", "ablation", "token_class", size, descending=[False, False, True, True]).select(columns)


ANALYSIS = Analysis(
    chapter="Attention",
    keys=KEYS,
    unit="nats",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart(
        "head_map",
        tables=("head_loss",),
        options={"unit": "mean change of the loss (nats)", "caption": "Above 0 (red) the head helps."},
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("head_tokens.delta_loss",),
    key_columns=KEY_COLUMNS,
    p_floors=(1.0 / (N_FLIPS + 1),),
)
