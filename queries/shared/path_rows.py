"""Rows of what is read from a whole path: crossing, shape, its margins, alarm and lead, for each of the two betas."""

from typing import Any

import numpy as np

from queries.shared.phase_paths import PROBES, Path
from queries.stats.collapse_alarm import alarm, loss_turn
from queries.stats.path_shape import OWN, Delay, PathShape, path_shape
from queries.stats.step_series import Difference, crosses_there_too, crossing

Row = dict[str, Any]
OF_PATH = tuple(
    f"{name}_{probe}" for probe in PROBES for name in ("crossing", "shape", "drop", "fall", "delay", "alarm", "lead")
)
_NAN = float("nan")


def path_rows(path: Path) -> list[Row]:
    """The rows of `OF_PATH`, at the last step."""
    made = []
    for probe in PROBES:
        coordinate = f"coordinate_{probe}"
        found = path_shape(path.series(coordinate), *path.collapse_series(probe), path.null_series(coordinate))
        rows = {"crossing": _crossing(path, probe), **_shape(found), **_alarm(path, probe)}
        made += [{"measure": f"{name}_{probe}", **row} for name, row in rows.items()]
    shared = {
        "step": int(path.step[-1]), "n": int(path.n_units[-1]), "n_vectors": int(path.n_rows[-1]),
        "null_mean": _NAN, "null_low": _NAN, "null_high": _NAN, "verdict": "",
    }  # fmt: skip
    return [{**shared, **row} for row in made]


def _row(value: float, low: float, high: float, reason: str, **more: Any) -> Row:
    """An estimate; without both ends of its interval it has a reason."""
    known = bool(np.isfinite(value + low + high))
    ends = {"low": low, "high": high} if known else {"low": _NAN, "high": _NAN}
    return {"estimate": value, **ends, "reason": reason if reason or known else "too few documents", **more}


def _crossing(path: Path, probe: str) -> Row:
    """The step of the crossing, those of the null, and in `verdict` whose crossing it is."""
    found, nulls = crossing(path.series(f"coordinate_{probe}")), path.null_series(f"coordinate_{probe}")
    steps = np.array([crossing(each).step for each in nulls])
    more: dict[str, Any] = {}
    if np.isfinite(steps).all() and len(steps):
        more = {"null_mean": float(steps.mean()), "null_low": float(steps.min()), "null_high": float(steps.max())}
    reason = found.reason
    if np.isfinite(found.step):
        is_own = crosses_there_too(found, nulls)
        more["verdict"], reason = ("of_probe", OWN) if is_own else ("of_vectors", reason)
    return _row(found.step, found.low, found.high, reason, **more)


def _shape(found: PathShape) -> dict[str, Row]:
    rows = {"shape": _row(_NAN, _NAN, _NAN, found.reason, verdict=found.shape)}
    for name in ("drop", "fall"):
        each: Difference = getattr(found, name)
        reason = "" if np.isfinite(each.value) else "not asked: there is no arc, or no number"
        rows[name] = _row(each.value, each.low, each.high, reason)
    delay: Delay = found.delay
    return {**rows, "delay": _row(delay.value, delay.low, delay.high, delay.reason)}


def _alarm(path: Path, probe: str) -> dict[str, Row]:
    """The step of the alarm, and how many steps later the loss turns; points without an interval."""
    coordinate, loss = path.series(f"coordinate_{probe}").values, path.facts["loss"]
    if not np.isfinite(coordinate).all():
        none = _row(_NAN, _NAN, _NAN, "a checkpoint has no coordinate")
        return {"alarm": none, "lead": none}
    place = alarm(coordinate)
    at = float(path.step[place]) if place >= 0 else _NAN
    row = _row(at, _NAN, _NAN, "a point: no interval" if place >= 0 else "no alarm")
    if not np.isfinite(loss).all():
        return {"alarm": row, "lead": _row(_NAN, _NAN, _NAN, "the loss is not known at every checkpoint")}
    turn = loss_turn(loss)
    if place < 0 or turn < 0:
        return {"alarm": row, "lead": _row(_NAN, _NAN, _NAN, "no alarm" if place < 0 else "the loss does not turn")}
    return {"alarm": row, "lead": _row(float(path.step[turn]) - at, _NAN, _NAN, "a point: no interval")}
