"""Rows of the checkpoints of a training in their order: a measure with its changes, and the tail indices of weights."""

from collections.abc import Sequence

import numpy as np

from queries.shared.steps import Sweep
from queries.shared.tables import Row
from queries.stats.step_measures import tail_changes, tail_index
from queries.stats.trajectory import Changes, Intervals

NO_TAIL = "too few neurons with weights, or a spectrum without a tail"


def step_rows(measure: str, steps: Sequence[int], at: Intervals, change: Changes, reasons: Sequence[str]) -> list[Row]:
    """The rows of one measure, `at` and `change` (S,), with the `reasons` (S,) why there is no number."""
    begun = change.emerged
    return [
        {
            "measure": measure, "step": step, "reference": steps[0], "estimate": at.estimate[i],
            "low": at.low[i], "high": at.high[i], "difference": change.at.estimate[i],
            "difference_low": change.at.low[i], "difference_high": change.at.high[i],
            "wide_low": change.wide_low[i], "wide_high": change.wide_high[i], "p": change.p[i],
            "emerged": steps[begun] if begun > 0 else None,
            "emerged_after": steps[begun - 1] if begun > 0 else None,
            "reason": reasons[i],
        }
        for i, step in enumerate(steps)
    ]  # fmt: skip


def alpha_rows(sweep: Sweep, rng: np.random.Generator, n_halves: int) -> list[Row]:
    """Tail indices of the leading neurons' weights and of the others', by side and step."""
    rows: list[Row] = []
    for side in dict.fromkeys(side for of in sweep.checkpoints for side in of.weights):
        groups = [of.weights.get(side, np.zeros((0, 0, 0))) for of in sweep.checkpoints]
        for name, of_name in ((f"alpha_{side}", slice(1)), (f"alpha_{side}_rest", slice(1, None))):
            seed = int(rng.integers(2**63))  # the same halves of the columns at every checkpoint
            tails = [tail_index(each[of_name], n_halves, np.random.default_rng(seed)) for each in groups]
            at = Intervals(*(np.array([getattr(each, end) for each in tails]) for end in ("value", "low", "high")))
            reasons = ["" if np.isfinite(each.low) else NO_TAIL for each in tails]
            rows += step_rows(name, sweep.steps, at, tail_changes(tails, groups[0].shape[1]), reasons)
    return rows
