"""Which neurons change the loss of rare tokens more than that of common ones, and more so than the network as a whole?

Every neuron has two rows. `difference` is its influence (mean |change of the loss| when it is set to its mean) on rare
tokens minus that on common ones, in nats. Rare tokens have a higher loss, and most neurons a larger influence on them,
whatever they do. So `relative` asks what is particular: ln(rare / common) of the neuron minus the mean of it over all
neurons. Above 0 the neuron is more selective for rare tokens than the network as a whole, below 0 less.

The test leaves out one document after the other (jackknife) on ln(rare / common); Student's t has as many degrees of
freedom as documents really contribute to the neuron, less one. The interval of `difference` is that of the ratio, in
nats at the observed influence on common tokens, so it excludes 0 exactly where `p` is below 5 %. `q` is Benjamini and
Hochberg's over all neurons; `is_selective` is q < 0.05 with an estimate above 0.

`rank_biserial` is the effect of Wilcoxon's signed ranks of ln(rare / common) over the neurons: 1 means that all have
more influence on rare tokens. Its interval is by documents. `p_wilcoxon` is the textbook p: neurons are not independent
(one hard token moves them all), so it is descriptive and far too small.

Caveats: `difference` mixes what the neuron does with how hard rare tokens are; read `relative` for selectivity. With
few documents the test is cautious: it rejects in 2 % of null cases at 8 documents and in 3 to 5 % at 20 to 60, and what
is not selective here may be so with more text. `contradicted` is said only if a doubling would have been significant by
itself, among all the tests, in at least 80 % of the neurons; no verdict is given on fewer than 10 documents, or 100
positions of either class. `low` and `high` are for a neuron that was chosen beforehand: for one that was found among
all, as the most selective was, `selected_low` and `selected_high` are right.

Source: rare against common influence as in Liu et al., arXiv 2509.21163 and 2509.04479, which test neurons as if they
were independent; Kerby (2014), Comprehensive Psychology 3, for the rank-biserial effect; Benjamini and Yekutieli
(2005), J. Am. Statist. Assoc. 100, 71, for the intervals of selected neurons.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.contrast import (
    Array,
    Studentised,
    contrast_reason,
    left_out,
    rank_biserial_interval,
    relative,
    selected_reach,
    studentise,
    visible_share,
)
from queries.stats.document_sums import DocumentSums, document_sums
from queries.stats.nulls import benjamini_hochberg
from queries.stats.verdict import LEVEL, MIN_DOCUMENTS, MIN_POSITIONS
from queries.stats.words import counted

KEYS = ("run", "contrast", "neuron")
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
# A selectivity that must have been in reach of most neurons before its absence counts: twice the network's.
DOUBLING = float(np.log(2.0))
VISIBLE_SHARE = 0.8
# An interval of ln(rare / common) that goes further than a factor of ten is the tail of a t with a degree of freedom
# or two, not a range of plausible values.
WIDEST = float(np.log(10.0))
COLUMNS = {
    "n_rare": "Positions with a rare token.",
    "n_common": "Positions with a common token.",
    "influence_rare": "Mean size of the change of the loss over rare positions, nats.",
    "influence_common": "The same over common positions, nats.",
    "ratio": "Influence on rare over influence on common tokens.",
    "p": "Two-sided jackknife p: of a ratio of 1 (`difference`), of the network's mean ln ratio (`relative`).",
    "q": "Benjamini-Hochberg q of `p` over the neurons of run and contrast.",
    "selected_low": "Low end of the interval that holds for neurons found among all: NaN where `low` is.",
    "selected_high": "Its high end.",
    "is_selective": "q < 0.05 and an estimate above 0; null without a test.",
    "sign_group": "`boost` where the signed mean over all positions is above zero, else `suppress`.",
    "rank_biserial": "Effect of the signed ranks of ln ratio over all neurons of the run; the same in all its rows.",
    "rank_biserial_low": "Low end of its interval, by documents.",
    "rank_biserial_high": "High end of its interval, by documents.",
    "p_wilcoxon": "Wilcoxon's p over the neurons as if they were independent: descriptive only.",
    "verdict": "Some neurons are more selective for rare tokens than the network; the same in all rows of a run.",
    "reason": "Why there is no test, or no interval; empty where there is one.",
}
SCHEMA = {
    "run": pl.String, "contrast": pl.String, "neuron": pl.Int64,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    "n_rare": pl.Int64, "n_common": pl.Int64,
    "influence_rare": pl.Float64, "influence_common": pl.Float64, "ratio": pl.Float64,
    "p": pl.Float64, "q": pl.Float64, "selected_low": pl.Float64, "selected_high": pl.Float64,
    "is_selective": pl.Boolean, "sign_group": pl.String,
    "rank_biserial": pl.Float64, "rank_biserial_low": pl.Float64, "rank_biserial_high": pl.Float64,
    "p_wilcoxon": pl.Float64, "verdict": pl.String, "reason": pl.String,
}  # fmt: skip


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two rows per run and neuron; `n` counts the documents that hold rare tokens. Nothing is drawn from `rng`."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        sums = document_sums(*(group[name].to_numpy() for name in INPUT))
        for contrast, part in _contrasts(sums).items():
            named = part.with_columns(run=pl.lit(run), contrast=pl.lit(contrast), neuron=pl.Series(sums.neurons))
            parts.append(named.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()))
    return pl.concat(parts).sort(KEYS)


def _contrasts(sums: DocumentSums) -> dict[str, pl.DataFrame]:
    """The columns of both contrasts, one row per neuron, without the keys."""
    rare, common, overall = sums.classes["rare"], sums.classes["common"], sums.classes["all"]
    on_rare, on_common = rare.mean(rare.absolute), common.mean(common.absolute)
    nothing = np.full(len(on_rare), np.nan)
    unknown = Studentised(*([nothing] * 6))
    effect = (float("nan"),) * 4
    reason = contrast_reason(rare.counts, common.counts)
    whole, without = left_out(rare.absolute, rare.counts, common.absolute, common.counts)
    by_ratio = by_network = unknown
    if not reason:
        by_ratio, by_network = studentise(whole, without), studentise(*relative(whole, without))
        effect = (*rank_biserial_interval(whole, without), _wilcoxon(whole))
    n_rare, n_common = (int(each.counts.sum()) for each in (rare, common))
    verdict = "undecidable" if _too_little(rare.n_documents, n_rare, n_common) else _verdict(by_network)
    carried = by_ratio.high - by_ratio.estimate > WIDEST
    in_nats = {**_parts(by_ratio, on_common), "estimate": on_rare - on_common}
    parts = {"difference": in_nats, "relative": _parts(by_network)}
    shared = {
        "n": rare.n_documents, "n_rare": n_rare, "n_common": n_common, "verdict": verdict,
        **dict(zip(("rank_biserial", "rank_biserial_low", "rank_biserial_high", "p_wilcoxon"), effect, strict=True)),
    }  # fmt: skip
    boosts = overall.mean(overall.signed) > 0
    columns = {
        "influence_rare": on_rare,
        "influence_common": on_common,
        "ratio": np.exp(whole),
        "sign_group": np.where(boosts, "boost", "suppress"),
    }
    return {name: _columns(part, columns, shared, carried, reason) for name, part in parts.items()}


def _parts(found: Studentised, on_common: Array | None = None) -> dict[str, Array]:
    """Estimate, intervals and tests (N,); with the influence `on_common` tokens (N,) given, in nats above it."""
    q = benjamini_hochberg(found.p)
    reach = selected_reach(found, int((q < LEVEL).sum()))
    logs = {
        "estimate": found.estimate, "low": found.low, "high": found.high,
        "selected_low": found.estimate - reach, "selected_high": found.estimate + reach,
    }  # fmt: skip
    if on_common is not None:
        with np.errstate(over="ignore"):  # an interval without end is dropped as carried by few documents
            logs = {name: on_common * np.expm1(each) for name, each in logs.items()}
    return {**logs, "p": found.p, "q": q}


def _columns(
    part: dict[str, Array], columns: dict[str, Any], shared: dict[str, Any], carried: NDArray[np.bool_], reason: str
) -> pl.DataFrame:
    """One contrast; a neuron without influence on a class, or that no document moves, has a reason of its own.

    Those whose contrast is `carried` by a document or two (N,) have no interval.
    """
    ends = {name: np.where(carried, np.nan, part[name]) for name in ("low", "high", "selected_low", "selected_high")}
    own = "no influence on one of the classes in some document's absence"
    return pl.DataFrame(
        {**part, **ends, "is_selective": (part["q"] < LEVEL) & (part["estimate"] > 0), **columns}
    ).with_columns(
        *(pl.lit(value).alias(name) for name, value in shared.items()),
        is_selective=pl.when(pl.col("p").is_not_nan()).then("is_selective"),
        reason=pl.when(pl.col("p").is_nan())
        .then(pl.lit(reason or own))
        .when(pl.col("low").is_nan())
        .then(pl.lit("one or two documents carry the contrast: the interval would reach beyond tenfold"))
        .otherwise(pl.lit("")),
    )


def _wilcoxon(values: Array) -> float:
    """Wilcoxon's signed-rank p of the values (N,) that are known, above 0; NaN where there are none."""
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return float("nan")
    # of thousands of neurons that agree it is less than the smallest number there is
    return max(float(stats.wilcoxon(values, method="approx").pvalue), float(np.finfo(float).tiny))


def _verdict(found: Studentised) -> str:
    """Selective neurons exist, or a doubling would have been significant in most neurons by itself."""
    if ((benjamini_hochberg(found.p) < LEVEL) & (found.estimate > 0)).any():
        return "supported"
    return "contradicted" if visible_share(found, DOUBLING) >= VISIBLE_SHARE else "undecidable"


def _too_little(n_documents: int, n_rare: int, n_common: int) -> str:
    """Why no verdict can be given whatever the neurons do; empty where one can."""
    if n_documents < MIN_DOCUMENTS:
        return f"rare tokens are in {counted(n_documents, 'document')}; a verdict needs at least {MIN_DOCUMENTS}"
    for name, positions in (("rare", n_rare), ("common", n_common)):
        if positions < MIN_POSITIONS:
            return f"{counted(positions, f'{name} position')}; a verdict needs at least {MIN_POSITIONS}"
    return ""


def answer(table: pl.DataFrame) -> str:
    """One paragraph per run: how many neurons are selective, which, and the effect over all neurons."""
    return "\n".join(_run_answer(run, group) for (run,), group in by_group(table, ("run",)))


def _run_answer(run: str, group: pl.DataFrame) -> str:
    row = group.row(0, named=True)
    head = f"- `{run}`: neurons more selective for rare tokens than the network as a whole: **{row['verdict']}**: "
    own, plain = (group.filter(pl.col("contrast") == name) for name in ("relative", "difference"))
    tested = own.filter(pl.col("p").is_not_nan())
    if tested.is_empty():
        return head + f"{row['reason']}."
    selective = tested.filter("is_selective").sort("estimate", descending=True)
    less = tested.filter(pl.col("q") < 0.05).height - selective.height
    leaders = ", ".join(map(_leader, selective.head(3).iter_rows(named=True)))
    boost = selective.filter(pl.col("sign_group") == "boost").height
    if poor := _too_little(row["n"], row["n_rare"], row["n_common"]):
        head += f"{poor}. "
    first = f"{selective.height:,} of {tested.height:,} are more selective and {less:,} less, q < 0.05"
    if leaders:
        first += f" ({boost:,} boost and {selective.height - boost:,} suppress; most of all {leaders})"
    more = plain.filter("is_selective").height
    effect = f"rank-biserial {row['rank_biserial']:.3g}"
    if not np.isnan(row["rank_biserial_low"]):  # all neurons on one side: an effect of 1 or -1 has no interval
        effect += f", {row['rank_biserial_low']:.3g} to {row['rank_biserial_high']:.3g}"
    typical = float(np.median(plain["ratio"].drop_nans().to_numpy()))
    return head + (
        f"{first}. {more:,} have more influence on rare than on common tokens in plain nats, the median neuron "
        f"{typical:.3g} times ({effect}). {_reach(tested)} ({counted(row['n'], 'document')})."
    )


def _leader(row: dict[str, Any]) -> str:
    """A selective neuron in words, with its interval if it has one."""
    ends = "" if np.isnan(row["low"]) else f", {np.exp(row['low']):.3g} to {np.exp(row['high']):.3g}"
    return f"{row['neuron']} ({np.exp(row['estimate']):.3g} times{ends})"


def _reach(tested: pl.DataFrame) -> str:
    """How far the typical interval of a tested neuron reaches, and how many have none."""
    known = tested.filter(pl.col("low").is_not_nan())
    if known.is_empty():
        return "No neuron has an interval: one or two documents carry each contrast"
    reach = 0.5 * float(np.median((known["high"] - known["low"]).to_numpy()))
    without = tested.height - known.height
    said = f"The typical interval reaches {np.exp(reach):.3g} times up or down"
    return said + (f"; {without:,} of {counted(tested.height, 'neuron')} without one" if without else "")


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The neurons with the smallest p, ten of each contrast."""
    columns = [*KEYS, "estimate", "low", "high", "influence_rare", "influence_common", "ratio", "p", "q", "sign_group"]
    place = pl.col("p").fill_nan(2.0).rank("ordinal").over("run", "contrast")
    return table.filter(place <= 10).sort("run", "contrast", "p", "neuron").select(columns)


def _most_selective(table: pl.DataFrame) -> pl.DataFrame:
    """`Claim.findings`: the neuron with the smallest p among those that are more selective than the network."""
    above = pl.col("estimate").is_nan() | (pl.col("estimate") > 0)
    own = table.filter(pl.col("contrast") == "relative").sort("run", ~above, "p", "neuron")
    sizes = pl.struct("n", "n_rare", "n_common")
    poor = sizes.map_elements(lambda row: _too_little(*row.values()), return_dtype=pl.String)
    reason = pl.when(poor != "").then(poor).otherwise("reason")
    names = {"low": "selected_low", "high": "selected_high"}
    return finding("network", names=names)(own.with_columns(network=pl.lit(0.0), reason=reason))


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="nats (`difference`), ln ratio (`relative`)",
    resampled="documents, left out in turn",
    columns=COLUMNS,
    chart=Chart("class_scatter", tables=("rare_contrast",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    claims=(
        Claim(
            "Some neurons are selective for rare tokens",
            "arXiv 2509.21163",
            "ln(rare / common) over the network's, of the neuron with the smallest p of those above it; the interval "
            "allows for the search",
            _most_selective,
        ),
    ),
    key_columns={
        "contrast": "`difference`: influence on rare minus common tokens; `relative`: ln(rare / common) over the "
        "network's mean.",
    },
)
