"""Two classes of positions compared within documents, so that what differs between documents does not count."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def paired_differences(top: Array, top_counts: Array, bottom: Array, bottom_counts: Array) -> tuple[Array, Array]:
    """Weighted differences of means (D, N) and weights (D,) from sums (D, N) and positions (D,) of two classes.

    The difference of a document counts by n m / (n + m), the inverse of its variance if all positions vary alike; with
    n = m in every document the weighted mean of the differences is the difference of the pooled means. A document
    without one of the classes has the weight 0. If the classes are exchangeable within documents, each row is as likely
    to have the other sign.

    >>> sums, weights = paired_differences(np.array([[6.0]]), np.array([2.0]), np.array([[2.0]]), np.array([2.0]))
    >>> (sums / weights[:, None]).tolist(), weights.tolist()
    ([[2.0]], [1.0])
    """
    both = (top_counts > 0) & (bottom_counts > 0)
    n, m = np.where(both, top_counts, 1.0), np.where(both, bottom_counts, 1.0)
    weights = np.where(both, n * m / (n + m), 0.0)
    return weights[:, None] * (top / n[:, None] - bottom / m[:, None]), weights
