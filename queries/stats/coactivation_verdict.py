"""The verdicts on "plateau neurons are coupled" and "they act against the rest": what they take, and why in words."""

import numpy as np

from queries.stats.group_evidence import GroupEvidence, in_words
from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE

# A difference of mean |r| or r that matters: an interval that excludes it shows that the claim does not hold
VISIBLE_R = 0.05


def decide_pairs(evidence: GroupEvidence, *, is_against: bool) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable`, and the reason.

    `is_against` asks for a lower mean r (with the rest), else for a higher mean |r| (within).

    Supported: beyond the mean of every null on the side of the claim with q < 0.05, and so is the interval (for
    `against` it also lies below 0). Contradicted: some null is not told apart or is further on that side, and the
    interval excludes a value by 0.05 beyond it; of the trend, beyond the near end of its own interval. A trend that
    predicts surely more than there is does not hold, and contradicts nothing. Undecidable: anything else.

    >>> means, p = {"any": 0.01, "shift": 0.0}, {"any": 0.001, "shift": 0.01}
    >>> decide_pairs(GroupEvidence(0.2, 0.15, 0.25, means, p, 0.01), is_against=False)[0]
    'supported'
    """
    e = evidence
    if e.reason or not np.isfinite(e.low):
        return UNDECIDABLE, e.reason or "there is no interval over documents"
    # turned such that the claim is always "higher"
    sign = -1.0 if is_against else 1.0
    value, near, far = sign * e.estimate, min(sign * e.low, sign * e.high), max(sign * e.low, sign * e.high)
    means = {name: sign * mean for name, mean in e.null_mean.items()}
    word = "lower" if is_against else "higher"
    open_nulls = [name for name, mean in means.items() if not (value > mean and e.p[name] < LEVEL)]
    if refuted := [name for name in e.refuted(sign) if name in open_nulls]:
        open_nulls = [name for name in open_nulls if name not in refuted]
        if not open_nulls:
            others = in_words(name for name in means if name not in refuted)
            return (
                UNDECIDABLE,
                f"{word} than {others}, but not even as {e.predicted(refuted)}: that does not hold here",
            )
    if open_nulls:
        alike = e.nulls(open_nulls)
        starts = [sign * (e.most(name) if is_against else e.least(name)) for name in open_nulls]
        return _not_beyond(f"not {word} than {alike}", e, is_excluded=any(far < start + VISIBLE_R for start in starts))
    if e.q >= LEVEL:
        return UNDECIDABLE, f"{word} than every null, but not among the tests of this claim (q = {e.q:.2g})"
    limit = max(*means.values(), 0.0) if is_against else max(means.values())
    if near <= limit:
        return UNDECIDABLE, (
            f"{word} than every null (q = {e.q:.2g}), but the interval over documents ({e.low:.2g} to {e.high:.2g}) "
            f"reaches {sign * limit + 0.0:.2g}"
        )
    return SUPPORTED, f"{word} than every null (q = {e.q:.2g}), and so is the interval over documents"


def _not_beyond(head: str, e: GroupEvidence, *, is_excluded: bool) -> tuple[str, str]:
    """The verdict on a group that some nulls are not told apart from."""
    if is_excluded:
        return CONTRADICTED, f"{head}, and the interval excludes {VISIBLE_R} more"
    return UNDECIDABLE, f"{head}, but the interval ({e.low:.2g} to {e.high:.2g}) allows for more"
