"""Do neurons get cleaner with depth: fewer kinds of context in later layers?

Per neuron of every layer that was read, then averaged over the neurons of the layer. `kurtosis`: fourth moment of the
activation over the squared variance, 3 for a normal one, large if it is rare and strong (geometric mean). `hoyer`:
sparsity over tokens, 1 if it is active at a single one. `types_90`: token types that hold 90 % of the activation mass.
`context_entropy`: entropy, in nats, of the token types of the 20 strongest contexts. `clusters`: kinds of context
among those: clusters of the neuron's embeddings of them (its row of W_in times the input of the MLP, component by
component), 1 if it is monosemantic. `merged_types` is the control for lexical identity, because contexts with the same
token are alike anyway: with one context for each token type, how far they are one kind (1) or each its own (0).

`low` and `high` are over neurons; `document_low` and `document_high` leave out tenths of the documents, where the
moments of those are kept. `trend` is the rank correlation with depth, its interval from resampled neurons, `p` from
layers in random order, `q` corrected over the six measures.

There is no verdict: neighbouring layers are alike, so any slow wander over the depth has a steady trend and a small p
(series of 24 to 30 layers without a trend whose neighbours correlate by 0.9 have p < 0.05 in more than half of cases).

Caveats: a trend need not be a straight road; look at the figure. The intervals hold for these layers: there are no
more. Twenty contexts are few and from this text: a neuron with many kinds of context may show one. Where neurons of a
layer have the same few strongest positions (the first of a document, a massive activation), clusters tell of those.
The cut at a mean cosine of one half is a convention. A condition on positions (`--where`) leaves out contexts; moments
and types are of all positions. A gated MLP multiplies two readings; the embedding uses `up`.

Source: From Tokens to Semantics, OpenReview Kyx1qoZHcO (clusters of neuron embeddings, fewer in later layers); Hoyer
(2004), JMLR 5, 1457.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from queries import Analysis, Chart, by_group
from queries.shared.depth import LAYER, TREND_COLUMNS, first_and_last, five_layers, trend_row, trend_words
from queries.shared.tables import correct_within, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.context_clusters import context_measures
from queries.stats.contrast import studentise
from queries.stats.depth import P_FLOOR, DepthTrend, depth_trend
from queries.stats.part_moments import PartMoments, shapes

Array = NDArray[np.float64]
KEYS = ("run", "measure", "layer")
# Measure -> 1 if it rises where neurons are cleaner, -1 if it falls.
CLEANER = {"kurtosis": 1, "hoyer": 1, "types_90": -1, "context_entropy": -1, "clusters": -1, "merged_types": 1}
LOOSE = 0.05  # of the number of types: bounds wider than that tell no trend
N_BOOTSTRAP = 500
MIN_NEURONS = 5
COLUMNS = {
    "median": "Median over the neurons.",
    "slack": "Of `types_90`: by so much the mean may be off where types were counted within bounds; else 0.",
    "document_low": "Low end of the interval over tenths of the documents; NaN where they are not kept apart.",
    "document_high": "High end of it.",
    **TREND_COLUMNS,
    "document_trend_low": "Low end of the trend's interval over tenths of the documents.",
    "document_trend_high": "High end of it.",
    "q": "Benjamini-Hochberg value of `p` over the measures of the run.",
    "reason": "Why there is no interval; empty where there is one.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["layer"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row per run, measure and layer; `n` counts neurons."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        layers = [(layer, *_values(part)) for (layer,), part in by_group(group, ("layer",))]
        weights = [_resamples(len(values["kurtosis"]), rng) for _, values, _, _ in layers]
        mine: list[dict[str, Any]] = []
        for measure in CLEANER:
            mine += _measure_rows(measure, layers, weights, rng)
        correct_within(mine, "run_key")
        rows += [{**row, "run": run} for row in mine]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _values(part: pl.DataFrame) -> tuple[dict[str, Array], dict[str, Array], float]:
    """Each measure (N,) of the neurons of a layer; the first two without each part (P, N); slack of the types."""
    lists = ("mean", "moment_2", "moment_3", "moment_4", "sum_abs")
    found = {name: np.stack(part[f"part_{name}"].to_list()) for name in lists}
    kurtosis, hoyer = shapes(PartMoments(np.array(part["part_n"].to_list()[0]), **found))
    contexts = np.array(
        [
            context_measures(np.asarray(cosines if cosines is not None else []), [] if tokens is None else tokens)
            for cosines, tokens in part.select("cosines", "token_ids").iter_rows()
        ]
    ).T
    low, high = (part[name].to_numpy().astype(np.float64) for name in ("types_low", "types_high"))
    types = np.where(high > 0, (low + high) / 2, np.nan)
    log_kurtosis = np.log(kurtosis)
    values = dict(zip(CLEANER, (log_kurtosis[0], hoyer[0], types, *contexts), strict=True))
    return values, {"kurtosis": log_kurtosis[1:], "hoyer": hoyer[1:]}, float((high - low).mean() / 2)


def _resamples(n: int, rng: np.random.Generator) -> Array:
    """How often each of n neurons is in each resample, (B, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP).astype(np.float64)


def _measure_rows(
    measure: str,
    layers: list[tuple[int, dict[str, Array], dict[str, Array], float]],
    weights: list[Array],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """The rows of all layers of one run; kurtosis is averaged on the log scale."""
    back = np.exp if measure == "kurtosis" else np.asarray
    means = np.array([_mean(values[measure]) for _, values, _, _ in layers])
    resampled = np.stack(
        [
            (weight[:, known] @ values[measure][known]) / np.maximum(weight[:, known].sum(axis=1), 1.0)
            for (_, values, _, _), weight in zip(layers, weights, strict=True)
            for known in (np.isfinite(values[measure]),)
        ],
        axis=1,
    )  # (B, L)
    trend = depth_trend(means, resampled, rng, jackknife=False)
    if measure == "types_90" and any(slack > LOOSE * mean for (*_, slack), mean in zip(layers, means, strict=True)):
        nan = float("nan")
        trend = DepthTrend(nan, nan, nan, nan)  # bounds are too wide to tell an order
    documents = _document_ends(measure, layers, means, rng)
    rows = []
    for i, (layer, values, _, slack) in enumerate(layers):
        known = values[measure][np.isfinite(values[measure])]
        error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) >= MIN_NEURONS else float("nan")
        loose = slack if measure == "types_90" else 0.0
        reach = error * float(stats.t.ppf(0.975, max(len(known) - 1, 1))) + loose
        reason = "" if np.isfinite(reach) else f"{len(known)} neurons with an answer; at least {MIN_NEURONS} are needed"
        rows.append(
            {
                "run_key": "", "measure": measure, "layer": layer, "estimate": float(back(means[i])),
                "low": float(back(means[i] - reach)), "high": float(back(means[i] + reach)), "n": len(known),
                "median": float(back(np.median(known))) if len(known) else float("nan"),
                "slack": loose, "reason": reason, **trend_row(trend),
                **{name: float(ends[i]) for name, ends in documents.items()},
            }
        )  # fmt: skip
    return rows


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _document_ends(
    measure: str,
    layers: list[tuple[int, dict[str, Array], dict[str, Array], float]],
    means: Array,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Ends of the intervals over parts of the documents, of each layer (L,) and of the trend; NaN where not kept."""
    names = ("document_low", "document_high", "document_trend_low", "document_trend_high")
    nothing = {name: np.full(len(layers), np.nan) for name in names}
    if measure not in layers[0][2]:
        return nothing
    without = np.array([[_mean(part) for part in left_out[measure]] for _, _, left_out, _ in layers]).T  # (P, L)
    if len(without) < MIN_DOCUMENTS:
        return nothing
    found = studentise(means, without)
    back = np.exp if measure == "kurtosis" else np.asarray
    trend = depth_trend(means, without, rng, jackknife=True)
    ends = (back(found.low), back(found.high), np.full(len(means), trend.low), np.full(len(means), trend.high))
    return dict(zip(names, ends, strict=True))


def answer(table: pl.DataFrame) -> str:
    """A line per run and measure."""
    lines = []
    for (run,), group in by_group(table, ("run",)):
        for measure, sign in CLEANER.items():
            rows = group.filter(measure=measure)
            row = rows.row(0, named=True)
            way = "rises" if sign > 0 else "falls"
            lines.append(
                f"- `{run}`, `{measure}`, which {way} where neurons are cleaner: {first_and_last(rows)}; "
                f"{trend_words(row)}."
            )
    return "\n".join(lines)


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Five layers from all over the depth."""
    names = [*KEYS, "estimate", "low", "high", "n", "document_low", "document_high", "trend", "p", "q"]
    return five_layers(table).select(names)


ANALYSIS = Analysis(
    chapter="Layers",
    keys=KEYS,
    unit="ratio (`kurtosis`), share (`hoyer`, `merged_types`), types, nats (`context_entropy`), clusters",
    resampled="neurons, and tenths of the documents, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "depth",
        tables=("polysemanticity",),
        options={
            "panel": "measure",
            "panels": {
                "clusters": "clusters of contexts", "merged_types": "token types merged",
                "context_entropy": "entropy of contexts (nats)", "types_90": "types with 90 % of the mass",
                "kurtosis": "kurtosis", "hoyer": "Hoyer over tokens",
            },
            "caption": "Means over the neurons of each layer; intervals are over neurons.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("layer_neurons.mean", "layer_contexts.cosine"),
    key_columns=LAYER,
    p_floors=(P_FLOOR,),
)  # fmt: skip
