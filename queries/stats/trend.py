"""What a group would show if it were no more than its rank: the trend over the ranking, continued to the group.

A group that leads a ranking has no equals to compare with: the random groups that share its tenth of the ranking are
lower. So the other neurons, in order of influence, are cut into windows of the group's size, the statistic of the
windows is regressed on their place, and the prediction at the place of the group, with its error, is what a smooth
dependence on influence gives. Windows share no neurons, so their errors are their own.
Source: Abadie and Imbens (2011), Journal of Business & Economic Statistics 29, 1, for adjusting what matching leaves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Windows that a trend needs, and the share of them, those nearest to the group, that it is fitted to.
MIN_WINDOWS, NEAREST = 8, 0.5


@dataclass(frozen=True)
class Trend:
    """Prediction of K statistics at one place: `mean` (K,), standard error of a new value `error` (K,), freedom."""

    mean: Array
    error: Array
    freedom: int

    def range(self) -> tuple[Array, Array]:
        """Ends (K,) of the 95 % prediction interval."""
        half = stats.t.ppf(0.975, self.freedom) * self.error if self.freedom > 0 else np.nan * self.error
        return self.mean - half, self.mean + half

    def p(self, observed: Array, side: str) -> Array:
        """P (K,) of `observed` (K,), `greater` or `less` than predicted, or `two`-sided; NaN without a trend."""
        if self.freedom <= 0:
            return np.full(len(self.mean), np.nan)
        apart = observed - self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            # what windows without any scatter predict exactly is as predicted
            t = np.where(apart == 0, 0.0, apart / self.error)
        upper, lower = stats.t.sf(t, self.freedom), stats.t.cdf(t, self.freedom)
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
    """The line through `values` (W, K) of windows at `place` (W,), continued to the place `at` of the group.

    Fitted to the half of the windows next to the group, at least 8; fewer give NaN, and so do values that are NaN.
    """
    order = np.argsort(np.abs(place - at), kind="stable")[: max(MIN_WINDOWS, int(np.ceil(NEAREST * len(place))))]
    x, y = place[order] - at, values[order]
    n, nothing = len(x), np.full(values.shape[1], np.nan)
    spread = float(((x - x.mean()) ** 2).sum()) if n else 0.0
    if n < MIN_WINDOWS or spread <= 0:
        return Trend(nothing, nothing, 0)
    slope = ((x - x.mean())[:, None] * y).sum(axis=0) / spread
    mean = y.mean(axis=0) - slope * x.mean()
    left = y - mean - slope * x[:, None]
    variance = (left**2).sum(axis=0) / (n - 2)
    return Trend(mean, np.sqrt(variance * (1 + 1 / n + x.mean() ** 2 / spread)), n - 2)
