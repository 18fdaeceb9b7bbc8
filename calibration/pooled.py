"""Coverage and size pooled over the rows of an analysis and over the designs of a target, with the draws as clusters.

One row of a small run says little: 16 of 20 covered are compatible with 90 %. All intervals of an analysis together
say more, but those of one lake are not independent. So each draw, a lake, is a cluster: the variance of their shares
gives the number of independent trials that the pool is worth, and the exact binomial interval is taken for so many
(Korn and Graubard, 1998, Survey Methodology 24, 193). A pool without any variance is worth its number of draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special, stats

from calibration.caveats import limits
from calibration.families import FAMILIES
from calibration.rates import hits, targets
from queries.stats.bootstrap import Array

_SCHEMA = {
    "analysis": pl.String, "target": pl.String, "kind": pl.String, "least": pl.Float64, "most": pl.Float64,
    "cluster": pl.String, "hit": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """`n_draws` clusters with `n` answers, a share `rate` of hits, and the interval of it."""

    n_draws: int
    n: int
    rate: float
    low: float
    high: float


def pool(cluster: Array, hit: Array, level: float = 0.95) -> Pool:
    """The pooled rate of hits (n,), each of a `cluster` (n,), 1 or 0.

    >>> found = pool(np.repeat(np.arange(50), 4), np.ones(200))
    >>> found.n_draws, found.n, found.rate, round(found.low, 2)
    (50, 200, 1.0, 0.93)
    """
    _, place = np.unique(cluster, return_inverse=True)
    size, sums = np.bincount(place), np.bincount(place, weights=hit)
    n_draws, n = len(size), len(hit)
    rate = float(sums.sum() / n)
    spread = float(((sums - rate * size) ** 2).sum() / n**2) * n_draws / max(n_draws - 1, 1)
    worth = rate * (1 - rate) / spread if spread > 0 else float(n_draws)
    if n_draws > 1:  # as the variance of so many clusters is itself uncertain
        tail = 0.5 * (1 + level)
        worth *= float(stats.t.ppf(tail, max(n - 1, 1)) / stats.t.ppf(tail, n_draws - 1)) ** 2
    worth = float(np.clip(worth, 1.0, n))
    alpha, k = 0.5 * (1 - level), rate * worth
    low = float(special.betaincinv(k, worth - k + 1, alpha)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 1, worth - k, 1 - alpha)) if k < worth else 1.0
    return Pool(n_draws, n, rate, low, high)


def answers(folder: Path) -> pl.DataFrame:
    """A row per outcome in `folder` that is an interval or a test under the null, with its limits and its draw."""
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *_parts(folder)])


def _parts(folder: Path) -> Iterator[pl.DataFrame]:
    for family in FAMILIES:
        for study in family.studies:
            for design, target, found, _ in targets(family, study, folder):
                values, kind, _ = hits(found, target, design)
                (least, most), _ = limits(study.slug, design.name, target.name, kind)
                if kind == "power":
                    continue
                named = {
                    "analysis": study.slug, "target": target.name, "kind": kind, "least": least, "most": most,
                }  # fmt: skip
                yield found.select(
                    *(pl.lit(value).alias(name) for name, value in named.items()),
                    (pl.lit(f"{family.name}, {design.name}, ") + pl.col("run").cast(pl.String)).alias("cluster"),
                    pl.Series("hit", values),
                ).filter(pl.col("hit").is_not_nan())


def pooled_faults(found: pl.DataFrame, level: float) -> list[str]:
    """What is outside its limits, a line each: of an analysis all rows with equal limits, and of a target all designs.

    `found` is that of `answers`.
    """
    faults = []
    for keys in (["analysis", "kind", "least", "most"], ["analysis", "kind", "least", "most", "target"]):
        for key, part in sorted(found.group_by(*keys), key=lambda pair: str(pair[0])):
            slug, kind, least, most, *target = key
            one = pool(part["cluster"].to_numpy(), part["hit"].to_numpy(), level)
            if one.high < least or one.low > most:
                what = target[0] if target else f"all {part['target'].n_unique()} rows with these limits"
                faults.append(
                    f"{slug}, {what}, pooled: {kind} {one.rate:.3f} ({one.low:.3f} to {one.high:.3f}) of {one.n} in "
                    f"{one.n_draws} draws, allowed {least:.2f} to {most:.2f}"
                )
    return faults
