"""When in training does the plateau of rare tokens emerge, and what else changes then?

Every checkpoint of a sweep read the same text. Of each, and of rare and of common tokens: the mean `loss`; of the
ranked curve of influences, cut into three regimes, `plateau_size` (ranks), `kappa` (minus the slope of the middle
regime), the shares of the three regimes and `delta_bias`, how far the plateau lies above the continued middle line (ln,
averaged over the plateau's ranks); `overlap`, the Jaccard index of the plateau set with that of the last checkpoint;
`d95` and `participation`, dimensions per neuron that the activations of the leading neurons span (the 32 that are most
influential at the last checkpoint, at most a quarter of all, followed back through the training); `alpha_in`,
`alpha_gate`, `alpha_out`, the tail index of the spectrum of their weights, and `..._rest` of equally many others.

`difference` is the change since the first checkpoint, which should be the untrained model (step 0), in the same
resamples of documents, with its interval; of dimensions, which shrink where documents are drawn twice, without some
documents in turn; of alphas in the same halves of the columns. As many checkpoints are looked at, a change counts only
if the simultaneous 95 % intervals (`wide_low`, `wide_high`) exclude zero; `p` is corrected in the same way. `emerged`
is the first step from which on they exclude zero at every later checkpoint too, in one direction; `emerged_after` the
checkpoint before, at which the change may have been there too, but too small to be shown. `rare_minus_common` asks the
same of the difference between the classes.

That three regimes emerge is `supported` if the plateau of rare tokens at the last checkpoint is one beyond smooth laws
(the verdict of `regimes`) and its `delta_bias` has risen since the first one; `contradicted` if such a plateau is
excluded at the end, or a rise that doubles the influence is; else `undecidable`.

Caveats: any curve can be cut into three regimes, an untrained model's too, which is why changes are what counts. A
change of the loss or of kappa is no plateau. Emergence is seen when the intervals resolve it: with more documents it is
seen earlier. The leading neurons are those of the last checkpoint: before, others may lead. The intervals of the alphas
are over columns of the weights, the same at every checkpoint, and cautious: few eigenvalues decide. A breakpoint at an
end of the range in which it is sought lies there or beyond (`reason`). Where the first checkpoint is not step 0, the
reference is a trained model.

Source: Liu et al. (2025), arXiv 2505.12822, section 3, with 2509.21163 (regimes along the Pythia checkpoints); the
simultaneous intervals follow Westfall and Young (1993), Resampling-Based Multiple Testing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.step_rows import alpha_rows, step_rows
from queries.shared.step_words import CLAIM, CLASSES, CONTRAST, step_words
from queries.shared.steps import Sweep, read_sweep
from queries.shared.tables import schema_of
from queries.stats.bootstrap import absence_reason, document_weights
from queries.stats.coordination import MAX_SETS
from queries.stats.emergence import Emergence, decide_emergence
from queries.stats.step_measures import DIMENSIONS, curves, group_dimensions, mean_loss, overlaps
from queries.stats.trajectory import Changes, Trajectory, changes, intervals, jackknifed

Array = NDArray[np.float64]

KEYS = ("run", "token_class", "measure", "step")
# Those that ranking noisy values stretches, or that have no bias to speak of; the others are places, shares and sets.
LEVELS = ("loss", "kappa", "delta_bias")
MEASURES = (*LEVELS, *DIMENSIONS, "plateau_size", "plateau_share", "power_share", "decay_share", "overlap")
COLUMNS = {
    "n_positions": "Positions of the class.",
    "reference": "Step of the first checkpoint, which `difference` is taken from.",
    "difference": "Change since the reference. Of what is resampled (not of dimensions and alphas) the bias is taken "
    "out, which can differ a little from the difference of two estimates.",
    "difference_low": "Low end of its 95 % interval.",
    "difference_high": "High end of its 95 % interval.",
    "wide_low": "Low end of the simultaneous 95 % interval of the change, over all checkpoints.",
    "wide_high": "High end of it.",
    "p": "p of the change, corrected for all checkpoints.",
    "emerged": "Step from which on the change stays out of zero; null where it does not.",
    "emerged_after": "The checkpoint before that: there already, perhaps, but too small to be shown.",
    "verdict": "Three regimes emerge: in the row of `delta_bias` of rare tokens at the last step.",
    "reason": "Why, in words; or why there is no number, or only an end of a range.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["step", "n_positions", "reference", "emerged", "emerged_after"])


@dataclass(frozen=True)
class Effort:
    """Draws: `replicates` of the documents, `halves` of the columns. Calibration makes do with fewer."""

    replicates: int = 1000
    halves: int = 49


FULL = Effort()


@dataclass(frozen=True)
class Measured:
    """One class of a sweep: (S, 1 + B) values by measure, the data first; `notes` by measure and step.

    Of dimensions, which shrink where documents are drawn twice, (S, 1 + G): without one of G groups of documents each.
    `absent`: why there are no values, if so.
    """

    values: dict[str, Array]
    notes: dict[tuple[str, int], str]
    absent: str = ""


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per sweep, class (and the contrast), measure and step."""
    rows: list[dict[str, Any]] = []
    for (run,), of_run in by_group(frame, ("run",)):
        documents = of_run.filter(pl.col("part") == "influence")["item"].unique().sort().to_list()
        sweeps = {name: read_sweep(part, documents) for (name,), part in by_group(of_run, ("token_class",))}
        weights = document_weights(len(documents), effort.replicates, rng)
        measured = {name: _measured(sweep, weights) for name, sweep in sweeps.items()}
        found = [row for name in sweeps for row in _class_rows(name, sweeps[name], measured[name], rng, effort)]
        if len(sweeps) == len(CLASSES):
            found += _contrast_rows(sweeps, measured)
        rows += [{"run": run, **row} for row in found]
    floats = [name for name, kind in SCHEMA.items() if kind == pl.Float64]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(floats).fill_null(float("nan"))).sort(KEYS)


def _measured(sweep: Sweep, weights: Array) -> Measured:
    """Every measure at every step, from the last one back: the plateau sets are held against it."""
    counts = sweep.checkpoints[0].counts
    values = {name: np.full((len(sweep.steps), 1 + len(weights)), np.nan) for name in MEASURES}
    notes: dict[tuple[str, int], str] = {}
    if absent := absence_reason(counts, weights):
        return Measured(values, notes, absent)
    values |= _dimensions(sweep, counts)
    last = None
    for i in reversed(range(len(sweep.checkpoints))):
        of = sweep.checkpoints[i]
        found = curves(of.influence, of.counts, weights)
        if last is None:
            last = found.members
            notes["overlap", of.step] = "the last checkpoint, with which the others are compared"
        else:
            values["overlap"][i] = overlaps(found.members, last)
        for name, value in {**found.measures, "loss": mean_loss(of.loss, of.counts, weights)}.items():
            values[name][i] = value
        notes |= {(name, of.step): note for name, note in found.notes.items() if note}
    return Measured(values, notes)


def _dimensions(sweep: Sweep, counts: Array) -> dict[str, Array]:
    """Dimensions (S, 1 + G) by name: of all, and without each of G groups of the documents that have `counts` (D,)."""
    left_out = _left_out(counts)
    values = {name: np.full((len(sweep.steps), 1 + len(left_out)), np.nan) for name in DIMENSIONS}
    for i, of in enumerate(sweep.checkpoints):
        if of.sums.size:
            for name, value in group_dimensions(of.products, of.sums, of.counts, left_out).items():
                values[name][i] = value
    return values


def _left_out(counts: Array) -> Array:
    """Weights (G, D) of the documents that have positions, `counts` (D,): all but those of one group at a time."""
    present = counts > 0
    n_groups = min(MAX_SETS, int(present.sum()))
    group = (np.cumsum(present) - 1) % max(1, n_groups)  # one without positions counts nowhere
    weights: Array = (group != np.arange(n_groups)[:, None]).astype(np.float64)
    return weights


def _class_rows(
    name: str, sweep: Sweep, measured: Measured, rng: np.random.Generator, effort: Effort
) -> list[dict[str, Any]]:
    """All rows of one class, without the run."""
    shared = {"token_class": name, "n": sweep.n_documents, "n_positions": sweep.n_positions}
    whole = np.ones((1, len(sweep.checkpoints[0].counts)))
    absent = absence_reason(sweep.checkpoints[0].counts, whole)
    rows: list[dict[str, Any]] = []
    for measure in MEASURES:
        part, change = _trajectory_rows(measure, sweep, measured, absent)
        if measure == CLAIM and name == "rare":
            _decide(part[-1], change, sweep, absent)
        rows += part
    return [{**shared, **row} for row in (*rows, *alpha_rows(sweep, rng, effort.halves))]


def _trajectory_rows(
    measure: str, sweep: Sweep, measured: Measured, absent: str
) -> tuple[list[dict[str, Any]], Changes]:
    """The rows of one measure and its changes."""
    values = measured.values[measure]
    if measure in DIMENSIONS:
        at, change = jackknifed(values[:, 0], values[:, 1:])
    else:
        of = Trajectory(values[:, 0], values[:, 1:], is_biased=measure in LEVELS)
        at = intervals(of, sweep.n_documents)
        change = changes(of, sweep.n_documents, is_last=measure != "overlap")
    steps, notes = sweep.steps, [measured.notes.get((measure, step), "") for step in sweep.steps]
    reasons = [note or _why_nothing(at.low[i], change.p[i], len(steps), i, absent) for i, note in enumerate(notes)]
    return step_rows(measure, steps, at, change, reasons), change


def _why_nothing(low: float, p: float, n_steps: int, i: int, absent: str) -> str:
    """Why a row has no interval, or no change; empty where it has both, or is the reference."""
    if np.isnan(low):
        return absent or "not measured, or without some documents there is no such number"
    if n_steps == 1:
        return "one checkpoint: there is nothing to compare it with"
    return (
        "the first checkpoint has no such number, or no documents tell the change's error" if i and np.isnan(p) else ""
    )


def _decide(row: dict[str, Any], change: Changes, sweep: Sweep, absent: str) -> None:
    """Put the verdict and its reason into the row of the last step."""
    steps = sweep.steps
    row["verdict"], row["reason"] = decide_emergence(
        Emergence(
            n_steps=len(steps), first=steps[0], plateau=sweep.verdict, low=float(change.wide_low[-1]),
            high=float(change.wide_high[-1]), rises_from=steps[change.emerged] if change.sign > 0 else None,
            absent=absent,
        )
    )  # fmt: skip


def _contrast_rows(sweeps: dict[str, Sweep], measured: dict[str, Measured]) -> list[dict[str, Any]]:
    """Rare minus common in the same resamples, of everything that has resamples."""
    rare, common = (sweeps[name] for name in ("rare", "common"))
    values = {
        name: measured["rare"].values[name] - measured["common"].values[name]
        for name in MEASURES
        if name not in DIMENSIONS
    }
    if measured["rare"].absent or measured["common"].absent:
        values |= {name: np.full((len(rare.steps), 1), np.nan) for name in DIMENSIONS}
    else:
        # the same documents are left out of both classes, also one that has positions of one class only
        documents = rare.checkpoints[0].counts + common.checkpoints[0].counts
        of_rare, of_common = (_dimensions(sweep, documents) for sweep in (rare, common))
        values |= {name: of_rare[name] - of_common[name] for name in DIMENSIONS}
    notes = {key: f"{name}: {note}" for name, of in measured.items() for key, note in of.notes.items()}
    n = min(rare.n_documents, common.n_documents)
    joint = Sweep(rare.checkpoints, n, rare.n_positions + common.n_positions, float("nan"))
    reason = "one of the classes has no such number"
    rows = [row for name in MEASURES for row in _trajectory_rows(name, joint, Measured(values, notes), reason)[0]]
    return [{"token_class": CONTRAST, "n": n, "n_positions": joint.n_positions, **row} for row in rows]


def answer(table: pl.DataFrame) -> str:
    """A list for each sweep: the verdict, when the plateau rose in each class, and what else changed by the end."""
    return "\n".join(step_words(str(run), part) for (run,), part in by_group(table, ("run",)))


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The plateau's height and size, kappa and the loss, at up to seven steps; of one sweep, what a page holds."""
    shown = ("delta_bias", "plateau_size", "kappa", "loss")
    columns = [*KEYS, "estimate", "low", "high", "difference", "wide_low", "wide_high", "p", "emerged", "verdict"]
    parts = []
    for _, part in by_group(table, ("run",)):
        steps = part["step"].unique().sort().to_list()
        some = sorted({steps[round(i)] for i in np.linspace(0, len(steps) - 1, 7)})
        parts.append(part.filter(pl.col("step").is_in(some), pl.col("token_class") != CONTRAST))
    rows = pl.concat(parts) if parts else table
    return rows.filter(pl.col("measure").is_in(shown)).select(columns).head(60)


def _at_the_end(table: pl.DataFrame) -> pl.DataFrame:
    """`Claim.findings`: the rise of the plateau of rare tokens, at the last checkpoint of each sweep."""
    last = table.filter(pl.col("step") == pl.col("step").max().over("run"))
    names = {"estimate": "difference", "low": "wide_low", "high": "wide_high"}
    return finding(q="p", names=names, bar=pl.lit(0.0), token_class="rare", measure=CLAIM)(last)


PANELS = {
    "loss": "loss (nats)", "plateau_size": "plateau size (ranks)", "delta_bias": "delta bias (ln)",
    "kappa": "kappa", "overlap": "overlap with the last", "participation": "participation ratio / neurons",
}  # fmt: skip

ANALYSIS = Analysis(
    chapter="Training",
    keys=KEYS,
    unit="nats, ranks, slopes, shares, ln and exponents",
    resampled="documents (of dimensions groups of them are left out in turn; of `alpha`: columns of the weights)",
    columns=COLUMNS,
    chart=Chart("steps", tables=("dynamics",), options={"panels": PANELS}),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    uses=("regimes",),
    claims=(
        Claim(
            "Three regimes emerge in training",
            "arXiv 2509.21163",
            "rise of the plateau over the continued power law since the first checkpoint (ln)",
            _at_the_end,
        ),
    ),
    subject="checkpoints of one training",
    subject_from="rt sweep --model FOLDER --revisions 'step*'",
    p_floors=(1 / (1 + FULL.replicates),),
    over_steps=True,
)
