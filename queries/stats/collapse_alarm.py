"""An alarm that a representation collapses while it is trained, and how long before the loss tells.

At each checkpoint only what came before is known. The alarm is given at the third checkpoint in a row at which the
coordinate is below its running maximum by more than 4 median absolute deviations of its increments so far, or at the
first at which it falls to 0 or through it. The loss turns by the same rule, upside down.
Shapes: T checkpoints in order.
Source: the rule is this project's; Hampel (1974), J. Am. Statist. Assoc. 69, 383 (median absolute deviation).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_DEVIATIONS = 4.0
N_IN_A_ROW = 3
MIN_INCREMENTS = 4


def deviation(increments: Array) -> float:
    """Median absolute deviation from the median.

    >>> deviation(np.array([1.0, 2.0, 3.0, 100.0]))
    1.0
    """
    return float(np.median(np.abs(increments - np.median(increments))))


def fallen(values: Array) -> int:
    """Place of the alarm for a fall from the running maximum in `values` (T,), which are finite; -1 if there is none.

    >>> fallen(np.array([0.0, 1.0, 2.1, 2.9, 4.0, 5.1, -3.0, -3.5, -4.0]))
    8
    """
    in_a_row = 0
    for t in range(MIN_INCREMENTS + 1, len(values)):
        before = values[:t]
        below = values[t] < before.max() - N_DEVIATIONS * deviation(np.diff(before)) - 1e-12
        in_a_row = in_a_row + 1 if below else 0
        if in_a_row == N_IN_A_ROW:
            return t
    return -1


def alarm(values: Array) -> int:
    """Place of the first alarm in a coordinate (T,), which is finite: a fall, or 0 reached from above; else -1.

    >>> alarm(np.array([0.5, 0.6, -0.1])), alarm(np.array([-0.5, -0.6, -0.7]))
    (2, -1)
    """
    through = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0)) + 1
    places = [place for place in (fallen(values), *through[:1].tolist()) if place >= 0]
    return min(places, default=-1)


def loss_turn(loss: Array) -> int:
    """Place at which the loss (T,) has turned upward by the same rule; -1 if it has not.

    >>> loss_turn(np.array([5.0, 4.0, 3.1, 2.2, 1.0, 0.1, 4.0, 5.0, 6.0]))
    8
    """
    return fallen(-loss)
