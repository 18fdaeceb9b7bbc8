"""What a group would show if it were no more than its rank: the trend over the ranking, continued to the group.

A group that leads a ranking has no equals to compare with: the random groups that share its tenth of the ranking are
lower. So the other neurons, in order of influence, are cut into windows of the group's size; a parabola is fitted to
the statistic of the windows by their place; and its prediction at the place of the group, with its error, is what a
smooth dependence on influence gives. Windows share no neurons, so their errors are their own.
Source: Abadie and Imbens (2011), Journal of Business & Economic Statistics 29, 1, for adjusting what matching leaves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Windows that a trend needs, and the share of them, those nearest to the group, that it is fitted to.
MIN_WINDOWS, NEAREST = 10, 0.5
N_COEFFICIENTS = 3  # of a parabola


@dataclass(frozen=True)
class Trend:
    """Prediction of K statistics at one place: `mean` (K,), standard error of a new value `error` (K,), freedom."""

    mean: Array
    error: Array
    freedom: int

    @property
    def n_windows(self) -> int:
        """Windows that it is fitted to; 0 where there are too few."""
        return self.freedom + N_COEFFICIENTS if self.freedom > 0 else 0

    def range(self) -> tuple[Array, Array]:
        """Ends (K,) of the 95 % prediction interval."""
        half = special.stdtrit(self.freedom, 0.975) * self.error if self.freedom > 0 else np.nan * self.error
        return self.mean - half, self.mean + half

    def p(self, observed: Array, side: str) -> Array:
        """P (K,) of `observed` (K,), `greater` or `less` than predicted, or `two`-sided; NaN without a trend."""
        if self.freedom <= 0:
            return np.full(len(self.mean), np.nan)
        apart = observed - self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            # what windows without any scatter predict exactly is as predicted
            t = np.where(apart == 0, 0.0, apart / self.error)
        upper, lower = special.stdtr(self.freedom, -t), special.stdtr(self.freedom, t)
        found: Array = {"greater": upper, "less": lower, "two": 2.0 * np.minimum(upper, lower)}[side]
        return np.maximum(found, np.finfo(np.float64).tiny)


def windows(influence: Array, members: Index) -> Index:
    """Groups (W, m) of the neurons outside `members` (m,) in order of `influence` (N,), the highest first.

    >>> windows(np.array([9.0, 1.0, 5.0, 4.0, 3.0]), np.array([0, 2])).tolist()
    [[3, 4]]
    """
    m = len(members)
    others = np.setdiff1d(np.flatnonzero(np.isfinite(influence)), members)
    ranked = others[np.argsort(-influence[others], kind="stable")]
    return ranked[: len(ranked) // m * m].reshape(-1, m).astype(np.int64)


def place_of(influence: Array, groups: Index) -> Array:
    """Mean ln influence (...,) of groups (..., m); zeros count as the least influence above zero."""
    least = influence[influence > 0].min() if (influence > 0).any() else 1.0
    mean: Array = np.log(np.maximum(np.nan_to_num(influence), least))[groups].mean(axis=-1)
    return mean


def continued(place: Array, values: Array, at: float) -> Trend:
    """The parabola through `values` (W, K) of windows at `place` (W,), continued to the place `at` of the group.

    Fitted to the half of the windows next to the group, at least 10; fewer give NaN, and so do values that are NaN.
    A line would predict too little where a statistic bends up towards the top of the ranking.
    """
    order = np.argsort(np.abs(place - at), kind="stable")[: max(MIN_WINDOWS, int(np.ceil(NEAREST * len(place))))]
    x, y = place[order] - at, values[order]
    n, nothing = len(x), np.full(values.shape[1], np.nan)
    # x is 0 at the group, so the prediction is the first coefficient; scaled, so that the powers are of one size
    powers = np.vander(x / max(np.abs(x).max(initial=0.0), np.finfo(float).tiny), N_COEFFICIENTS, increasing=True)
    if n < MIN_WINDOWS or np.linalg.matrix_rank(powers) < N_COEFFICIENTS:
        return Trend(nothing, nothing, 0)
    solve = np.linalg.pinv(powers)
    left = y - powers @ (solve @ y)
    variance = (left**2).sum(axis=0) / (n - N_COEFFICIENTS)
    error = np.sqrt(variance * (1 + solve[0] @ solve[0]))
    # windows that are all the same, of a statistic that counts say, predict exactly that, without an error of rounding
    same = (y == y[0]).all(axis=0)
    return Trend(np.where(same, y[0], solve[0] @ y), np.where(same, 0.0, error), n - N_COEFFICIENTS)
