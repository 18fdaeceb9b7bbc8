"""Does a label matter? Labels of positions permuted within documents, and what a statistic of two classes does then.

A class with few positions ranks its neurons by noisier means, and noise alone bends and stretches a ranked curve. Two
classes of different size therefore differ in shape even where the label means nothing. Permuting the labels within each
document keeps how many positions of each class every document has, and with that the whole of this bias.
Source: Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3 (restricted permutations).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import replicate_blocks

Array = NDArray[np.float64]


def permuted_means(
    values: NDArray[np.float32],
    document: NDArray[np.int64],
    is_member: NDArray[np.bool_],
    n_draws: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Array, Array]]:
    """Means of both classes, members first, (b, N) each, for blocks of `n_draws` permutations within documents.

    `values` (T, N), `document` (T,), `is_member` (T,). In each document as many positions are members as in the data.

    >>> draws = permuted_means(np.array([[1.0], [3.0]], dtype=np.float32), np.zeros(2, dtype=np.int64),
    ...                        np.array([True, False]), 50, np.random.default_rng(0))
    >>> members, others = next(draws)
    >>> np.unique(members - others)
    array([-2.,  2.])
    """
    n_positions, n = values.shape
    n_members = int(is_member.sum())
    total = values.sum(axis=0, dtype=np.float64)
    order = np.lexsort((~is_member, document))  # documents together, members first in each
    is_first = is_member[order]
    for block in replicate_blocks(n_draws, n + n_positions):
        size = block.stop - block.start
        # positions of a document in random order; the first of them take its members' places
        shuffled = np.argsort(document + rng.random((size, n_positions)), axis=1)
        chosen = np.zeros((size, n_positions), dtype=np.float32)
        np.put_along_axis(chosen, shuffled[:, is_first], np.float32(1), axis=1)
        sums = (chosen @ values).astype(np.float64)
        yield sums / n_members, (total - sums) / (n_positions - n_members)
