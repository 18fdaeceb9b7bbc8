"""A path of the phase coordinate in words, from the rows of its table."""

from typing import Any

import numpy as np
import polars as pl

SHAPES = {
    "full_v": "full V",
    "fold_back": "fold-back",
    "delayed_escape": "delayed escape",
    "no_arc": "no arc",
    "undecidable": "undecidable",
}
_BETAS = {"em": "by EM", "sgd": "by gradient"}


def path_words(rows: pl.DataFrame) -> str:
    """Ends of both coordinates, crossing, shapes and alarms of one run and representation; a sentence each."""
    parts = []
    for probe, words in _BETAS.items():
        parts.append(f"ln(beta/beta_c) {words} {_ends(rows.filter(measure=f'coordinate_{probe}').sort('step'))}")
    crossing = _one(rows, "crossing_sgd")
    if np.isfinite(crossing["estimate"]):
        null = f"; structureless vectors at {crossing['null_mean']:.3g}" if np.isfinite(crossing["null_mean"]) else ""
        own = ", so the crossing is the probe's own" if crossing["verdict"] == "of_probe" else ""
        parts.append(f"by gradient it crosses 0 at step {crossing['estimate']:.3g}{_reach(crossing)}{null}{own}")
    else:
        parts.append(f"by gradient no crossing ({crossing['reason']})")
    shapes = [
        f"{SHAPES[row['verdict']]} {words} ({row['reason']})"
        for probe, words in _BETAS.items()
        for row in [_one(rows, f"shape_{probe}")]
    ]
    parts.append(f"shape: {'; '.join(shapes)}")
    alarms = [
        f"{words} at step {row['estimate']:.0f}"
        for probe, words in _BETAS.items()
        for row in [_one(rows, f"alarm_{probe}")]
        if np.isfinite(row["estimate"])
    ]
    parts.append(f"collapse alarm {' and '.join(alarms)}" if alarms else "no collapse alarm")
    return "; ".join(parts[:2]) + ". " + ". ".join(part[:1].upper() + part[1:] for part in parts[2:]) + "."


def _one(rows: pl.DataFrame, measure: str) -> dict[str, Any]:
    return rows.filter(measure=measure).row(0, named=True)


def _reach(row: dict[str, Any]) -> str:
    return f" ({row['low']:.3g} to {row['high']:.3g})" if np.isfinite(row["low"]) else ""


def _ends(rows: pl.DataFrame) -> str:
    """From the first to the last checkpoint, with the null at the last."""
    known = rows.filter(pl.col("estimate").is_finite())
    if known.is_empty():
        return "has no value"
    first, last = known.row(0, named=True), known.row(-1, named=True)
    said = " to ".join(f"{row['estimate']:.2f}{_reach(row)} at step {row['step']}" for row in (first, last))
    null = f" (structureless vectors there: {last['null_mean']:.2f})" if np.isfinite(last["null_mean"]) else ""
    return f"goes from {said}{null}"
