"""Do the same neurons matter in another corpus?

For every two runs of the same model on different corpora, the influences (mean size of the change of the loss under
ablation) of all neurons are compared. `spearman` is the correlation of the two rankings of the neurons. `log_ratio` is
the natural logarithm of the mean influence of all neurons in the other corpus over that in this one: 0 means equal,
0.69 twice as much.

The documents of the two corpora have nothing to do with each other, so each is resampled apart from the other: BCa for
`log_ratio`, leaving documents out in turn on Fisher's z for `spearman`. So few documents would not rank the neurons
alike even in one and the same corpus. The null therefore pools the documents of both and deals them anew, 999 times,
into two sets of the same sizes: `null_documents_mean` is what two corpora that do not differ would give. `p` is
one-sided for `spearman` (agreement lower than that) and two-sided for `log_ratio`.

Caveats: a document that is in both corpora counts as two. Classes rest on each run's own source of frequencies: where
the sources differ, so do the tokens that are called rare. Genres differ in everything at once, so a difference says
nothing about why. The correlation itself falls with the noise in both rankings; what to hold it against is the null.
Its interval is cautious, 1.4 to 1.9 times as wide as it need be where neurons are nearly tied.

Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 8, 14 and 15. Ranking by influence as in
Liu et al. (2025), arXiv 2505.12822, section 3, which compares no corpora.
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, by_group
from queries.shared.tables import schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS, N_REPLICATES
from queries.stats.document_sums import TOKEN_CLASSES, ClassSums, document_sums
from queries.stats.groups import floor_p, monte_carlo_p
from queries.stats.nulls import p_text
from queries.stats.two_sample import Array, Sample, dealt_anew, log_ratio_intervals, rank_correlation, spearman
from queries.stats.words import counted

N_DEALS = 999
P_FLOORS = (floor_p(N_DEALS), floor_p(N_DEALS, "two"))
KEYS = ("run", "other_run", "token_class", "measure")
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
COLUMNS = {
    "null_documents_mean": "Mean over deals of the pooled documents: what corpora that do not differ would give.",
    "null_documents_low": "Low end of the middle 95 % of the deals.",
    "null_documents_high": "High end of the middle 95 % of the deals.",
    "p": "Of the estimate against the deals: one-sided for `spearman` (lower), two-sided for `log_ratio`.",
    "n_other": "Documents of the other corpus that hold the class; `n` counts those of this one.",
    "reason": "Why there is no answer; empty where there is one.",
}
# each with the side on which corpora that differ lie
MEASURES = {"log_ratio": "two", "spearman": "less"}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_other"])
AGAINST = ("null_documents_mean", "null_documents_low", "null_documents_high", "p")
MIN_NEURONS = 3


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two rows per run, other run and class; `n` counts the documents of the run that hold the class."""
    rows: list[dict[str, Any]] = []
    for (run, other), group in by_group(frame, ("run", "other_run")):
        one, two = (
            document_sums(*(part[name].to_numpy() for name in INPUT)).classes
            for part in (group.filter(~pl.col("is_other")), group.filter("is_other"))
        )
        for token_class in TOKEN_CLASSES:
            shared = {"run": run, "other_run": other, "token_class": token_class}
            rows += [{**shared, **row} for row in _compare(one[token_class], two[token_class], rng)]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _compare(one: ClassSums, other: ClassSums, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Both measures of one class."""
    size = {"n": one.n_documents, "n_other": other.n_documents}
    first, second = Sample(one.absolute, one.counts).present, Sample(other.absolute, other.counts).present
    if reason := _reason(first, second):
        nothing = dict.fromkeys(("estimate", "low", "high", *AGAINST), float("nan"))
        return [{"measure": name, **nothing, **size, "reason": reason} for name in MEASURES]
    all_neurons = [Sample(each.sums.sum(axis=1, keepdims=True), each.counts) for each in (first, second)]
    ratio = float(np.log(all_neurons[1].means / all_neurons[0].means)[0])
    ends = log_ratio_intervals(all_neurons[0], all_neurons[1], N_REPLICATES, rng)
    found = ((ratio, float(ends.low[0]), float(ends.high[0])), rank_correlation(first, second))
    null = dealt_anew(first, second, _statistics, N_DEALS, rng)  # (N_DEALS, 2)
    rows = []
    for k, (name, side) in enumerate(MEASURES.items()):
        value, low, high = found[k]
        middle = (float(end) for end in np.percentile(null[:, k], [2.5, 97.5]))
        against = (float(null[:, k].mean()), *middle, monte_carlo_p(value, null[:, k], side))
        rows.append(
            {
                "measure": name, "estimate": value, "low": low, "high": high,
                **dict(zip(AGAINST, against, strict=True)), **size,
                "reason": "" if np.isfinite(low) else "no document changes the order of the neurons",
            }
        )  # fmt: skip
    return rows


def _reason(one: Sample, other: Sample) -> str:
    """Why two samples cannot be compared; empty where they can."""
    for which, sample in (("this", one), ("the other", other)):
        n_documents, n_still = len(sample.counts), int((sample.sums.sum(axis=1) == 0).sum())
        if n_documents < MIN_DOCUMENTS:
            there = counted(n_documents, "document")
            return f"{there} of {which} corpus with this class; at least {MIN_DOCUMENTS} are needed"
        if n_still:
            return f"no neuron moves the loss in {counted(n_still, 'document')} of {which} corpus"
    if one.sums.shape[1] < MIN_NEURONS:
        return f"{counted(one.sums.shape[1], 'neuron')}; at least {MIN_NEURONS} are needed"
    return ""


def _statistics(one: Array, other: Array) -> Array:
    """Both measures (b, 2) from the means (b, N) of two samples."""
    ratio = np.log(other.mean(axis=1) / one.mean(axis=1))
    return np.stack([ratio, spearman(one, other)], axis=1)


def answer(table: pl.DataFrame) -> str:
    """One line per two runs and class; the table has them in both directions."""
    once = table.filter(pl.col("run") < pl.col("other_run"))
    return "\n".join(_pair_answer(key, group) for key, group in by_group(once, KEYS[:3]))


def _pair_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, other, token_class = key
    head = f"- `{run}`, against `{other}`, {token_class} tokens: "
    rows = {row["measure"]: row for row in group.iter_rows(named=True)}
    rank, ratio = rows["spearman"], rows["log_ratio"]
    if np.isnan(rank["estimate"]):
        return head + f"no answer, {rank['reason']}."
    interval = f"{rank['low']:.3g} to {rank['high']:.3g}" if np.isfinite(rank["low"]) else rank["reason"]
    times, low, high = (np.exp(ratio[name]) for name in ("estimate", "low", "high"))
    return head + (
        f"the rankings of the neurons correlate by {rank['estimate']:.3g} ({interval}), where corpora that do not "
        f"differ would give {rank['null_documents_mean']:.3g} ({p_text(rank['p'], *P_FLOORS)} for so little); the "
        f"neurons have {times:.3g} times the influence in the other corpus ({low:.3g} to {high:.3g}; "
        f"{p_text(ratio['p'], *P_FLOORS)}). {counted(rank['n'], 'document')} here, {rank['n_other']:,} there."
    )


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="correlation or logarithm",
    resampled="the documents of each corpus",
    columns=COLUMNS,
    chart=Chart(
        "group_null",
        tables=("corpus_contrast",),
        options={
            "group": "other_run",
            "classes": TOKEN_CLASSES,
            "measures": {"spearman": "correlation of the rankings", "log_ratio": "ln of the ratio of influences"},
            "nulls": {"documents": "documents dealt anew"},
            "columns": 2,
            "own_caption": "Each run against the runs of the same model on other corpora, named on the left. Dots are "
            "the estimates with 95 % intervals over the documents of both; the bars behind them the middle 95 % of "
            "what the pooled documents give when they are dealt anew, with the mean: corpora that do not differ.",
        },
    ),
    estimate=estimate,
    answer=answer,
    key_columns={
        "other_run": "The run of the same model on the other corpus.",
        "measure": "`spearman` of the two rankings of the neurons, or `log_ratio` of their mean influences.",
    },
    subject="two runs of one model with equal settings on different corpora",
    subject_from="rt extract --corpus",
    p_floors=P_FLOORS,
)
