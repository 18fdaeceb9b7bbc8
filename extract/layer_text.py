"""The windows of a published run as the pass over its layers reads them, and the positions whose states are kept.

Shapes: W windows of C tokens, P analysed positions of a window, T = W * P.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from extract.layer_summaries import PARTS

SHARD = 4096  # positions of a shard, about: what a kill can lose
BLOCK = 32  # positions in a row whose states are kept, at least, where a document has so many
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """The windows in the order of the run: `document` (W,) and token `ids` (W, C).

    The first `skip` tokens of a window and the last are not analysed.
    """

    document: Index
    ids: Index
    skip: int

    @property
    def per_window(self) -> int:
        """Analysed positions of a window."""
        return int(self.ids.shape[1]) - 1 - self.skip

    @property
    def n_positions(self) -> int:
        """Analysed positions."""
        return len(self.ids) * self.per_window

    @cached_property
    def part(self) -> Index:
        """Part of the documents (W,) that each window is in: the documents are dealt out in turn."""
        _, order = np.unique(self.document, return_inverse=True)
        parts: Index = order % PARTS
        return parts

    def shards(self) -> list[Index]:
        """Windows of each shard; the cut depends on the text only."""
        step = max(1, SHARD // self.per_window)
        windows = np.arange(len(self.ids))
        return [windows[start : start + step] for start in range(0, len(windows), step)]

    @cached_property
    def types(self) -> Index:
        """The token types (D,) that are read at the analysed positions, sorted."""
        return np.unique(self.ids[:, self.skip : -1])

    def tokens(self, windows: Index) -> Index:
        """Input tokens (n * P,) at the analysed positions of some windows."""
        return self.ids[windows, self.skip : -1].ravel()

    def positions(self, windows: Index) -> Index:
        """Token index (n * P,) of the analysed positions of some windows."""
        return (windows[:, None] * self.per_window + np.arange(self.per_window)).ravel()

    def sampled(self, n_tokens: int, seed: int) -> Index:
        """Token index of the at most `n_tokens` positions whose states are kept, sorted: some of every document.

        Positions of a document are alike, and documents are what intervals leave out: a few positions of each say more
        than all of a few. A document's are in a row, in a window at random, in several where it has to give more than
        one window holds. Documents are drawn at random where each would have fewer than `BLOCK`.
        """
        rng = np.random.default_rng([seed, 5])
        documents = rng.permutation(np.unique(self.document))[: max(1, n_tokens // BLOCK)]
        blocks, left = [np.zeros(0, dtype=np.int64)], n_tokens
        # the shortest first: what it lacks goes to those after it
        windows = [np.flatnonzero(self.document == each) for each in documents]
        for place, mine in enumerate(sorted(windows, key=len)):
            quota = min(left // (len(windows) - place), len(mine) * self.per_window)
            left -= quota
            for window in rng.permutation(mine):
                size = min(quota, self.per_window)
                start = int(rng.integers(self.per_window - size + 1))
                blocks.append(window * self.per_window + start + np.arange(size))
                quota -= size
        return np.sort(np.concatenate(blocks))
