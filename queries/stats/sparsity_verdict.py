"""The verdict on "states are sparser at difficult tokens": what it takes, and why in words."""

from queries.stats.verdict import CONTRADICTED, LEVEL, MIN_DOCUMENTS, SUPPORTED, UNDECIDABLE
from queries.stats.words import counted

SMALL = 0.05  # standard deviations per standard deviation: a slope whose absence must be shown


def decide_sparsity(n_documents: int, mean: float, low: float, high: float, q: float) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable`, and the reason, from the mean slope over layers and its interval.

    Supported: q < 0.05 and the mean is above 0. Contradicted: not, and the interval reaches 0, or lies below it, and
    ends below 0.05.

    >>> decide_sparsity(30, 0.2, 0.1, 0.3, 0.001)
    ('supported', 'q < 0.05 and the mean slope is above 0')
    >>> decide_sparsity(8, 0.2, 0.1, 0.3, 0.001)
    ('undecidable', '8 documents; a verdict needs at least 10')
    >>> decide_sparsity(30, -0.2, -0.3, -0.1, 0.001)
    ('contradicted', 'the whole interval is below 0: states are denser')
    """
    if n_documents < MIN_DOCUMENTS:
        return UNDECIDABLE, f"{counted(n_documents, 'document')}; a verdict needs at least {MIN_DOCUMENTS}"
    if q < LEVEL and mean > 0:
        return SUPPORTED, f"q < {LEVEL} and the mean slope is above 0"
    if high < 0:
        return CONTRADICTED, "the whole interval is below 0: states are denser"
    if low <= 0 and high < SMALL:
        return CONTRADICTED, f"the interval reaches 0, and excludes a slope of {SMALL}"
    if low <= 0 <= high:
        return UNDECIDABLE, f"the interval has 0 in it and a slope of {SMALL} too"
    return UNDECIDABLE, f"the interval is clear of 0, but q is not below {LEVEL}"
