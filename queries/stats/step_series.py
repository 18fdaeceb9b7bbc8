"""Numbers along a training with leave-one-group-out replicates: differences between checkpoints, and crossings.

The same documents are seen at every checkpoint, so differences are made within each replicate: what a document does at
all checkpoints alike does not count. Shapes: T checkpoints in order, G groups of documents left out in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import studentise

Array = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class StepSeries:
    """`values` (T,) of the checkpoints `step` (T,), increasing, and `without` (G, T), each group left out."""

    step: Steps
    values: Array
    without: Array

    @property
    def ends(self) -> tuple[Array, Array]:
        """Ends (T,) and (T,) of the 95 % intervals of the values; NaN with fewer than `MIN_DOCUMENTS` groups.

        A value that no group moves, such as a starting value that is set, is its own interval.
        """
        if len(self.without) < MIN_DOCUMENTS:
            return np.full(len(self.values), np.nan), np.full(len(self.values), np.nan)
        found = studentise(self.values, self.without)
        size = 1e-12 * np.maximum(np.abs(self.values), 1)
        fixed = np.isfinite(self.values) & (np.abs(self.without - self.values) <= size).all(axis=0)
        return np.where(fixed, self.values, found.low), np.where(fixed, self.values, found.high)

    def reach(self, earlier: Steps, later: Steps, n_looks: int) -> Array:
        """Half-widths (M,) of intervals of M differences of checkpoints, at 95 % for `n_looks` of them together.

        With G - 1 degrees of freedom: those that the groups really contribute are too roughly known so far out.
        """
        n = len(self.without)
        if n < MIN_DOCUMENTS:
            return np.full(len(earlier), np.nan)
        apart = self.without[:, earlier] - self.without[:, later]
        error = np.sqrt((n - 1) / n * ((apart - apart.mean(axis=0)) ** 2).sum(axis=0))
        half: Array = special.stdtrit(n - 1, 1 - 0.025 / n_looks) * error
        return half


@dataclass(frozen=True)
class Difference:
    """A difference of two checkpoints that was searched for: its interval allows for the search."""

    value: float
    low: float
    high: float
    earlier: int
    later: int


def largest_fall(series: StepSeries, size: float = 0.0, start: int = 0) -> Difference:
    """The surest fall of at least `size` from a checkpoint to a later one, both from place `start` on.

    Of all pairs that fall by `size` the one whose interval has the highest low end; if none falls so far, the largest
    fall. A pair without an interval is taken only where no such pair has one. Intervals are Bonferroni's, for all pairs
    together. NaN with places -1 with fewer than two known values.

    >>> step, values = np.arange(4), np.array([1.0, 3.0, 2.0, 0.5])
    >>> found = largest_fall(StepSeries(step, values, np.tile(values, (5, 1))))
    >>> found.value, found.earlier, found.later
    (2.5, 1, 3)
    """
    known = np.flatnonzero(np.isfinite(series.values) & (np.arange(len(series.values)) >= start))
    if len(known) < 2:
        return Difference(np.nan, np.nan, np.nan, -1, -1)
    first, second = (known[each] for each in np.triu_indices(len(known), 1))
    fall = series.values[first] - series.values[second]
    reach = series.reach(first, second, len(fall))
    is_large = fall >= size
    among = np.isfinite(reach) & (is_large | ~is_large.any())
    rank = np.where(among, fall - np.where(is_large, reach, 0.0), -np.inf) if among.any() else fall
    best = int(rank.argmax())
    value, half = float(fall[best]), float(reach[best])
    return Difference(value, value - half, value + half, int(first[best]), int(second[best]))


@dataclass(frozen=True)
class Crossing:
    """The step at which a series first rises through 0, the checkpoints that bound it; NaN with a `reason`."""

    step: float
    low: float
    high: float
    reason: str = ""


def crossing(series: StepSeries) -> Crossing:
    """The first upward crossing of 0, interpolated in ln(1 + step) between the checkpoints around it.

    Its interval goes from the last checkpoint before it whose interval is wholly below 0 to the first after it whose
    interval is wholly above: never finer than the checkpoints.

    >>> values = np.array([-1.0, 1.0])
    >>> found = crossing(StepSeries(np.array([0, 8]), values, np.tile(values, (5, 1))))
    >>> round(found.step, 6), found.low, found.high
    (2.0, 0.0, 8.0)
    """
    nan = float("nan")
    known = np.isfinite(series.values)
    step, values = series.step[known], series.values[known]
    low, high = (end[known] for end in series.ends)
    if not len(values):
        return Crossing(nan, nan, nan, "no value at any checkpoint")
    if values[0] >= 0:
        return Crossing(nan, nan, nan, f"not below 0 at the first checkpoint, step {step[0]}: no crossing is seen")
    above = np.flatnonzero(values >= 0)
    if not len(above):
        return Crossing(nan, nan, nan, f"below 0 up to the last checkpoint, step {step[-1]}")
    i = int(above[0])
    share = values[i - 1] / (values[i - 1] - values[i])
    place = np.log1p(step[i - 1]) + share * (np.log1p(step[i]) - np.log1p(step[i - 1]))
    at = float(np.clip(np.expm1(place), step[i - 1], step[i]))
    if len(series.without) < MIN_DOCUMENTS:
        return Crossing(at, nan, nan, f"too few documents for an interval; at least {MIN_DOCUMENTS} are needed")
    below, beyond = np.flatnonzero(high[:i] < 0), np.flatnonzero(low[i:] > 0)
    if not len(below) or not len(beyond):
        where = "below 0 before it" if not len(below) else "above 0 after it"
        return Crossing(at, nan, nan, f"no checkpoint whose interval is wholly {where}")
    return Crossing(at, float(step[below[-1]]), float(step[i + beyond[0]]))


def crosses_there_too(found: Crossing, others: Sequence[StepSeries]) -> bool:
    """Whether one of `others` first rises through 0 in the interval of the crossing `found`, or earlier.

    If none does, the series is wholly above 0 at a checkpoint at which all others are still below.

    >>> def line(*values):
    ...     return StepSeries(np.array([0, 8, 16]), np.array(values), np.tile(values, (5, 1)))
    >>> found = crossing(line(-1.0, 1.0, 2.0))
    >>> crosses_there_too(found, [line(-3.0, 1.0, 2.0)]), crosses_there_too(found, [line(-2.0, -1.0, 1.0)])
    (True, False)
    """
    latest = found.high if np.isfinite(found.high) else found.step
    return any(crossing(other).step <= latest for other in others)
