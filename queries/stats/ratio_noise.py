"""The noise of ln ratios that resampling documents shows, in the order of the ranks, so that it may depend on size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import replicate_blocks, replicates

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RatioNoise:
    """The noise of ln ratios that resampling documents shows: sums over the neuron's own mean `relative` (D, N)."""

    relative: Array
    counts: Array
    weights: Array

    def draw(self, n: int, columns: NDArray[np.int64] | slice) -> Array:
        """RatioNoise (n, N) of the first `n` resamples, neurons in the order `columns`; NaN where a ratio is 0.

        What a resample does to all neurons alike is taken out, and the rest is stretched by sqrt(D / (D - 1)), by
        which a resample is short.
        """
        ratios = replicates(self.relative, self.counts, self.weights[:n])
        logs = np.log(np.where(ratios > 0, ratios, np.nan))
        logs -= np.nanmean(logs, axis=1, keepdims=True)
        d = int((self.counts > 0).sum())
        stretched: Array = logs[:, columns] * np.sqrt(d / (d - 1))
        return stretched

    def variance(self, n_draws: int) -> Array:
        """Variance of each neuron's noise (N,) in the first `n_draws` resamples."""
        n = self.relative.shape[1]
        parts = []
        for block in replicate_blocks(n, n_draws):
            part = RatioNoise(self.relative[:, block], self.counts, self.weights)
            ratios = replicates(part.relative, part.counts, part.weights[:n_draws])
            parts.append((ratios, block))
        ratios = np.concatenate([each for each, _ in parts], axis=1)
        logs = np.log(np.where(ratios > 0, ratios, np.nan))
        logs -= np.nanmean(logs, axis=1, keepdims=True)
        d = int((self.counts > 0).sum())
        spread: Array = np.nanvar(logs, axis=0) * d / (d - 1)
        return spread
