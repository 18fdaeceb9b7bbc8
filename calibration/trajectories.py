"""Trajectories with planted paths, as files of `(step, sample, vector)`.

Vectors are means of four classes, times a separation that depends on the step, plus noise. `full_v`: the classes part
early and stay apart. `fold_back`: they part, and come nearer again. `late_escape`: they part late. `delayed_escape`:
the same, after all vectors have spread along one direction early, which makes them supercritical before structureless
ones. `no_arc`: never. `collapse`: they part, and fall into one. Shapes: n samples, d numbers of a vector.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

STEPS = (0, 1, 3, 10, 30, 60, 100, 200, 400, 800, 1600)
CLASSES = 4
EARLY = 15.0  # variance along the direction (1, ..., 1) that vectors of a delayed escape have from step 3 on


def _rise(step: float, middle: float, width: float = 0.4) -> float:
    """From 0 to 1, half of it at the step `middle`."""
    return 1 / (1 + float(np.exp(-(np.log1p(step) - np.log1p(middle)) / width)))


def separation(kind: str, step: int, middle: float = 700.0) -> float:
    """How far the classes are apart, in standard deviations of the noise."""
    apart = {
        "full_v": 4 * _rise(step, 30),
        "fold_back": 4 * _rise(step, 30) - 2.4 * _rise(step, 400),
        "late_escape": 6 * _rise(step, middle, 0.2),
        "delayed_escape": 6 * _rise(step, middle, 0.2),
        "no_arc": 0.0,
        "collapse": 4 * _rise(step, 10) * (1 - _rise(step, 300, 0.2)),
    }
    return apart[kind]


def frame(
    kind: str,
    *,
    samples: int = 200,
    width: int = 6,
    seed: int = 0,
    middle: float = 700.0,
    document: int = 5,
    fresh: float = 0.3,
    steps: Sequence[int] = STEPS,
    model: int | None = None,
) -> pl.DataFrame:
    """Rows `run, representation, step, sample, document, label, vector` and no facts; `document` samples of one each.

    A share `fresh` of the noise is new at every step. Classes have the same means for the same `model` (the seed, if
    it is not told).
    """
    rng = np.random.default_rng(seed)
    label = np.arange(samples) % CLASSES
    means = np.random.default_rng([seed if model is None else model, 1]).standard_normal((CLASSES, width))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    kept = rng.standard_normal((samples, width))
    along = np.sqrt(EARLY / width) * rng.standard_normal((samples, 1)) if kind == "delayed_escape" else 0.0
    parts = []
    for step in steps:
        noise = np.sqrt(1 - fresh) * kept + np.sqrt(fresh) * rng.standard_normal((samples, width))
        early = along * _rise(step, 2, 0.1)
        vector = (separation(kind, step, middle) * means[label] + noise + early).astype(np.float32)
        columns = {
            "run": kind, "representation": "states", "step": step, "sample": np.arange(samples),
            "document": [f"d{i // document}" for i in range(samples)], "label": label.astype(str),
        }  # fmt: skip
        parts.append(pl.DataFrame({**columns, "vector": pl.Series(vector).arr.to_list()}))
    facts = ("loss", "test_loss", "train_accuracy", "test_accuracy", "weight_decay")
    nothing = {name: pl.lit(None, dtype=pl.Float64) for name in facts}
    return pl.concat(parts).with_columns(**nothing, seed=pl.lit(None, dtype=pl.Int64))


def write_states(
    path: Path, kind: str, *, middle: float = 700.0, weight_decay: float = 1.0, seed: int = 0, samples: int = 64,
    width: int = 4, steps: Sequence[int] = STEPS,
) -> None:  # fmt: skip
    """A file of such a trajectory with accuracies: learnt by heart at step 20, generalised when the classes part."""
    step = pl.col("step")
    rows = frame(kind, middle=middle, seed=seed, samples=samples, width=width, steps=steps).drop(
        "run", "representation"
    )
    rows.with_columns(
        train_accuracy=pl.when(step >= 20).then(1.0).otherwise(0.3),
        test_accuracy=pl.when(step >= middle).then(1.0).otherwise(0.1),
        weight_decay=pl.lit(weight_decay),
        loss=5.0 - step.log1p() / 3,
    ).write_parquet(path)
