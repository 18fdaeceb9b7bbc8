"""When in a training do representations become supercritical, and what path do they take from there?

A passive probe, a mixture of 12 isotropic Gaussians of equal weight and one precision beta, is fitted to the vectors of
each checkpoint. Below beta_c = 1/lambda_max(Cov) all its prototypes stay at the mean; above it they part along the top
eigenvector. The phase coordinate is ln(beta/beta_c). How beta is obtained is not said where the paper could be read, so
there are two, each with its name. `coordinate_em`: EM at each checkpoint; it is never below 0, whatever the vectors,
so it has no crossing, and only what lies above the null is structure. `coordinate_sgd`: prototypes and ln beta trained
by Adam, one update per training step and at most 100 between checkpoints, from 0.1 beta_c at the first on; it crosses 0
on structureless vectors too, as fast as it is trained, so that a crossing at which they are above 0 as well is the
probe's own (`of_probe`) and nothing is said to come late after it. lambda_max and beta_c are of all vectors, but
coordinates are made with the lambda_max of the vectors that the probes see.

The null are the same vectors with every dimension permuted by itself: the same marginals without structure.
`..._without_top` leaves the top component out: language models have a few dimensions of enormous variance, and begin
supercritical for that alone. `nc1`: how small classes are for how far they are apart, tr(S_W S_B^+)/C; `nc1_ratio`:
tr S_W / tr S_B. Classes are the labels, or a probe's nearest prototypes; of these the ratio is the steadier measure.

Of a whole path there is one row each, at the last step: `crossing`, the step at which the coordinate rises through 0;
`shape`, which of the four shapes the path has in the plane of the coordinate and ln NC1 by labels (without labels: ln
`nc1_ratio` of the probe's own classes, less that of the null), with what decided: `drop` (fall of ln NC1), `fall` (fall
back of the coordinate) and `delay` (ln of how many times later than the crossing NC1 has half fallen; where its
interval does not tell whether that is 10, the shape is undecidable); `alarm`, the step of a collapse alarm, and `lead`,
how many steps later the loss turns.

Caveats: the rule for shapes is this project's; the paper gives names and three questions, not numbers. The interval of
`drop` and `fall` allows for the search over all pairs of checkpoints. lambda_max is too large by chance where there are
few vectors for the dimensions; the null has that too. Intervals leave out tenths of the documents (of the samples,
where no document is told); where the two top eigenvalues are nearly equal that is too rough. Alarm and `lead` are
points without an interval.

Source: Yang (2026), arXiv 2605.24057; Papyan, Han and Donoho (2020), PNAS 117, 24652 (NC1).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, by_group
from queries.shared.path_rows import OF_PATH, path_rows
from queries.shared.path_words import path_words
from queries.shared.phase_paths import COORDINATES, Path, paths
from queries.shared.tables import schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.phase_track import MEASURES, Effort
from queries.stats.words import counted

KEYS = ("run", "representation", "measure", "step")
COLUMNS = {
    "null_mean": "Mean of the same over the draws of the null.",
    "null_low": "Smallest of the null.",
    "null_high": "Largest of the null.",
    "n_vectors": "Vectors whose covariance it is; the probes see at most 2,000 of them, whole documents.",
    "width": "Numbers of a vector.",
    "verdict": "Of `shape_...`: the shape. Of `crossing_...`: `of_vectors`, or `of_probe` where structureless vectors "
    "cross there too, so that it is the probe's own. Empty in other rows.",
    "reason": "Why there is no estimate or no interval, why a crossing is the probe's own, or what decided the shape.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("step", "n_vectors", "width"))
SHOWN = ("coordinate_em", "coordinate_sgd", "nc1_labels", "nc1_ratio_em")


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = Effort()) -> pl.DataFrame:  # noqa: B008
    """A row per run, representation, measure and step; `n` counts documents, or samples without documents."""
    if frame.is_empty():
        return stream([], rng, effort)
    seed = int(rng.integers(2**32))
    return pl.concat(stream([rows], np.random.default_rng(seed), effort) for _, rows in by_group(frame, ("run",)))


def stream(
    frames: Iterable[pl.DataFrame], rng: np.random.Generator, effort: Effort = Effort()  # noqa: B008
) -> pl.DataFrame:  # fmt: skip
    """The same of one run, whose rows come in frames."""
    run = ""

    def named() -> Iterable[pl.DataFrame]:
        nonlocal run
        for frame in frames:
            run = frame["run"][0]
            yield frame

    rows: list[dict[str, Any]] = []
    for path in paths(named(), rng, effort):
        shared = {"representation": path.representation, "width": path.width}
        found = [*_step_rows(path), *path_rows(path)]
        rows += [{"run": run, **shared, **row} for row in found]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _step_rows(path: Path) -> list[dict[str, Any]]:
    """The measures of every checkpoint; one that no checkpoint has is left out."""
    made = []
    for m, measure in enumerate(MEASURES):
        if not np.isfinite(path.values[:, m]).any():
            continue
        low, high = path.series(measure).ends
        if measure not in COORDINATES:
            low, high = np.exp(low), np.exp(high)
        for t, step in enumerate(path.step):
            null = path.null[t, :, m]
            known = bool(np.isfinite(low[t] + high[t]))
            made.append(
                {
                    "measure": measure, "step": int(step), "estimate": float(path.values[t, m]),
                    "low": float(low[t]) if known else float("nan"), "high": float(high[t]) if known else float("nan"),
                    "n": int(path.n_units[t]), "n_vectors": int(path.n_rows[t]), "null_mean": float(null.mean()),
                    "null_low": float(null.min()), "null_high": float(null.max()), "verdict": "",
                    "reason": "" if known else _reason(path, t, measure),
                }
            )  # fmt: skip
    return made


def _reason(path: Path, t: int, measure: str) -> str:
    if not np.isfinite(path.values[t, 0]) or not path.values[t, 0] > 0:
        return "the vectors do not vary"
    if not np.isfinite(path.values[t, MEASURES.index(measure)]):
        return "no two classes apart, or vectors that are all prototypes"
    if path.values[t, MEASURES.index(measure)] == 0:
        return "0, of which there is no logarithm, and of that the interval would be"
    if path.n_units[t] < MIN_DOCUMENTS:
        return f"only {counted(int(path.n_units[t]), 'document')}; at least {MIN_DOCUMENTS} are needed"
    return "without some group of documents there is no number"


def answer(table: pl.DataFrame) -> str:
    """A line per run and representation."""
    return "\n".join(
        f"- `{run}`: {representation}: {path_words(rows)}"
        for (run, representation), rows in by_group(table, ("run", "representation"))
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """What is read from whole paths, and the coordinates at three steps; at most 60 rows."""
    shown = []
    for _, rows in by_group(table, ("run", "representation")):
        steps = rows["step"].unique().sort()
        some = [steps[i] for i in sorted({0, len(steps) // 2, len(steps) - 1})]
        of_steps = rows.filter(pl.col("measure").is_in(SHOWN), pl.col("step").is_in(some))
        shown.append(pl.concat([rows.filter(pl.col("measure").is_in(list(OF_PATH))), of_steps]))
    return pl.concat([*shown, table.clear()]).head(60).drop("width")


ANALYSIS = Analysis(
    chapter="Training",
    keys=KEYS,
    unit="ln ratio (`coordinate`, `drop`, `fall`, `delay`), steps (`crossing`, `alarm`, `lead`), ratio (`nc1`, "
    "`anisotropy`), dimensions (`participation`), 1 / variance (`beta`), variance (`lambda_max`, `trace`)",
    resampled="documents, or samples, a tenth of them left out in turn",
    counts="documents, or samples where there are no documents,",
    columns=COLUMNS,
    chart=Chart("phase", tables=("phase",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("trajectory_states.vector",),
    key_columns={
        "representation": "Which vectors: `residual`, `layer 3`, `leading neurons`, or the `states` of a file.",
        "step": "Training step of the checkpoint; of what is read from a whole path the last one.",
    },
    subject="checkpoints of a training",
    subject_from="rt sweep --model FOLDER --revisions 'step*'",
    over_steps=True,
    stream=stream,
    pieces=("run", "representation", "step", "sample"),
)
