"""Is a neuron's influence on one class of tokens larger than on another? Ratios of means, paired by document.

With L = ln(mean |delta| on rare / mean |delta| on common), leaving each document out in turn gives a standard error and
a t statistic. Deltas have heavy tails and rare positions are few, so a document or two often carry most of the error,
and Student's t with D - 1 degrees of freedom rejects too often, above all far out in the tail, where q-values live. The
degrees of freedom are therefore the neuron's own: (sum u^2)^2 / sum u^4 - 1 of what each document contributes, which
is near D only if all of them do.
Source: Efron and Tibshirani (1993), chapter 11 (jackknife); Satterthwaite (1946), Biometrics Bulletin 2, 110;
Benjamini and Yekutieli (2005), J. Am. Statist. Assoc. 100, 71 (intervals of what was selected).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.words import counted

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Studentised:
    """Estimates (N,) with 95 % intervals, two-sided p, the null value being 0; standard error, degrees of freedom."""

    estimate: Array
    low: Array
    high: Array
    p: Array
    error: Array
    freedom: Array


def contrast_reason(rare: Array, common: Array) -> str:
    """Why classes with `rare` and `common` positions per document (D,) cannot be compared; empty where they can.

    >>> contrast_reason(np.array([1.0, 0.0]), np.array([9.0, 9.0]))
    'rare tokens are in 1 document; at least 5 are needed'
    """
    for name, counts in (("rare", rare), ("common", common)):
        present = int((counts > 0).sum())
        if present == 0:
            return f"no position of {name} tokens"
        if present < MIN_DOCUMENTS:
            return f"{name} tokens are in {counted(present, 'document')}; at least {MIN_DOCUMENTS} are needed"
    return ""


def log_ratio(top: Array, top_counts: Array, bottom: Array, bottom_counts: Array) -> Array:
    """Logarithm of the ratio of two means (..., N) from totals (..., N) and positions (...); NaN where a mean is 0.

    >>> log_ratio(np.array([[6.0]]), np.array([2.0]), np.array([[3.0]]), np.array([1.0]))
    array([[0.]])
    """
    positive = (top > 0) & (bottom > 0) & (top_counts > 0)[..., None] & (bottom_counts > 0)[..., None]
    over = np.where(positive, top, 1.0) * np.where(bottom_counts > 0, bottom_counts, 1.0)[..., None]
    under = np.where(positive, bottom, 1.0) * np.where(top_counts > 0, top_counts, 1.0)[..., None]
    return np.where(positive, np.log(over / under), np.nan)


def left_out(top: Array, top_counts: Array, bottom: Array, bottom_counts: Array) -> tuple[Array, Array]:
    """`log_ratio` of all documents (N,) and without each of them in turn (D, N); sums (D, N) and counts (D,)."""
    whole = log_ratio(top.sum(axis=0), top_counts.sum(), bottom.sum(axis=0), bottom_counts.sum())
    without = log_ratio(
        top.sum(axis=0) - top,
        top_counts.sum() - top_counts,
        bottom.sum(axis=0) - bottom,
        bottom_counts.sum() - bottom_counts,
    )
    return whole, without


def studentise(whole: Array, without: Array) -> Studentised:
    """Jackknife t intervals and p from estimates `whole` (N,) and `without` (D, N); NaN where a replicate is NaN.

    An estimate that no document moves has no error to be measured by: NaN.
    """
    n_documents = len(without)
    spread = without - without.mean(axis=0)
    square = (spread**2).sum(axis=0)
    known = square > (1e-12 * np.maximum(np.abs(whole), 1.0)) ** 2
    scale = np.where(known, square, np.nan)
    error = np.sqrt((n_documents - 1) / n_documents * scale)
    freedom = np.maximum(scale**2 / np.where(known, (spread**4).sum(axis=0), 1.0) - 1.0, 1.0)
    # as stats.t.ppf and stats.t.sf, which cost ten times as much where there are few
    reach = special.stdtrit(freedom, 0.975) * error
    p = 2.0 * special.stdtr(freedom, -np.abs(whole) / error)
    return Studentised(whole, whole - reach, whole + reach, np.clip(p, np.finfo(float).tiny, 1.0), error, freedom)


def selected_reach(found: Studentised, n_selected: int, level: float = 0.05) -> Array:
    """Half-widths (N,) of intervals that still hold for the neurons that Benjamini and Hochberg's rule selected.

    At the level R level / N, for R selected of N tested (R at least 1, where it is Bonferroni's): an interval then
    excludes 0 exactly for the selected.
    """
    n_tested = int((~np.isnan(found.p)).sum())
    tail = 0.5 * level * max(n_selected, 1) / max(n_tested, 1)
    reach: Array = special.stdtrit(found.freedom, 1.0 - tail) * found.error
    return reach


def visible_share(found: Studentised, effect: float, level: float = 0.05) -> float:
    """Share of the tested neurons in which an estimate of `effect` would be significant by itself; NaN without any.

    Significant: at the first step of Benjamini and Hochberg's rule, level / N, with the neuron's own error and freedom.
    """
    tested = ~np.isnan(found.p)
    if not tested.any():
        return float("nan")
    return float((effect >= selected_reach(found, 1, level)[tested]).mean())


def relative(whole: Array, without: Array) -> tuple[Array, Array]:
    """`whole` (N,) and `without` (D, N) minus their means over the neurons that are known in all of them."""
    known = ~np.isnan(whole) & ~np.isnan(without).any(axis=0)
    if not known.any():
        return np.full_like(whole, np.nan), np.full_like(without, np.nan)
    return whole - whole[known].mean(), without - without[:, known].mean(axis=1, keepdims=True)


def rank_biserial(values: Array) -> float:
    """Rank-biserial effect of the signed ranks of `values` (N,): (W+ - W-) / (W+ + W-), zeros and NaN left out.

    1 if all are positive, -1 if all are negative; the effect size of Wilcoxon's signed-rank test (Kerby, 2014).

    >>> rank_biserial(np.array([3.0, 2.0, -1.0]))
    0.6666666666666666
    """
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return float("nan")
    ranks = stats.rankdata(np.abs(values))
    return float((np.sign(values) * ranks).sum() / ranks.sum())


def rank_biserial_interval(whole: Array, without: Array) -> tuple[float, float, float]:
    """Rank-biserial effect and the ends of its jackknife interval over documents, on Fisher's z.

    An effect of 1 or -1 that no document changes has no interval: NaN.
    """
    effect = rank_biserial(whole)
    each = np.array([rank_biserial(row) for row in without])
    z = np.arctanh(np.clip(np.append(each, effect), -1 + 1e-6, 1 - 1e-6))
    found = studentise(z[-1:], z[:-1, None])
    return effect, min(float(np.tanh(found.low[0])), effect), max(float(np.tanh(found.high[0])), effect)
