"""How sparse a vector is, six ways, for many vectors at once.

All but `l0_share` are of the sizes of its components and do not change with their scale: few large components give
Hoyer and Gini near 1, an entropy rank near 0, energy shares near 1.
Source: Hoyer (2004), JMLR 5, 1457; Hurley and Rickard (2009), IEEE Trans. Inf. Theory 55, 4723 (Gini); Jin et al.
(2026), arXiv 2603.03415 (top energy shares, entropy rank, L0 above the mean by a standard deviation).
"""

import math

import numpy as np
from numpy.typing import NDArray

TOP = {"top_1": 0.01, "top_5": 0.05, "top_7": 0.07, "top_10": 0.10}
MEASURES = ("hoyer", "gini", *TOP, "entropy_rank", "l0_share")


def sparsity(states: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The `MEASURES` (T,) of `states` (T, n); NaN where a vector is 0.

    `hoyer`: (sqrt n - L1 / L2) / (sqrt n - 1). `gini`: of the sizes. `top_p`: share of the squares in the p % largest,
    rounded up. `entropy_rank`: exp(-sum q ln q) / n with q the size over the sum of sizes. `l0_share`: share of the
    components whose size is above the mean size by more than a standard deviation.
    """
    size = np.sort(np.abs(states), axis=1)[:, ::-1]  # (T, n)
    n = size.shape[1]
    known = size[:, 0] > 0
    # the scale does not matter, and squares of tiny values would be 0
    size = size / np.where(known, size[:, 0], 1.0)[:, None]
    total, norm = (np.maximum(each.sum(axis=1, dtype=np.float64), 1e-300) for each in (size, size**2))
    share = (size / total[:, None]).astype(np.float32)
    logarithm = np.log(np.maximum(share, np.finfo(np.float32).tiny))
    mean = total / n
    limit = (mean + np.sqrt(np.maximum(norm / n - mean**2, 0.0))) * (1 + 1e-6)
    found = {
        "hoyer": (math.sqrt(n) - total / np.sqrt(norm)) / (math.sqrt(n) - 1),
        "gini": share.astype(np.float64) @ (n + 1 - 2 * np.arange(1, n + 1)) / n,
        **{name: (size[:, : math.ceil(part * n - 1e-9)] ** 2).sum(axis=1) / norm for name, part in TOP.items()},
        "entropy_rank": np.exp(-np.einsum("tn,tn->t", share, logarithm)) / n,
        "l0_share": (size > limit[:, None]).mean(axis=1),
    }
    return {name: np.where(known, values, np.nan).astype(np.float32) for name, values in found.items()}
