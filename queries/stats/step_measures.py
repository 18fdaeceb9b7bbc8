"""What is measured at every checkpoint of one token class: the loss, the ranked curve, the plateau set, dimensions.

Each from per-document sums, for the data as they are and for resamples of documents (the same at every checkpoint).
Shapes: D documents, N neurons, B resamples, m neurons of the leading group, R = 1 + B: the data first, then resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import replicates
from queries.stats.dimension import spectrum_dimensions
from queries.stats.ranking import ordinal_ranks
from queries.stats.segmentation import fit_values
from queries.stats.spectra import column_halves, intervals_of_halves, measure, spectra, standardise, tail_freedom
from queries.stats.spectra_groups import MIN_SIZE
from queries.stats.stability import jaccard_rows
from queries.stats.three_regimes import QUANTITIES, Regimes, no_place
from queries.stats.trajectory import Changes, changes_of_errors

Array = NDArray[np.float64]
Members = NDArray[np.bool_]

# Measures of the ranked curve, as `three_regimes` calls them; `delta_bias` is made here.
CURVE = {"plateau_size": "plateau_end", "kappa": "kappa", "plateau_share": "plateau_share",
         "power_share": "power_share", "decay_share": "decay_share"}  # fmt: skip
DIMENSIONS = ("d95", "participation")
HILL = ("hill_alpha",)


@dataclass(frozen=True)
class Curves:
    """The ranked curves of one checkpoint: measures (R,) by name, the plateau sets (R, N), why a place is no number."""

    measures: dict[str, Array]
    members: Members
    notes: dict[str, str]


def curves(sums: Array, counts: Array, weights: Array) -> Curves:
    """Segment the ranked influences of `sums` (D, N) over `counts` (D,), and of their resamples `weights` (B, D)."""
    values = np.concatenate([(sums.sum(axis=0) / counts.sum())[None], replicates(sums, counts, weights)])
    fit = fit_values(values)
    end = fit.quantity[:, QUANTITIES.index("plateau_end")]
    found = {name: fit.quantity[:, QUANTITIES.index(quantity)] for name, quantity in CURVE.items()}
    found["delta_bias"] = delta_bias(values, fit)
    members = ordinal_ranks(values) <= np.nan_to_num(end, nan=0.0)[:, None]
    return Curves(found, members, {name: no_place(quantity, fit) for name, quantity in CURVE.items()})


def delta_bias(values: Array, fit: Regimes) -> Array:
    """Mean over the plateau's ranks of ln value minus the continued middle line (R,), of `values` (R, N) and their fit.

    NaN where there is no fit.
    Source: Liu et al. (2025), arXiv 2505.12822, section 3.
    """
    end = fit.quantity[:, QUANTITIES.index("plateau_end")]
    known = np.isfinite(end)
    last = np.where(known, end, 1.0).astype(np.int64)
    ranked = -np.sort(-values, axis=1)[:, : last.max()]
    logs = np.cumsum(np.log(np.where(ranked > 0, ranked, 1.0)), axis=1)
    places = np.cumsum(np.log(np.arange(1, last.max() + 1)))
    above = logs[np.arange(len(values)), last - 1] / last - fit.level
    # the middle line is known at the first breakpoint, which lies between two ranks
    first = 0.5 * (np.log(last) + np.log(last + 1))
    bias: Array = above + fit.quantity[:, QUANTITIES.index("kappa")] * (places[last - 1] / last - first)
    bias[~known] = np.nan
    return bias


def overlaps(members: Members, last: Members) -> Array:
    """Jaccard index (R,) of the plateau sets (R, N) with those of the last checkpoint; NaN where one is empty."""
    there = members.any(axis=1) & last.any(axis=1)
    return np.where(there, jaccard_rows(members, last), np.nan)


def mean_loss(sums: Array, counts: Array, weights: Array) -> Array:
    """Mean loss (R,) from sums (D,) over positions (D,)."""
    drawn = replicates(sums[:, None], counts, weights)[:, 0]
    return np.concatenate([[sums.sum() / counts.sum()], drawn])


def group_dimensions(products: Array, sums: Array, counts: Array, weights: Array) -> dict[str, Array]:
    """Dimensions per neuron (R,) by name, of the correlations of m neurons.

    From each document's `products` (D, m, m) and `sums` (D, m) over `counts` (D,) positions. A neuron that does not
    vary correlates with none.
    """
    whole = np.concatenate([np.ones((1, len(counts))), weights])  # (R, D)
    n, m = whole @ counts, sums.shape[1]
    mean = (whole @ sums) / np.where(n > 0, n, np.nan)[:, None]
    square = (whole @ products.reshape(len(counts), -1)).reshape(-1, m, m) / np.where(n > 0, n, np.nan)[:, None, None]
    covariance = square - mean[:, :, None] * mean[:, None, :]
    variance = np.einsum("rii->ri", covariance)
    floor = 1e-12 * np.einsum("rii->ri", square)  # what centring leaves of a neuron that does not vary
    scale = np.where(variance > floor, 1.0 / np.sqrt(np.where(variance > floor, variance, 1.0)), 0.0)
    absent = ~(n > 0)
    correlation = np.where(absent[:, None, None], 0.0, covariance * scale[:, :, None] * scale[:, None, :])
    found = spectrum_dimensions(np.linalg.eigvalsh(correlation))
    found[absent] = np.nan
    return {"d95": found[:, 3], "participation": found[:, 1]}


@dataclass(frozen=True)
class Tail:
    """Hill's index of one checkpoint's groups, its interval over columns, and the index of halves of them (H,).

    NaN, and no halves, where there is none.
    """

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    halves: Array = field(default_factory=lambda: np.empty(0))


def tail_index(groups: Array, n_halves: int, rng: np.random.Generator) -> Tail:
    """Hill's index of the spectra of `groups` (G, m, d) of rows, mean over the groups, and its interval over columns.

    Lower is a heavier tail. Not known where there are no groups, or rows are too few, constant, or not finite.
    """
    n_groups, m, _ = groups.shape if groups.size else (0, 0, 0)
    if m < MIN_SIZE:
        return Tail()
    rows = standardise(groups.reshape(n_groups * m, -1))
    if not bool(np.isfinite(rows).all()):
        return Tail()
    place = np.arange(n_groups * m).reshape(n_groups, m)
    found = measure(spectra(rows, place), rows.shape[1], HILL).mean(axis=0)
    halves = column_halves(rows, place, n_halves, rng, HILL)
    ends = intervals_of_halves(halves, found, m, names=HILL)
    return Tail(float(found[0]), float(ends.low[0]), float(ends.high[0]), halves[:, 0])


def tail_changes(tails: Sequence[Tail], m: int) -> Changes:
    """Changes of an index since the first of S checkpoints, from the same halves of the columns at each.

    Their logarithms are compared, as the error of an index is in proportion to it: the sd of the change over halves is
    its standard error (as that of the index itself, see `queries.stats.spectra`), widened by Student's t with the
    degrees of freedom of an index of m rows. Simultaneous intervals and p are Bonferroni's.
    """
    since, error = np.full(len(tails), np.nan), np.full(len(tails), np.nan)
    first = tails[0]
    for i, each in enumerate(tails[1:], start=1):
        if np.isfinite(first.low) and np.isfinite(each.low):
            apart = np.log(each.halves) - np.log(first.halves)
            apart = apart[np.isfinite(apart)]
            if len(apart) > 1:
                since[i], error[i] = np.log(each.value / first.value), float(apart.std(ddof=1))
    return changes_of_errors(since, error, tail_freedom(*HILL, m)).from_logarithms(first.value)
