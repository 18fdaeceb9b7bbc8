"""How long after memorising does a network generalise, and how does weight decay set that time?

Of every training with accuracies: `memorisation`, the first step with a training accuracy above 0.99; `crossing`, where
the phase coordinate of the gradient probe rises through 0 (see `phase`); `escape`, the first step with a test accuracy
above 0.99; `plateau`, how many steps the escape comes after the crossing. A first step is known only to lie between two
checkpoints: these are its interval, and the estimate is between them in ln(1 + step).

Rows of `weight decay ...` are geometric means of the escape over its seeds, with Student's interval. Rows of `all runs`
hold the law: ln escape = a + b ln(weight decay), a power law (`power_exponent` is b), against ln escape = a + b (weight
decay), an exponential (`exponential_rate`); `aic_difference` and `bic_difference` are those of the exponential less
those of the power law: from 2 on the power law is preferred, from -2 down the exponential, and neither between them.
Published for addition modulo 97: b = -1.225.

Caveats: runs that do not escape are left out of the law, which is then one of those that do; `n` counts escapes. The
law takes the middle of each interval as if it were the escape. A crossing depends on how fast the probe is trained: one
that structureless vectors have as early gives no `plateau`.

Source: Yang (2026), arXiv 2605.24057; Power et al. (2022), arXiv 2201.02177 (grokking).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from queries import Analysis, Chart, by_group
from queries.shared.tables import schema_of
from queries.stats.escape_law import FirstStep, LawFit, first_above, law_fit
from queries.stats.words import counted

KEYS = ("run", "representation", "measure")
COLUMNS = {
    "weight_decay": "Weight decay of the training.",
    "seed": "Seed of the training.",
    "n_censored": "Trainings that did not escape up to their last checkpoint.",
    "intercept": "Of a law: ln escape where the predictor is 0.",
    "reason": "Why there is no estimate or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("n_censored", "seed"))
THRESHOLD = 0.99
PREFERRED = 2.0  # difference of AIC from which one law is preferred (Burnham and Anderson, 2002)
ALL = "all runs"
_NAN = float("nan")
Row = dict[str, Any]


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of each training, of each weight decay, and of the law over them; nothing is drawn."""
    del rng
    rows: list[Row] = []
    for (representation,), group in by_group(frame, ("representation",)):
        of_runs = [
            {"run": run, "representation": representation, **row}
            for (run,), steps in by_group(group, ("run",))
            for row in _run_rows(steps.sort("step"))
        ]
        escapes = [row for row in of_runs if row["measure"] == "escape"]
        over = [*_decay_rows(escapes), *_law_rows(escapes)]
        rows += [*of_runs, *({"representation": representation, **row} for row in over)]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _run_rows(steps: pl.DataFrame) -> list[Row]:
    """Memorisation, crossing, escape and plateau of one training."""
    step = steps["step"].to_numpy()
    first = steps.row(0, named=True)
    memorised, escape = (
        first_above(step, steps[f"{part}_accuracy"].to_numpy(), THRESHOLD) for part in ("train", "test")
    )
    at, low, high = (_number(first[name]) for name in ("crossing", "crossing_low", "crossing_high"))
    crossing = FirstStep(at, low, high)
    shared = {
        "n": 1, "n_censored": int("censored" in escape.reason), "weight_decay": _number(first["weight_decay"]),
        "seed": first["seed"], "intercept": _NAN,
    }  # fmt: skip
    plateau = (escape.step - crossing.step, escape.low - crossing.high, escape.high - crossing.low)
    if first["crossing_verdict"] == "of_probe":
        plateau = (_NAN, _NAN, _NAN)
    why = escape.reason or (first["crossing_reason"] or "")
    found = {
        "memorisation": (memorised.step, memorised.low, memorised.high, memorised.reason),
        "crossing": (crossing.step, crossing.low, crossing.high, first["crossing_reason"] or ""),
        "escape": (escape.step, escape.low, escape.high, escape.reason),
        "plateau": (*plateau, why),
    }
    return [{"measure": name, **_ends(*each), **shared} for name, each in found.items()]


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)


def _ends(value: float, low: float, high: float, reason: str) -> Row:
    """An estimate with its interval, both ends or none."""
    known = bool(np.isfinite(value + low + high))
    return {
        "estimate": value, "low": low if known else _NAN, "high": high if known else _NAN,
        "reason": "" if known else reason or "no interval",
    }  # fmt: skip


def _decay_rows(escapes: Sequence[Row]) -> list[Row]:
    """Geometric mean of the escapes of each weight decay over its seeds."""
    made = []
    for decay in sorted({row["weight_decay"] for row in escapes if np.isfinite(row["weight_decay"])}):
        of_decay = [row for row in escapes if row["weight_decay"] == decay]
        logs = np.log([row["estimate"] for row in of_decay if np.isfinite(row["estimate"])])
        mean, reach = (float(logs.mean()) if len(logs) else _NAN), _NAN
        if len(logs) > 1:
            reach = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
        reason = f"{counted(len(logs), 'escape')} at this weight decay; an interval over seeds needs 2"
        middle, low, high = (float(np.exp(each)) for each in (mean, mean - reach, mean + reach))
        ends = _ends(middle, low, high, reason)
        made.append({"run": f"weight decay {decay:g}", "measure": "escape", **ends, **_shared(of_decay, decay)})
    return made


def _shared(escapes: Sequence[Row], decay: float = _NAN) -> Row:
    n = sum(bool(np.isfinite(row["estimate"])) for row in escapes)
    censored = sum(row["n_censored"] for row in escapes)
    return {"n": n, "n_censored": censored, "weight_decay": decay, "seed": None, "intercept": _NAN}


def _law_rows(escapes: Sequence[Row]) -> list[Row]:
    """Both laws over the trainings with a weight decay above 0 that escaped, and which is preferred."""
    known = [row for row in escapes if np.isfinite(row["estimate"]) and row["weight_decay"] > 0]
    decay = np.array([row["weight_decay"] for row in known])
    tau = np.array([row["estimate"] for row in known])
    power, exponential = law_fit(np.log(decay), tau), law_fit(decay, tau)
    shared = {"run": ALL, **_shared(escapes), "n": len(known)}
    rows = [_law_row(name, fit, shared) for name, fit in (("power_exponent", power), ("exponential_rate", exponential))]
    for name in ("aic", "bic"):
        difference = getattr(exponential, name) - getattr(power, name)
        reason = power.reason or "a difference of two fits: no interval"
        rows.append({**shared, "measure": f"{name}_difference", **_ends(difference, _NAN, _NAN, reason)})
    return rows


def _law_row(name: str, fit: LawFit, shared: Row) -> Row:
    return {**shared, "measure": name, **_ends(fit.slope, fit.low, fit.high, fit.reason), "intercept": fit.intercept}


def answer(table: pl.DataFrame) -> str:
    """A line per training, and one on the law."""
    lines = []
    for (run, _), rows in by_group(table, ("run", "representation")):
        found = {row["measure"]: row for row in rows.iter_rows(named=True)}
        if run == ALL:
            lines.append(f"- {_law_words(found)}")
        elif "memorisation" in found:
            said = [f"{name} {_step_words(found[name])}" for name in ("memorisation", "crossing", "escape")]
            decay = found["escape"]["weight_decay"]
            lines.append(f"- `{run}`{f', weight decay {decay:g}' if np.isfinite(decay) else ''}: {'; '.join(said)}.")
    return "\n".join(lines)


def _step_words(row: Row) -> str:
    if not np.isfinite(row["estimate"]):
        return f"not seen ({row['reason']})"
    reach = f" ({row['low']:.5g} to {row['high']:.5g})" if np.isfinite(row["low"]) else ""
    return f"at step {row['estimate']:.4g}{reach}"


def _law_words(found: dict[str, Row]) -> str:
    power, aic = found["power_exponent"], found["aic_difference"]["estimate"]
    censored = f", {counted(power['n_censored'], 'training')} without an escape left out" if power["n_censored"] else ""
    if not np.isfinite(power["estimate"]):
        return f"No law over weight decays: {power['reason']}{censored}."
    better = "neither a power law nor an exponential is preferred"
    if abs(aic) >= PREFERRED:
        better = "the power law is preferred to an exponential" if aic > 0 else "an exponential is preferred"
    return (
        f"ln escape = {power['intercept']:.3f} {power['estimate']:+.3f} ln(weight decay), exponent "
        f"{power['low']:.3f} to {power['high']:.3f} from {counted(power['n'], 'escape')}{censored}; {better} "
        f"(difference of AIC {aic:.1f})."
    )


ANALYSIS = Analysis(
    chapter="Training",
    keys=KEYS,
    unit="steps; exponents of the law; differences of AIC and BIC",
    resampled="nothing: intervals are between checkpoints, over seeds, or of a least-squares slope",
    counts="escapes",
    columns=COLUMNS,
    chart=Chart("escape", tables=("grokking",)),
    estimate=estimate,
    answer=answer,
    needs=("trajectory_states.train_accuracy", "trajectory_states.test_accuracy"),
    uses=("phase",),
    key_columns={
        "run": "The training; `weight decay ...`: over the seeds of it; `all runs`: the law over weight decays.",
        "representation": "Whose phase coordinate the crossing is of.",
    },
    subject="trainings with accuracies, in files",
    subject_from="rt run grokking --states FILE",
    is_across_runs=True,
)
