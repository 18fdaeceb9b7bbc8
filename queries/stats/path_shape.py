"""Which shape has a training's path in the plane of the phase coordinate and ln NC1?

The four names are those of the theory: `full_v`, `fold_back`, `delayed_escape`, `no_arc`. It tells them apart by three
questions (is the start below critical, does beta or beta_c grow faster after the onset, is the escape slow), but where
it could be read it gives no rule for data. The rule here, x being the coordinate and y ln NC1:

no arc           y falls nowhere by `DROP` or more, or its interval does not exclude 0
delayed escape   x rises through 0, and y has not made half its fall when `DELAY` times as many steps are over
fold-back        x falls from its highest value after y's fall has begun, by `FALL` or more
full V           x does not

A delay is called one only if its whole interval is `DELAY` or more, and called none only if its whole interval is less;
what lies between is undecidable, as is a delay after a crossing that structureless vectors have as early. A fall that
is large enough but that its interval does not hold apart from 0, and from the fall of structureless vectors between
the same checkpoints, leaves the shape undecidable between the last two.
Every fall is searched for over all pairs of checkpoints, and its interval allows for that search.
Shapes: T checkpoints, G groups of documents left out in turn.
Source: Yang (2026), arXiv 2605.24057 (names and questions); the rule is this project's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.step_series import Crossing, Difference, StepSeries, crosses_there_too, crossing, largest_fall

SHAPES = ("full_v", "fold_back", "delayed_escape", "no_arc")
UNDECIDABLE = "undecidable"
DROP = 0.5  # of ln NC1: it falls to 61 % or less
FALL = 0.2  # of the coordinate
DELAY = 10.0
MIN_CHECKPOINTS = 5
OWN = "structureless vectors cross there too: the crossing is the probe's own"
_NOTHING = Difference(np.nan, np.nan, np.nan, -1, -1)


@dataclass(frozen=True)
class Delay:
    """ln((1 + step of escape) / (1 + step of crossing)), from the checkpoints around both; NaN with a `reason`."""

    value: float
    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True)
class PathShape:
    """The shape, why, and what was measured for it: fall of y, fall back of x, delay."""

    shape: str
    reason: str
    drop: Difference = _NOTHING
    fall: Difference = _NOTHING
    delay: Delay = field(default_factory=lambda: Delay(np.nan, np.nan, np.nan, "not asked: there is no arc"))


def path_shape(x: StepSeries, y: StepSeries, name: str = "ln NC1", null: Sequence[StepSeries] = ()) -> PathShape:
    """The shape of the path of x (T,) and y (T,), of the same checkpoints; `name` is what y is, `null` x without it.

    Where a series of the `null` crosses 0 as early as x, that crossing tells nothing and no escape is called delayed;
    where one falls back as far as x may have, no fold-back is called.
    """
    known = np.isfinite(x.values) & np.isfinite(y.values)
    if known.sum() < MIN_CHECKPOINTS:
        words = (
            f"{known.sum()} of {len(known)} checkpoints have the coordinate and {name}; {MIN_CHECKPOINTS} are needed"
        )
        return PathShape(UNDECIDABLE, words)
    found = crossing(x)
    is_own = crosses_there_too(found, null)
    x, y = (StepSeries(each.step[known], each.values[known], each.without[:, known]) for each in (x, y))
    drop = largest_fall(y, DROP)
    if np.isnan(drop.low):
        why = "too few documents" if len(y.without) < MIN_DOCUMENTS else "without some documents there is no number"
        return PathShape(UNDECIDABLE, f"no interval of the fall of {name}: {why}", drop)
    if not (drop.value >= DROP and drop.low > 0):
        short = f"the largest fall of {name} is {drop.value:.2f}, of {DROP} that are asked"
        held = f"the interval of the largest fall of {name} reaches {drop.low:.2f}"
        return PathShape("no_arc", short if drop.value < DROP else held, drop)
    fall, delay = largest_fall(x, FALL, drop.earlier), _delay(found, y, drop)
    falls = [each.values[known][fall.earlier] - each.values[known][fall.later] for each in null]
    shape, reason = _by_delay(delay, is_own, name) or _by_fall(fall, max(falls, default=0.0))
    return PathShape(shape, reason, drop, fall, replace(delay, reason=OWN if is_own else delay.reason))


def _by_delay(delay: Delay, is_own: bool, name: str) -> tuple[str, str] | None:
    """Whether the escape is delayed, or cannot be told, and why; None where it is not, or nothing crosses."""
    if np.isnan(delay.value) or delay.high < np.log(DELAY):
        return None
    later = f"half the fall of {name} comes {np.exp(delay.value):.3g} times later than the crossing"
    if is_own:
        return UNDECIDABLE, f"delayed escape or not: {later}, but {OWN}"
    if delay.low >= np.log(DELAY):
        return "delayed_escape", later
    if np.isnan(delay.low):
        return UNDECIDABLE, f"delayed escape or not: {later}, which has no interval ({delay.reason})"
    ends = f"({np.exp(delay.low):.3g} to {np.exp(delay.high):.3g})"
    return UNDECIDABLE, f"delayed escape or not: {later} {ends}, where {DELAY:g} are asked"


def _by_fall(fall: Difference, of_null: float) -> tuple[str, str]:
    """Whether the coordinate falls back, and why; `of_null` is how far structureless vectors do in the same steps."""
    if not fall.value >= FALL:
        words = "the coordinate does not fall back" if not fall.value > 0 else f"it falls back by {fall.value:.2f} only"
        return "full_v", words
    if not fall.low > 0:
        words = f"the coordinate falls back by {fall.value:.2f}, but the interval of that reaches 0"
        return UNDECIDABLE, f"full V or fold-back: {words}"
    if not fall.low > of_null:
        words = f"the coordinate falls back by {fall.value:.2f} ({fall.low:.2f} to {fall.high:.2f})"
        return UNDECIDABLE, f"full V or fold-back: {words}, structureless vectors by {of_null:.2f} in the same steps"
    return "fold_back", f"the coordinate falls back by {fall.value:.2f}"


def _delay(found: Crossing, y: StepSeries, drop: Difference) -> Delay:
    """How long after the crossing y has made half of its fall."""
    nan = float("nan")
    if np.isnan(found.step):
        return Delay(nan, nan, nan, f"the coordinate: {found.reason}")
    half = y.values[drop.earlier] - 0.5 * drop.value
    after = drop.earlier + int(np.flatnonzero(y.values[drop.earlier : drop.later + 1] <= half)[0])
    first, last = np.log1p(y.step[after - 1]), np.log1p(y.step[after])
    low = first - np.log1p(found.high)
    return Delay(
        float((first + last) / 2 - np.log1p(found.step)), float(low), float(last - np.log1p(found.low)), found.reason
    )
