"""What share of a neuron's effect goes through one path: the part that is lost when the path is frozen.

`share = 1 - E|delta with the path frozen| / E|delta|`. The means are over positions. The interval is Student's t on the
logarithm of the ratio, its error from the differences between documents, with as many degrees of freedom as documents
really contribute: percentiles of resampled documents cover 90 % instead of 95 where a few positions make the mean. A
share of 1: the neuron acts through this path only; 0: not at all; below 0: the path works against the
rest of the effect.
Source: Stolfo et al. (2024), arXiv 2406.16254, section 3.2; Clopper and Pearson (1934), Biometrika 26, 404.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from queries.stats.bootstrap import absence_reason, percentile_interval
from queries.stats.words import counted

Array = NDArray[np.float64]
# A neuron acts mainly through a path that carries more than half of its effect.
MAINLY = 0.5
MIN_VERDICT_DOCUMENTS, MIN_MEMBERS = 10, 5


@dataclass(frozen=True)
class Mediation:
    """Shares of N neurons (N,) with intervals, and of the set of m members those that act mainly through the path.

    `overlap` is the share of the members with a share above one half, `chance` that of all neurons, `p` the
    hypergeometric probability of as many among the members or more. `reason` says why there is no interval.
    """

    share: Array
    low: Array
    high: Array
    overlap: float
    overlap_low: float
    overlap_high: float
    chance: float
    p: float
    reason: str


def mediated_share(frozen: Array, total: Array) -> Array:
    """1 - frozen / total, NaN where nothing is left to share.

    >>> mediated_share(np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    array([0.75,  nan])
    """
    share: Array = 1.0 - frozen / np.where(total > 0, total, np.nan)
    return share


def share_interval(frozen: Array, total: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Low and high end (N,) of `mediated_share` from sums per document (D, N); NaN where the share is NaN.

    Nothing left in any document, or the same share in all of them: an interval without length.

    >>> low, high = share_interval(np.array([[1.0], [1.0], [2.0]]), np.array([[3.0], [5.0], [4.0]]))
    >>> low.round(2), high.round(2)
    (array([-0.15]), array([0.9]))
    """
    left = 1.0 - mediated_share(frozen.sum(axis=0), total.sum(axis=0))
    known = left > 0
    of_frozen = frozen / np.where(known, frozen.sum(axis=0), 1.0)
    square = (of_frozen - total / np.where(known, total.sum(axis=0), 1.0)) ** 2  # (D, N)
    error = np.sqrt(square.sum(axis=0) * len(frozen) / (len(frozen) - 1))
    freedom = square.sum(axis=0) ** 2 / np.maximum((square**2).sum(axis=0), np.finfo(float).tiny)
    # documents that contribute alike count fully; one alone counts as one
    factor = np.exp(np.where(known, special.stdtrit(np.maximum(freedom, 1.0), 0.5 * (1 + level)) * error, 0.0))
    return 1.0 - left * factor, 1.0 - left / factor


def document_level(n_documents: int, level: float = 0.95) -> float:
    """The level at which percentiles of resamples of `n_documents` make an interval of this `level`.

    A resample of D documents varies less than D new ones would, and D are few: Student's t says how far to go out.

    >>> round(document_level(8), 3), round(document_level(100_000), 3)
    (0.989, 0.95)
    """
    reach = special.stdtrit(n_documents - 1, 0.5 * (1 + level)) * np.sqrt(n_documents / (n_documents - 1))
    return float(1.0 - 2.0 * special.ndtr(-reach))


def binomial_interval(found: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of the share of which `found` of n is a sample.

    >>> [round(end, 4) for end in binomial_interval(0, 10)]
    [0.0, 0.3085]
    """
    ends = stats.binomtest(found, n).proportion_ci(level, method="exact")
    return float(ends.low), float(ends.high)


def mediation(
    frozen: Array, total: Array, counts: Array, weights: Array, is_member: NDArray[np.bool_], level: float = 0.95
) -> Mediation:
    """From sums per document `frozen` and `total` (D, N), positions `counts` (D,), resamples `weights` (B, D)."""
    share = mediated_share(frozen.sum(axis=0), total.sum(axis=0))
    unknown = np.full(len(share), np.nan)
    mainly = share > MAINLY
    nan = float("nan")
    m, found = int(is_member.sum()), int((mainly & is_member).sum())
    overlap = found / m if m else nan
    # of thousands of neurons it may be less than the smallest number there is
    tiny = float(np.finfo(float).tiny)
    p = max(float(stats.hypergeom.sf(found - 1, len(share), int(mainly.sum()), m)), tiny) if m else nan
    if reason := absence_reason(counts, weights):
        return Mediation(share, unknown, unknown, overlap, nan, nan, float(mainly.mean()), p, reason)
    kept = weights[weights @ counts > 0]
    low, high = share_interval(frozen[counts > 0], total[counts > 0], level)
    if m == 0:
        return Mediation(share, low, high, nan, nan, nan, float(mainly.mean()), nan, "no plateau neuron")
    drawn = mediated_share(kept @ frozen[:, is_member], kept @ total[:, is_member])  # (B, m)
    overlaps = (drawn > MAINLY).mean(axis=1)
    low_end, high_end = percentile_interval(overlaps, document_level(int((counts > 0).sum()), level))
    overlap_low, overlap_high = min(float(low_end), overlap), max(float(high_end), overlap)
    if found == 0 or overlap_low == overlap_high:  # resamples that agree do not say how sure a share of m neurons is
        exact = binomial_interval(found, m, level)
        overlap_low, overlap_high = min(overlap_low, exact[0]), max(overlap_high, exact[1])
    return Mediation(share, low, high, overlap, overlap_low, overlap_high, float(mainly.mean()), p, "")


def decide_overlap(found: Mediation, n_members: int, n_documents: int, q: float) -> tuple[str, str]:
    """Verdict on "the members act mainly through this path", and why.

    Supported: more than half of them do, by the whole interval, and more than by chance (q < 0.05). Contradicted: fewer
    than half do, by the whole interval. Undecidable: the rest, or too little to tell.
    """
    if found.reason:
        return "undecidable", found.reason
    if n_documents < MIN_VERDICT_DOCUMENTS:
        return "undecidable", f"{counted(n_documents, 'document')}; a verdict needs at least {MIN_VERDICT_DOCUMENTS}"
    if n_members < MIN_MEMBERS:
        return "undecidable", f"{n_members} plateau neurons; at least {MIN_MEMBERS} are needed"
    seen = f"{100 * found.overlap:.0f} % of them do ({100 * found.overlap_low:.0f} to {100 * found.overlap_high:.0f} %)"
    chance = f"{100 * found.chance:.0f} % of all neurons"
    if found.overlap_low > MAINLY and q < 0.05:
        return "supported", f"{seen}, against {chance} (q = {q:.2g})"
    if found.overlap_high < MAINLY:
        return "contradicted", f"{seen}, against {chance}"
    return "undecidable", f"{seen}, against {chance} (q = {q:.2g})"
