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

Intervals leave out tenths of the documents: would these neurons look the same on other text? All neurons of a layer
are measured, so those over neurons, `neuron_low` to `neuron_high`, which are narrower, tell how far they differ, not
how sure the number is. `trend` is the rank correlation with depth, with both intervals. `p` is its p among walks that
step from layer to layer as this series does, up or down at random; `q` is corrected over the six measures.

Do layers disentangle? Two answers stand side by side: which measures say that single neurons get cleaner, and what
linear probes read better or worse from whole states (`decodability`); each by a trend with q < 0.05 whose intervals lie
on one side of 0. Few layers can show none: fewer than 5 have no trend, and the smallest p of more is 2 to the power of
2 minus their number.

Caveats: a trend need not be a straight road; look at the figure. It holds for these layers: there are no more. The
contexts are from this text: a neuron with many kinds of context may show one. Where neurons of a layer have the same
few strongest positions (the first of a document, a massive activation), clusters tell of those. The cut at a mean
cosine of one half is a convention. The interval of `types_90` rests on 32 neurons of a layer. A
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
from queries.shared.depth import LAYER, TREND_COLUMNS, first_and_last, five_layers, trend_words, with_trend
from queries.shared.neuron_layers import NeuronLayer, neuron_layer
from queries.shared.tables import correct_within, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import studentise
from queries.stats.depth import MIN_LAYERS, P_FLOOR, DepthTrend, depth_trend, too_few_layers
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

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
    "n_parts": "Parts of the documents, tenths if there are ten or more, which intervals leave out in turn.",
    "context_share": "Of `context_entropy`: the contexts of a neuron over the positions; else NaN.",
    "slack": "Of `types_90`: by so much the mean may be off where types were counted within bounds; else 0.",
    "neuron_low": "Low end of the interval over the neurons of the layer.",
    "neuron_high": "High end of it.",
    **TREND_COLUMNS,
    "neuron_trend_low": "Low end of the trend's interval over neurons.",
    "neuron_trend_high": "High end of it.",
    "probes_better": "Labels that linear probes read better with depth (q < 0.05, interval above 0); empty if there "
    "are none, null where no probe has a trend.",
    "probes_worse": "Labels that they read worse, in the same way.",
    "reason": "Why there is no interval, or no trend; empty where there are both.",
}
TEXT = ("probes_better", "probes_worse")
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "n_neurons", "n_parts"), text=TEXT)


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
    without = np.array([each.left_out[measure] for each in layers]).T  # (P, L)
    n_parts = len(without)
    if n_parts < MIN_DOCUMENTS:
        without = without[:0]  # too few for an interval: of the layers and of the trend alike
    over_documents, over_neurons = _trends(measure, layers, weights, without, rng)
    reach = _document_reach(means, without)
    rows = []
    for i, each in enumerate(layers):
        values = each.values[measure]
        known = values[np.isfinite(values)]
        loose = each.slack if measure == "types_90" else 0.0
        reason = _reason(len(known), n_parts, float(reach[i]))
        documents = float("nan") if reason else float(reach[i]) + loose
        neurons = _neuron_reach(known) + loose
        row = {
            "run_key": "", "measure": measure, "layer": each.layer, "estimate": float(back(means[i])),
            "low": float(back(means[i] - documents)), "high": float(back(means[i] + documents)), "n": len(known),
            "neuron_low": float(back(means[i] - neurons)), "neuron_high": float(back(means[i] + neurons)),
            "neuron_trend_low": over_neurons.low, "neuron_trend_high": over_neurons.high,
            "median": float(back(np.median(known))) if len(known) else float("nan"), "n_neurons": len(values),
            "n_parts": n_parts, "slack": loose, "reason": reason,
            "context_share": each.context_share if measure == "context_entropy" else float("nan"),
        }  # fmt: skip
        rows.append(with_trend(row, over_documents))
    return rows


def _trends(
    measure: str, layers: list[NeuronLayer], weights: list[Array], without: Array, rng: np.random.Generator
) -> tuple[DepthTrend, DepthTrend]:
    """The trend with its interval over documents, from means `without` (P, L) each part, and with that over neurons."""
    means = np.array([each.mean(measure) for each in layers])
    if measure == "types_90" and any(each.slack > LOOSE * mean for each, mean in zip(layers, means, strict=True)):
        nan = float("nan")
        none = DepthTrend(nan, nan, nan, nan, "types are counted within bounds that are too wide to tell an order")
        return none, none
    resampled = np.stack([_means(each.values[measure], w) for each, w in zip(layers, weights, strict=True)], axis=1)
    return (
        depth_trend(means, without, rng, jackknife=True),
        depth_trend(means, resampled, rng, jackknife=False),
    )


def _document_reach(means: Array, without: Array) -> Array:
    """Half-widths (L,) of the intervals over parts of the documents; NaN where they do not matter, or are too few."""
    if not len(without):
        return np.full(len(means), np.nan)
    found = studentise(means, without)
    return np.asarray(found.high - means)


def _neuron_reach(known: Array) -> float:
    """Half-width of Student's interval over the neurons that have an answer."""
    if len(known) < MIN_NEURONS:
        return float("nan")
    return float(known.std(ddof=1) / np.sqrt(len(known)) * stats.t.ppf(0.975, len(known) - 1))


def _reason(n_known: int, n_parts: int, reach: float) -> str:
    """Why a layer has no interval over documents; empty where it has one."""
    if n_known < MIN_NEURONS:
        return f"{n_known} neurons with an answer; at least {MIN_NEURONS} are needed"
    if n_parts < MIN_DOCUMENTS:
        return f"{counted(n_parts, 'part')} of the documents; at least {MIN_DOCUMENTS} are needed"
    return "" if np.isfinite(reach) else "no document changes it, or types are counted within bounds"


def _means(values: Array, weights: Array) -> Array:
    """Means (B,) of the neurons that have an answer, in each resample."""
    known = np.isfinite(values)
    total: Array = weights[:, known].sum(axis=1)
    return np.where(total > 0, weights[:, known] @ values[known] / np.maximum(total, 1.0), np.nan)


def answer(table: pl.DataFrame) -> str:
    """Whether layers disentangle, then a line per measure, for each run."""
    lines = []
    for (run,), group in by_group(table, ("run",)):
        lines.append(f"- `{run}`: do layers disentangle? {_disentangled(group)}. Intervals are over documents.")
        for measure, sign in CLEANER.items():
            rows = group.filter(measure=measure)
            few = round(float(rows["n"].sum()) / float(rows["n_neurons"].sum()), 2)
            lines.append(
                f"- `{run}`, `{measure}`, which {'rises' if sign > 0 else 'falls'} where neurons are cleaner: "
                f"{first_and_last(rows)}; {trend_words(rows)}"
                f"{f'; {few:.0%} of the neurons have an answer' if few < 1 else ''}."
            )
    return "\n".join(lines)


def _disentangled(group: pl.DataFrame) -> str:
    """Which measures say cleaner or less clean with depth, by q and both intervals; what probes say of whole states."""
    n_layers = group["layer"].n_unique()
    if n_layers < MIN_LAYERS:
        return f"That cannot be told: {too_few_layers(n_layers)}"
    said: dict[int, list[str]] = {1: [], -1: []}
    for measure, sign in CLEANER.items():
        row = group.filter(measure=measure).row(0, named=True)
        for way, names in said.items():
            ends = [way * sign * row[name] for name in ("trend_low", "trend_high")]
            ends += [way * sign * row[name] for name in ("neuron_trend_low", "neuron_trend_high")]
            if row["q"] < LEVEL and all(end > 0 for end in ends):  # one that is unknown is not above 0
                names.append(f"`{measure}`")
    words = f"Single neurons get cleaner with depth by {_listed(said[1])} and less clean by {_listed(said[-1])}"
    row = group.row(0, named=True)
    if row["probes_better"] is None:
        return f"{words}; what linear probes read has no trend that can be told"
    better, worse = (_listed([f"`{each}`" for each in (row[name] or "").split(", ") if each]) for name in TEXT)
    return words + f"; linear probes read {better} better with depth and {worse} worse"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Five layers from all over the depth."""
    names = [*KEYS, "estimate", "low", "high", "n", "neuron_low", "neuron_high", "trend", "p", "q"]
    return five_layers(table).select(names)


ANALYSIS = Analysis(
    chapter="Layers",
    keys=KEYS,
    unit="ratio (`kurtosis`), share (`hoyer`, `merged_types`), types, nats (`context_entropy`), clusters",
    resampled="tenths of the documents, left out in turn",
    counts="neurons of the layer",
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
            "caption": "Means over the neurons of each layer; intervals are over documents.",
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
