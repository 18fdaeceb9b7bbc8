"""What a null says of one statistic of a group: its mean, its 95 % range and the p of the group against it."""

import numpy as np
from numpy.typing import NDArray

from queries.stats.groups import monte_carlo_p
from queries.stats.trend import continued

Array = NDArray[np.float64]


def null_columns(name: str, shown: Array, value: float, null: Array, side: str = "two") -> dict[str, float]:
    """Mean and middle 95 % of a null `shown` (B,), and the p of `value` in `null` (B,) on that `side`, as columns.

    `shown` and `null` differ where the test is of a finer form of the statistic.

    >>> found = null_columns("any", np.arange(9.0), 9.0, np.arange(9.0), "greater")
    >>> found["null_any_mean"], found["p_any"]
    (4.0, 0.1)
    """
    low, high = np.quantile(shown, [0.025, 0.975])
    return {
        f"null_{name}_mean": float(shown.mean()), f"null_{name}_low": float(low), f"null_{name}_high": float(high),
        f"p_{name}": monte_carlo_p(value, null, side),
    }  # fmt: skip


def trend_columns(
    name: str, place: Array, at: float, shown: Array, value: float, tested: Array, side: str = "two"
) -> dict[str, float]:
    """The same of the trend over windows at `place` (W,), continued to `at`: prediction, its 95 % interval, and p.

    `shown` and `tested` (W,) are the statistic of the windows. All NaN without a trend.
    """
    predicted = continued(place, np.stack([shown, tested], axis=1), at)
    low, high = predicted.range()
    p = predicted.p(np.array([value, value]), side)
    return {
        f"null_{name}_mean": float(predicted.mean[0]), f"null_{name}_low": float(low[0]),
        f"null_{name}_high": float(high[0]), f"p_{name}": float(p[1]),
    }  # fmt: skip
