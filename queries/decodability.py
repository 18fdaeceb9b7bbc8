"""How well can a linear probe read a token's properties from the states of each layer?

`estimate` is the accuracy of a linear probe (ridge regression on +-1 targets of the standardised state, one for each
class) on documents that it has not seen. It is asked for five labels: `token`, which of the 20 most frequent token
types of the sample was read; `word_class`, by a small rule on its text (function word, content word, name, piece of a
word, number, mark, space); `frequency_band`, in which quarter of the sampled positions its frequency is; `position`,
in which quarter its place in the window is; `previous_token`, which of the 20 most frequent types stood before it,
which only attention can bring to this position.

`baseline` is what can be said without any state: the largest class, or, where that is better, the class that the token
type has most often in the documents that are learned from. `token`, `word_class` and `frequency_band` belong to the
type, so a table of types knows them, and a probe can gain only at types that were not met; what a state says of its
context shows in `previous_token` and `position`. `gain` is the accuracy above the baseline. `shuffled` is the accuracy
of the same probe on labels in random order, what too flexible a probe reaches by itself. `trend` is the rank
correlation of the accuracy with depth, `p` its p among walks that step from layer to layer as this series does, up or
down at random.

All intervals leave out one document after the other, without fitting the probes anew: they say how far the numbers hold
for documents like these, `n` of them, each with some positions in a row. Whether layers disentangle is answered by
`polysemanticity`, which sets what probes read better or worse with depth beside what single neurons do.

Caveats: a probe finds what is there, not what the model uses; what it does not find may be there in another form. A
state of d dimensions and few positions leave room for more accuracy than is shown, in all layers alike. The word
classes are those of an English word list. The classes are not equally frequent: `majority` is the share of the largest.

Source: Alain and Bengio (2017), arXiv 1610.01644 (linear probes by layer); Hewitt and Liang (2019), EMNLP (control
tasks); Belinkov (2022), Comput. Linguist. 48, 207.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from queries.shared.probes import Probed, probe
from queries.shared.tables import correct_within, schema_of
from queries.shared.token_labels import LABELS
from queries.stats.bands import Array
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import studentise
from queries.stats.depth import P_FLOOR, depth_trend
from queries.stats.words import counted

KEYS = ("run", "task", "layer")
COLUMNS = {
    "n_positions": "Positions that have a label.",
    "n_classes": "Classes that are told apart.",
    "majority": "Share of the largest class.",
    "by_token": "Accuracy of a table that has the most frequent class of each token type.",
    "baseline": "The larger accuracy of the two, both learned as the probe is.",
    "shuffled": "Accuracy of the same probe on labels in random order.",
    "gain": "Accuracy above the baseline.",
    "gain_low": "Low end of its 95 % interval.",
    "gain_high": "High end of its 95 % interval.",
    **TREND_COLUMNS,
    "reason": "Why there is no interval, or no trend; empty where there are both.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "n_positions", "n_classes"))


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row per run, task and layer; `n` counts documents that hold a labelled position."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        mine = [
            row for layer, tokens, states in states_by_layer(group) for row in _layer_rows(layer, tokens, states, rng)
        ]
        for task in LABELS:
            of_task = [row for row in mine if row["task"] == task]
            without = np.array([row["without"] for row in of_task]).T  # (D, L)
            trend = depth_trend(np.array([row["estimate"] for row in of_task]), without, rng, jackknife=True)
            for row in of_task:
                row.update(with_trend(row, trend))
        correct_within(mine, "family")
        rows += [{**row, "run": run} for row in mine]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _layer_rows(
    layer: int, tokens: pl.DataFrame, states: NDArray[np.float32], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The rows of one layer; tasks whose labels are at the same positions are probed together."""
    document = tokens["document"].to_numpy().astype(np.int64)
    together: dict[bytes, tuple[NDArray[np.bool_], dict[str, NDArray[np.int64]]]] = {}
    for task, label in LABELS.items():
        found = label(tokens)
        known = found.is_not_null().to_numpy()
        _, classes = np.unique(found.drop_nulls().to_numpy().astype(str), return_inverse=True)
        together.setdefault(known.tobytes(), (known, {}))[1][task] = classes.astype(np.int64)
    rows = []
    for known, labels in together.values():
        n_documents = len(np.unique(document[known]))
        probed: dict[str, Probed] = {}
        if n_documents > 1:
            shuffled = {task: rng.permutation(classes) for task, classes in labels.items()}
            token = tokens["token_id"].to_numpy().astype(np.int64)
            probed = probe(states[known], document[known], token[known], labels, shuffled)
        for task, classes in labels.items():
            facts = _facts(classes, probed.get(task), n_documents)
            rows.append({"family": "", "task": task, "layer": layer, "n": n_documents, **facts})
    return rows


def _facts(classes: NDArray[np.int64], probed: Probed | None, n_documents: int) -> dict[str, Any]:
    """Accuracies with their intervals; NaN, with the reason, where there are none."""
    counts = np.bincount(classes, minlength=1)
    facts: dict[str, Any] = {
        "n_positions": len(classes),
        "n_classes": len(counts) if len(classes) else 0,
        "majority": counts.max() / len(classes) if len(classes) else float("nan"),
    }
    names = ("estimate", "low", "high", "shuffled", "by_token", "baseline", "gain", "gain_low", "gain_high")
    if probed is None or len(counts) < 2:
        why = "positions with a label in fewer than 2 documents, or of fewer than 2 classes"
        return {**facts, **dict.fromkeys(names, float("nan")), "without": [], "reason": why}
    real, control = (_left_out(right, probed.rows) for right in (probed.right, probed.baseline))
    gain = tuple(one - other for one, other in zip(real, control, strict=True))
    facts |= {"estimate": float(real[0][0]), "baseline": float(control[0][0]), "gain": float(gain[0][0])}
    facts |= {name: float(getattr(probed, name).sum() / probed.rows.sum()) for name in ("shuffled", "by_token")}
    facts["without"] = real[1][:, 0].tolist() if n_documents >= MIN_DOCUMENTS else []
    for (whole, without), prefix in ((real, ""), (gain, "gain_")):
        found = studentise(whole, without)
        known = n_documents >= MIN_DOCUMENTS
        at_least, at_most = (0.0, 1.0) if not prefix else (-1.0, 1.0)
        facts[f"{prefix}low"] = max(float(found.low[0]), at_least) if known else float("nan")
        facts[f"{prefix}high"] = min(float(found.high[0]), at_most) if known else float("nan")
    return {**facts, "reason": "" if np.isfinite(facts["low"]) else _reason(n_documents)}


def _left_out(right: Array, rows: Array) -> tuple[Array, Array]:
    """Accuracy (1,) of all documents and (D, 1) without each of them."""
    return np.array([right.sum() / rows.sum()]), ((right.sum() - right) / (rows.sum() - rows))[:, None]


def _reason(n_documents: int) -> str:
    if n_documents < MIN_DOCUMENTS:
        return f"only {counted(n_documents, 'document')} with a label; at least {MIN_DOCUMENTS} are needed"
    return "the same accuracy in every document"


def answer(table: pl.DataFrame) -> str:
    """A line per run and task: both ends, the extremes, the control, the trend."""
    lines = []
    for (run,), group in by_group(table, ("run",)):
        for task in LABELS:
            rows = group.filter(task=task)
            row = rows.row(0, named=True)
            known = rows.filter(pl.col("estimate").is_finite())
            if known.is_empty():
                lines.append(f"- `{run}`: `{task}` was not asked: {row['reason']}.")
                continue
            lines.append(
                f"- `{run}`: `{task}` ({row['n_classes']} classes, {counted(row['n'], 'document')}): accuracy "
                f"{first_and_last(rows)}; {row['baseline']:.2f} without a state, {_surely_more(known)}; "
                f"{trend_words(rows)}."
            )
    return "\n".join(lines)


def _surely_more(rows: pl.DataFrame) -> str:
    """In how many layers the accuracy is above the baseline by its interval; a layer without one says nothing."""
    sure = rows.filter(pl.col("gain_low").is_finite())  # NaN > 0 is true in Polars
    if sure.is_empty():
        return "whether a state says more cannot be told: no layer has an interval of the gain"
    few = "" if sure.height == rows.height else " whose gain has an interval"
    return f"surely more in {sure.filter(pl.col('gain_low') > 0).height} of {counted(sure.height, 'layer')}{few}"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Five layers from all over the depth."""
    names = [*KEYS, "estimate", "low", "high", "n", "n_positions", "baseline", "shuffled", "gain", "trend", "p", "q"]
    return five_layers(table).select(names)


ANALYSIS = Analysis(
    chapter="Layers",
    keys=KEYS,
    unit="share of positions",
    resampled="documents, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "depth",
        tables=("decodability", "polysemanticity"),
        options={
            "panel": {"decodability": "task", "polysemanticity": "measure"},
            "panels": {
                "token": "token",
                "word_class": "word class",
                "frequency_band": "frequency band",
                "position": "position",
                "previous_token": "previous token",
                "clusters": "clusters of contexts",
            },
            "units": {**dict.fromkeys(LABELS, "accuracy"), "clusters": "clusters"},
            "control": "baseline",
            "caption": "Accuracy of probes (grey: the best without a state), and beside it the clusters of contexts of "
            "single neurons, fewer where neurons are cleaner. Intervals are over documents.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("states.state",),
    key_columns={"task": "Which label the probe is asked for.", **LAYER},
    subject="a pass over the layers",
    subject_from="rt extract --layers all",
    p_floors=(P_FLOOR,),
)
