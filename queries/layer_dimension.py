"""How many dimensions do the states of the residual stream span, layer by layer?

States are the residual stream after each layer at the positions of the sampled documents. From the spectrum of their
covariance: `participation`, the participation ratio, how many directions share the variance evenly; `d95`, how many
hold 95 % of it; `anisotropy`, the variance of the top direction over that of an average one (1: none leads). `whole`
is the spectrum as it is; `without_top` leaves its top component out, since in language models a few outlier dimensions
of enormous variance can make thousands of others look like nothing.

`trend` is the rank correlation of the numbers with depth, `p` its p among walks that step from layer to layer as this
series does, up or down at random; `q` is corrected over variants and measures. Intervals leave out one document after
the other, or with more than 20 one in 20 of them.

Caveats: a covariance of T positions has at most T - 1 dimensions, so a short text lowers all numbers (`n_positions`);
positions of a document are alike, which lowers them too. Leaving out a document tells how far they hold for these
documents' like, not what more text would add. One outlier position can be the top component.

Source: Gao et al. (2017), bioRxiv 214262 (participation ratio); Ethayarajh (2019), EMNLP, and Timkey and van
Schijndel (2021), EMNLP (anisotropy, rogue dimensions).
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, by_group
from queries.shared.depth import (
    LAYER,
    TREND_COLUMNS,
    first_and_last,
    five_layers,
    states_by_layer,
    trend_words,
    with_trend,
)
from queries.shared.tables import correct_within, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import studentise
from queries.stats.depth import P_FLOOR, depth_trend
from queries.stats.state_dimension import MEASURES, VARIANTS, document_groups, state_dimensions
from queries.stats.words import counted

KEYS = ("run", "variant", "measure", "layer")
COLUMNS = {
    "n_positions": "Positions whose states were kept: no measure but `anisotropy` can be larger.",
    "d_model": "Width of the residual stream.",
    **TREND_COLUMNS,
    "reason": "Why there is no interval, or no trend; empty where there are both.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "n_positions", "d_model"))
WORDS = {
    "participation": "participation ratio",
    "d95": "dimensions for 95 % of the variance",
    "anisotropy": "anisotropy",
}


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row per run, variant, measure and layer; `n` counts documents."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        mine = [{"run": run, **row} for row in _run_rows(group, rng)]
        correct_within(mine, "run")
        rows += mine
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _run_rows(frame: pl.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    layers, whole, without, facts = [], [], [], []
    for layer, rows, states in states_by_layer(frame):
        every, each = state_dimensions(states, document_groups(rows["document"].to_numpy()))
        layers.append(layer)
        whole.append(every)
        without.append(each)
        facts.append((rows["document"].n_unique(), rows.height, states.shape[1]))
    estimates, replicates = np.array(whole), np.array(without)  # (L, 2, 3) and (L, G, 2, 3)
    made = []
    for v, variant in enumerate(VARIANTS):
        for m, measure in enumerate(MEASURES):
            values, left_out = estimates[:, v, m], replicates[:, :, v, m].T
            found = studentise(np.log(values), np.log(left_out))
            enough = len(left_out) >= MIN_DOCUMENTS
            logs = np.log(left_out if enough else left_out[:0])
            trend = depth_trend(np.log(values), logs, rng, jackknife=True)
            for i, (layer, (n, n_positions, width)) in enumerate(zip(layers, facts, strict=True)):
                known = enough and bool(np.isfinite(found.low[i]))
                row = {
                    "variant": variant, "measure": measure, "layer": layer, "estimate": float(values[i]),
                    "low": float(np.exp(found.low[i])) if known else float("nan"),
                    "high": float(np.exp(found.high[i])) if known else float("nan"),
                    "n": n, "n_positions": n_positions, "d_model": width, "reason": "" if known else _reason(n),
                }  # fmt: skip
                made.append(with_trend(row, trend))
    return made


def _reason(n_documents: int) -> str:
    if n_documents < MIN_DOCUMENTS:
        return f"states of only {counted(n_documents, 'document')}; at least {MIN_DOCUMENTS} are needed"
    return "no variance, or none that differs between documents"


def answer(table: pl.DataFrame) -> str:
    """A line per run and measure."""
    lines = []
    for (run, measure), group in by_group(table, ("run", "measure")):
        parts = []
        for variant, words in (("whole", "whole"), ("without_top", "without the top component")):
            rows = group.filter(variant=variant)
            parts.append(f"{words} {first_and_last(rows)}, {trend_words(rows)}")
        lines.append(f"- `{run}`: {WORDS[measure]}: {'; '.join(parts)}.")
    return "\n".join(lines)


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """At most five layers from all over the depth."""
    return five_layers(table).drop("reason")


ANALYSIS = Analysis(
    chapter="Layers",
    keys=KEYS,
    unit="dimensions (`anisotropy`: ratio of variances)",
    resampled="documents, or twentieths of them, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "depth",
        tables=("layer_dimension",),
        options={
            "panel": "measure",
            "panels": {
                "participation": "participation ratio",
                "d95": "dimensions for 95 %",
                "anisotropy": "anisotropy",
            },
            "series": "variant",
            "names": {"whole": "whole spectrum", "without_top": "without the top component"},
            "is_log": True,
            "caption": "Dimensions that the states span after each layer; intervals leave out documents.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("states.state",),
    key_columns={
        "variant": "`whole`: the whole spectrum; `without_top`: without its top component.",
        **LAYER,
    },
    subject="a pass over the layers",
    subject_from="rt extract --layers all",
    p_floors=(P_FLOOR,),
)
