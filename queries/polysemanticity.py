"""Do neurons get cleaner with depth: fewer kinds of context in later layers?

Per neuron of every layer that was read, then averaged over the neurons of the layer. `kurtosis`: fourth moment of the
activation over the squared variance, 3 for a normal one, large if it is rare and strong (geometric mean). `hoyer`:
sparsity over tokens, 1 if it is active at a single one. `types_90`: token types that hold 90 % of the activation mass.
`context_entropy`: entropy, in nats, of the token types at the top 1 % of the positions of each tenth of the documents,
at most 20 of each (`context_share` is the share of all positions that this is). `clusters`: kinds of context among the
20 strongest, two of each tenth of the documents: clusters of the neuron's embeddings of them (its row of W_in times the
input of the MLP, component by component), 1 if it is monosemantic. `merged_types` is the control for lexical identity,
because contexts with the same token are alike anyway: with one context for each token type, how far they are one kind
(1) or each its own (0); neurons whose contexts are all of one type have no answer (`n` of `n_neurons` have one).

`low` and `high` are over neurons; `document_low` and `document_high` leave out tenths of the documents. `trend` is the
rank correlation with depth, with both intervals. `p` is its p among walks that step from layer to layer as this series
does, up or down at random; `q` is corrected over the six measures.

Do layers disentangle? Two answers stand side by side: which measures say that single neurons get cleaner, and what
linear probes read better or worse from whole states (`decodability`); each by a trend with q < 0.05 whose intervals lie
on one side of 0. Few layers can show none: the smallest p is 2 to the power of 2 minus their number.

Caveats: a trend need not be a straight road; look at the figure. It holds for these layers: there are no more. The
contexts are from this text: a neuron with many kinds of context may show one. Where neurons of a layer have the same
few strongest positions (the first of a document, a massive activation), clusters tell of those. The cut at a mean
cosine of one half is a convention. The interval of `types_90` over documents rests on 32 neurons of a layer. A
condition on positions (`--where`) leaves out contexts; moments and types are of all positions. A gated MLP multiplies
two readings; the embedding uses `up`.

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
from queries.shared.neuron_layers import NeuronLayer, neuron_layer
from queries.shared.tables import correct_within, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import studentise
from queries.stats.depth import P_FLOOR, DepthTrend, depth_trend
from queries.stats.verdict import LEVEL

Array = NDArray[np.float64]
KEYS = ("run", "measure", "layer")
# Measure -> 1 if it rises where neurons are cleaner, -1 if it falls.
CLEANER = {"kurtosis": 1, "hoyer": 1, "types_90": -1, "context_entropy": -1, "clusters": -1, "merged_types": 1}
LOOSE = 0.05  # of the number of types: bounds wider than that tell no trend
N_BOOTSTRAP = 500
MIN_NEURONS = 5
COLUMNS = {
    "median": "Median over the neurons.",
    "n_neurons": "Neurons of the layer; `n` of them have an answer.",
    "context_share": "Of `context_entropy`: the contexts of a neuron over the positions; else NaN.",
    "slack": "Of `types_90`: by so much the mean may be off where types were counted within bounds; else 0.",
    "document_low": "Low end of the interval over tenths of the documents; NaN with fewer than 5, or if none matters.",
    "document_high": "High end of it.",
    **TREND_COLUMNS,
    "document_trend_low": "Low end of the trend's interval over tenths of the documents.",
    "document_trend_high": "High end of it.",
    "probes_better": "Labels that linear probes read better with depth (q < 0.05, interval above 0); null without any.",
    "probes_worse": "Labels that they read worse; null without any.",
    "reason": "Why there is no interval; empty where there is one.",
}
TEXT = ("probes_better", "probes_worse")
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "n_neurons"), text=TEXT)


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row per run, measure and layer; `n` counts neurons."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        layers = [neuron_layer(layer, part) for (layer,), part in by_group(group, ("layer",))]
        weights = [_resamples(len(each.values["kurtosis"]), rng) for each in layers]
        mine: list[dict[str, Any]] = []
        for measure in CLEANER:
            mine += _measure_rows(measure, layers, weights, rng)
        correct_within(mine, "run_key")
        probes = {name: group[name][0] for name in TEXT}
        rows += [{**row, **probes, "run": run} for row in mine]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _resamples(n: int, rng: np.random.Generator) -> Array:
    """How often each of n neurons is in each resample, (B, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP).astype(np.float64)


def _measure_rows(
    measure: str, layers: list[NeuronLayer], weights: list[Array], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The rows of all layers of one run; kurtosis is averaged on the log scale."""
    back = np.exp if measure == "kurtosis" else np.asarray
    means = np.array([each.mean(measure) for each in layers])
    resampled = np.stack([_means(each.values[measure], w) for each, w in zip(layers, weights, strict=True)], axis=1)
    trend = depth_trend(means, resampled, rng, jackknife=False)
    if measure == "types_90" and any(each.slack > LOOSE * mean for each, mean in zip(layers, means, strict=True)):
        nan = float("nan")
        trend = DepthTrend(nan, nan, nan, nan)  # bounds are too wide to tell an order
    documents = _document_ends(measure, layers, means, rng)
    rows = []
    for i, each in enumerate(layers):
        values = each.values[measure]
        known = values[np.isfinite(values)]
        error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) >= MIN_NEURONS else float("nan")
        loose = each.slack if measure == "types_90" else 0.0
        reach = error * float(stats.t.ppf(0.975, max(len(known) - 1, 1))) + loose
        reason = "" if np.isfinite(reach) else f"{len(known)} neurons with an answer; at least {MIN_NEURONS} are needed"
        rows.append(
            {
                "run_key": "", "measure": measure, "layer": each.layer, "estimate": float(back(means[i])),
                "low": float(back(means[i] - reach)), "high": float(back(means[i] + reach)), "n": len(known),
                "median": float(back(np.median(known))) if len(known) else float("nan"), "n_neurons": len(values),
                "context_share": each.context_share if measure == "context_entropy" else float("nan"),
                "slack": loose, "reason": reason, **trend_row(trend),
                **{name: float(ends[i]) for name, ends in documents.items()},
            }
        )  # fmt: skip
    return rows


def _means(values: Array, weights: Array) -> Array:
    """Means (B,) of the neurons that have an answer, in each resample."""
    known = np.isfinite(values)
    total: Array = weights[:, known].sum(axis=1)
    return np.where(total > 0, weights[:, known] @ values[known] / np.maximum(total, 1.0), np.nan)


def _document_ends(measure: str, layers: list[NeuronLayer], means: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Ends of the intervals over parts of the documents, of each layer (L,) and of the trend; NaN for few parts."""
    names = ("document_low", "document_high", "document_trend_low", "document_trend_high")
    without = np.array([each.left_out[measure] for each in layers]).T  # (P, L)
    if len(without) < MIN_DOCUMENTS:
        return {name: np.full(len(layers), np.nan) for name in names}
    found = studentise(means, without)
    back = np.exp if measure == "kurtosis" else np.asarray
    trend = depth_trend(means, without, rng, jackknife=True)
    ends = (back(found.low), back(found.high), np.full(len(means), trend.low), np.full(len(means), trend.high))
    return dict(zip(names, ends, strict=True))


def answer(table: pl.DataFrame) -> str:
    """Whether layers disentangle, then a line per measure, for each run."""
    lines = []
    for (run,), group in by_group(table, ("run",)):
        lines.append(f"- `{run}`: do layers disentangle? {_disentangled(group)}.")
        for measure, sign in CLEANER.items():
            rows = group.filter(measure=measure)
            row = rows.row(0, named=True)
            ends = row["document_trend_low"], row["document_trend_high"]
            over = f", over documents {ends[0]:.2f} to {ends[1]:.2f}" if np.isfinite(ends[0]) else ""
            few = round(float(rows["n"].sum()) / float(rows["n_neurons"].sum()), 2)
            lines.append(
                f"- `{run}`, `{measure}`, which {'rises' if sign > 0 else 'falls'} where neurons are cleaner: "
                f"{first_and_last(rows)}; {trend_words(row)}{over}"
                f"{f'; {few:.0%} of the neurons have an answer' if few < 1 else ''}."
            )
    return "\n".join(lines)


def _disentangled(group: pl.DataFrame) -> str:
    """Which measures say cleaner or less clean with depth, by q and both intervals; what probes say of whole states."""
    said: dict[int, list[str]] = {1: [], -1: []}
    for measure, sign in CLEANER.items():
        row = group.filter(measure=measure).row(0, named=True)
        for way, names in said.items():
            ends = [way * sign * row[name] for name in ("trend_low", "trend_high")]
            ends += [way * sign * row[name] for name in ("document_trend_low", "document_trend_high")]
            if row["q"] < LEVEL and all(end > 0 for end in ends):  # one that is unknown is not above 0
                names.append(f"`{measure}`")
    words = f"Single neurons get cleaner with depth by {_listed(said[1])} and less clean by {_listed(said[-1])}"
    row = group.row(0, named=True)
    better, worse = (_listed([f"`{each}`" for each in (row[name] or "").split(", ") if each]) for name in TEXT)
    return words + f"; linear probes read {better} better with depth and {worse} worse"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"


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
    uses=("decodability",),
    key_columns=LAYER,
    subject="a pass over the layers",
    subject_from="rt extract --layers all",
    p_floors=(P_FLOOR,),
)  # fmt: skip
