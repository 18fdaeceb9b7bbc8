"""Which attention heads matter for the loss on rare targets, and which more than on common ones?

Each head is ablated at sampled positions, one position at a time: its output there is replaced by its mean over all
analysed positions (`mean`), or by what it would be if the head attended to position 0 alone (`bos`). `estimate` is the
mean change of the loss of the next token; above 0 the head helps, below 0 it is in the way. `rare` and `common` are the
classes of positions; `rare_minus_common` is the difference within documents, so that what makes one text harder than
another does not count. `scale` says in what: `nats`, or `relative`, as a share of the mean loss of the class. Rare
targets have a higher loss, which moves more whatever is ablated: a head that adds the same tenth to every loss has a
difference in nats and none relative to the loss. So the relative difference is the headline; nats are beside it.

In nats, intervals resample the documents, and `p` flips the signs of documents, under which a head that changes nothing
on average (or does not tell the classes apart) is as likely to be on either side. Relative ones leave out one document
after the other (jackknife t). `q` is Benjamini and Hochberg's over the heads. `visible` is the power: the effect that
the head would need to be found among as many heads with a chance of 80 %, where its error does not come from fewer
than 5 documents. `mean_abs` is the mean size of the change.

Caveats: one head is ablated at a time: of two that do the same either may look idle. What a head writes at earlier
positions, and others read, is left as it was. The positions are a sample in which half of the targets are rare, in
pairs that read tokens of like frequency; `input_gap` and `position_gap` say what is left of a difference. A loss can be
relative to other things than its mean: a share of it is one way to make classes comparable.

Source: ablation of heads as in Liu et al., arXiv 2509.21163 and 2509.04479, there on position 0 only.
"""

from itertools import product

import numpy as np
import polars as pl

from queries import Analysis, Chart, by_group
from queries.shared.heads import KEY_COLUMNS
from queries.shared.loss_words import SCALES, loss_words
from queries.shared.tables import schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS, N_REPLICATES, Array, document_weights, ratio_intervals
from queries.stats.document_sums import DocumentSums, document_sums
from queries.stats.groups import floor_p
from queries.stats.head_effects import ClassEffects, class_contrast, class_effect, few_decide, visible
from queries.stats.nulls import benjamini_hochberg, sign_flip_p
from queries.stats.paired import paired_differences
from queries.stats.words import counted

KEYS = ("run", "ablation", "scale", "token_class", "layer", "head")
MORE_FLIPS = 99_999  # for heads that hardly any flip reaches: a single one among 4,999 can have q < 0.05
CLASSES = ("rare", "common", "rare_minus_common")
FEW_DECIDE = f"what would be visible cannot be told: fewer than {MIN_DOCUMENTS} documents make up the error"
STRIDE = 1 << 16  # of the layer in a number that names a head
COLUMNS = {
    "mean_abs": "Mean size of the change, nats; null for the difference.",
    "visible": "Effect that would be found with a chance of 80 %, at p < 0.05 over the number of heads.",
    "mean_loss": "Mean loss of the class at the sampled positions, nats; null for the difference.",
    "n_positions": "Sampled positions of the class, of the rarer one for the difference.",
    "p": "Two-sided p of no change (no difference): in nats by flips of the signs of documents, else by jackknife t.",
    "q": "Benjamini-Hochberg q of `p` over the heads of run, ablation, scale and class.",
    "input_gap": "Rare minus common: ln rank of the tokens read there, in standard deviations.",
    "position_gap": "Rare minus common: place in the window, in standard deviations.",
    "reason": "Why there is no interval, or why nobody can tell what would be visible; empty where there are both.",
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
        effects = {name: _effects(sums, name, group) for name in ("rare", "common")}
        gaps = {name: pl.lit(group[name][0]) for name in ("input_gap", "position_gap")}
        for token_class, scale in product(CLASSES, SCALES):
            found = _class_columns(sums, token_class, weights, rng) if scale == "nats" else pl.DataFrame()
            part = _with_power(found, sums, effects, token_class, scale).with_columns(
                run=pl.lit(run),
                ablation=pl.lit(ablation),
                scale=pl.lit(scale),
                token_class=pl.lit(token_class),
                layer=pl.Series(sums.neurons // STRIDE),
                head=pl.Series(sums.neurons % STRIDE),
                **gaps,
            )
            parts.append(part.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()))
    return pl.concat(parts).with_columns(pl.col("input_gap", "position_gap").fill_null(float("nan"))).sort(KEYS)


def _effects(sums: DocumentSums, token_class: str, group: pl.DataFrame) -> ClassEffects:
    """The sums of a class with the losses there, which are the same for every head."""
    of = sums.classes[token_class]
    rows = group.filter(token_class=token_class).unique("document")
    loss = np.zeros(len(of.counts))
    loss[np.searchsorted(sums.documents, rows["document"].to_numpy())] = rows["sum_loss"].cast(pl.Float64).to_numpy()
    return ClassEffects(of.counts, of.signed, loss)


def _with_power(
    found: pl.DataFrame, sums: DocumentSums, effects: dict[str, ClassEffects], token_class: str, scale: str
) -> pl.DataFrame:
    """`found` in nats with the visible effect, or all columns of the relative scale."""
    is_relative, is_contrast = scale == "relative", token_class == CLASSES[2]
    if is_contrast:
        measured = class_contrast(effects["rare"], effects["common"], relative=is_relative)
    else:
        measured = class_effect(effects[token_class], relative=is_relative)
    nothing = np.full(len(sums.neurons), np.nan)
    counts = [each.counts for name, each in effects.items() if is_contrast or name == token_class]
    n = int(np.all([each > 0 for each in counts], axis=0).sum())
    loss = nothing if is_contrast else np.full(len(nothing), effects[token_class].scales(relative=True)[0])
    reason = (
        ""
        if n >= MIN_DOCUMENTS
        else f"only {counted(n, 'document')} with this class; at least {MIN_DOCUMENTS} are needed"
    )
    if is_relative:
        reason = reason or ("" if np.isfinite(measured.estimate).all() else "the loss of some position is not known")
    blind = np.where(np.isnan(measured.error), "no document changes it", np.where(few_decide(measured), FEW_DECIDE, ""))
    known = {
        "visible": nothing if reason else visible(measured), "mean_loss": loss,
        "reason": [reason or each for each in blind.tolist()],
    }  # fmt: skip
    if not is_relative:
        return found.with_columns(**{name: pl.Series(each) for name, each in known.items()})
    p = nothing if reason else measured.p
    return pl.DataFrame(
        {
            "estimate": measured.estimate, "low": nothing if reason else measured.low,
            "high": nothing if reason else measured.high, "mean_abs": nothing, "p": p, "q": benjamini_hochberg(p),
            "n": n, "n_positions": int(min(each.sum() for each in counts)), **known,
        }
    )  # fmt: skip


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
        p = sign_flip_p(signed[present], rng, n_more=MORE_FLIPS)
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
    return "\n".join(loss_words(key, group) for key, group in by_group(table, ("run", "ablation")))


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The four heads with the most evidence for an effect of every class, on either scale.

    That is the smallest p, of equal ones the narrower interval for its estimate: a wide one may hold any effect.
    """
    width = (pl.col("high") - pl.col("low")) / pl.col("estimate").abs()
    ranked = table.with_columns(p_=pl.col("p").fill_nan(2.0), width_=width.fill_nan(float("inf")))
    by = ["run", "ablation", "scale", "token_class", "p_", "width_", "layer", "head"]
    ranked = ranked.sort(by, descending=[False, False, True, True, False, False, False, False])
    first = ranked.group_by("run", "ablation", "scale", "token_class", maintain_order=True).head(4)
    return first.select(*KEYS, "estimate", "low", "high", "visible", "p", "q")


ANALYSIS = Analysis(
    chapter="Attention",
    keys=KEYS,
    unit="nats, or share of the mean loss of the class (`relative`)",
    resampled="documents: resampled (`nats`), or left out in turn (`relative`)",
    columns=COLUMNS,
    chart=Chart(
        "head_map",
        tables=("head_loss",),
        options={
            "where": {"scale": "relative"},
            "unit": "mean change of the loss (share of it)",
            "caption": "Above 0 (red) the head helps.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("head_tokens.delta_loss",),
    key_columns={**KEY_COLUMNS, "scale": "`nats`, or `relative`: as a share of the mean loss of the class."},
    subject="attention heads ablated one by one",
    subject_from="rt extract --heads",
    p_floors=(floor_p(MORE_FLIPS),),
)
