"""The verdict on "plateau neurons span fewer dimensions than random groups": what it takes, and why in words."""

import numpy as np

from queries.stats.group_evidence import GroupEvidence, in_words
from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE

# The papers report d95/m of 0.49 for the plateau against 0.56 for random groups: a reduction by an eighth
REPORTED_RATIO = 0.49 / 0.56


def decide_dimension(evidence: GroupEvidence) -> tuple[str, str]:
    """`supported` (fewer dimensions than every null), `contradicted` or `undecidable`, and the reason.

    Supported: below the mean of every null with q < 0.05, and so is the interval over documents. Contradicted: some
    null is not told apart or is lower, its mean is not above the interval, and the interval excludes a reduction below
    it by an eighth, the reported one; of the trend, below the high end of its own interval. A trend that predicts
    surely fewer dimensions than there are does not hold, and contradicts nothing. Undecidable: the rest.

    >>> means, p = {"any": 0.56, "influence": 0.55}, {"any": 0.001, "influence": 0.002}
    >>> decide_dimension(GroupEvidence(0.40, 0.36, 0.44, means, p, 0.01))[0]
    'supported'
    """
    e = evidence
    if e.reason or not np.isfinite(e.low):
        return UNDECIDABLE, e.reason or "there is no interval over documents"
    open_nulls = [name for name, mean in e.null_mean.items() if not (e.estimate < mean and e.p[name] < LEVEL)]
    if refuted := [name for name in e.refuted(-1.0) if name in open_nulls]:
        open_nulls = [name for name in open_nulls if name not in refuted]
        if not open_nulls:
            others = in_words(name for name in e.null_mean if name not in refuted)
            return UNDECIDABLE, f"fewer than {others}, but more than {e.predicted(refuted)}: that does not hold here"
    if open_nulls:
        return _not_beyond(e, open_nulls)
    if e.q >= LEVEL:
        return UNDECIDABLE, f"fewer than every null, but not among the tests of this claim (q = {e.q:.2g})"
    lowest = min(e.null_mean.values())
    if e.high >= lowest:
        return UNDECIDABLE, (
            f"fewer than every null (q = {e.q:.2g}), but the interval over documents reaches {e.high:.2g}, and the "
            f"mean of a null is {lowest:.2g}"
        )
    return SUPPORTED, f"fewer than every null (q = {e.q:.2g}), and so is the interval over documents"


def _not_beyond(e: GroupEvidence, open_nulls: list[str]) -> tuple[str, str]:
    """The verdict on a group that is not told apart from `open_nulls`."""
    others = [name for name, mean in e.null_mean.items() if e.estimate < mean and e.p[name] < LEVEL]
    head = f"not fewer than {e.nulls(open_nulls)}"
    if others:
        head = f"fewer than {in_words(others)}, but {head}"
    if any(e.low > REPORTED_RATIO * e.most(name) and e.high >= e.most(name) for name in open_nulls):
        return CONTRADICTED, f"{head}, and the interval excludes the reported reduction by an eighth below these"
    return UNDECIDABLE, f"{head}, and the interval ({e.low:.2g} to {e.high:.2g}) allows for some reduction below these"
