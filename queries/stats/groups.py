"""Groups of neurons to compare with: random groups of equal size, free or matched, and Monte-Carlo p-values."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def strata(values: Array, n_strata: int = 10) -> Index:
    """Quantile stratum (N,) of each value (N,), 0 to n_strata - 1; ties share a stratum.

    >>> strata(np.array([5.0, 1.0, 3.0, 9.0]), 2)
    array([1, 0, 0, 1])
    """
    edges = np.quantile(values, np.linspace(0, 1, n_strata + 1)[1:-1])
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def sparse_strata(values: Array, members: Index) -> Index | None:
    """The finest strata of `values` (N,) in which the members are at most half; None where they are more in all.

    Groups from a stratum that the members fill would be the members again, and no null.
    """
    for n_strata in (10, 5, 3, 2):
        stratum = strata(values, n_strata)
        pool, taken = np.bincount(stratum, minlength=n_strata), np.bincount(stratum[members], minlength=n_strata)
        if (2 * taken <= pool).all():
            return stratum
    return None


def random_groups(
    members: Index, n_neurons: int, n_groups: int, rng: np.random.Generator, stratum: Index | None = None
) -> Index:
    """Groups (n_groups, m) of distinct neurons as large as `members` (m,), drawn from all `n_neurons`.

    With `stratum` (N,) every group has as many neurons of each stratum as `members` has: a matched group. The members
    themselves may be drawn, as a null of exchangeable labels wants it.
    """
    if stratum is None:
        stratum = np.zeros(n_neurons, dtype=np.int64)
    parts = []
    for each, size in zip(*np.unique(stratum[members], return_counts=True), strict=True):
        pool = np.flatnonzero(stratum == each)
        # the first columns of a random order are a sample without replacement
        parts.append(pool[np.argsort(rng.random((n_groups, len(pool))), axis=1)[:, :size]])
    return np.concatenate(parts, axis=1).astype(np.int64)


def floor_p(n_draws: int, side: str = "greater") -> float:
    """The smallest p that `monte_carlo_p` can give with so many draws.

    >>> floor_p(999), floor_p(999, "two")
    (0.001, 0.002)
    """
    return (2.0 if side == "two" else 1.0) / (n_draws + 1)


FIRST_DRAWS = 200
_SETTLED = 0.1


def is_open(p: Iterable[float]) -> bool:
    """Whether draws beyond the first `FIRST_DRAWS` are worth it: these leave a p below 0.1; NaN asks for nothing.

    A p below 0.1 is then always one of all draws, so it is no more likely where nothing is than if all were always
    drawn. Source: Besag and Clifford (1991), Biometrika 78, 301 (sequential Monte Carlo p-values).

    >>> is_open([0.3, 0.04]), is_open([0.3, float("nan")])
    (True, False)
    """
    return any(each < _SETTLED for each in p)


def monte_carlo_p(observed: float, null: Array, side: str = "two") -> float:
    """Monte-Carlo p of `observed` against draws (B,) of the null, never 0; `side` is `less`, `greater` or `two`.

    `two` is twice the smaller of both sides, at most 1.
    NaN draws do not count; NaN if `observed` or all draws are.

    >>> monte_carlo_p(9.0, np.arange(9.0), "greater")
    0.1
    """
    null = null[np.isfinite(null)]
    if not np.isfinite(observed) or not len(null):
        return float("nan")
    less = (1 + int((null <= observed).sum())) / (len(null) + 1)
    greater = (1 + int((null >= observed).sum())) / (len(null) + 1)
    return {"less": less, "greater": greater, "two": min(1.0, 2 * min(less, greater))}[side]
