"""Paths of representations through a training: the measures of all checkpoints, and what is read from a whole path.

Shapes: T checkpoints, G groups of documents left out in turn, B draws of the null, M = len(MEASURES).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries.shared.trajectories import FACTS, N_GROUPS, Checkpoint, checkpoints
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.phase_track import MEASURES, Effort, Measured, Track
from queries.stats.step_series import StepSeries

Array = NDArray[np.float64]
Index = NDArray[np.int64]
# Numbers on which 0 is a place like any other; all others are positive and are worked with by their logarithm.
COORDINATES = ("coordinate_em", "coordinate_sgd", "coordinate_em_without_top")
FLOOR = 1e-12  # of NC1: float32 vectors that differ by rounding alone
# What tells of an arc by a probe's own classes: NC1 itself is made of the smallest directions between them, which are
# noise, and its intervals span factors of 10; the ratio of the traces is steady.
PROBES = {"em": "nc1_ratio_em", "sgd": "nc1_ratio_sgd"}


@dataclass(frozen=True)
class Path:
    """One representation: `step` (T,), `values` (T, M), `without` (T, G, M), `null` (T, B, M), `facts` name -> (T,).

    `n_units` (T,) counts documents, or samples where there are none, `n_rows` (T,) vectors, `width` their numbers.
    """

    representation: str
    step: NDArray[np.int64]
    values: Array
    without: Array
    null: Array
    facts: dict[str, Array]
    n_units: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    width: int

    def series(self, measure: str) -> StepSeries:
        """A measure along the path, of those that are positive the logarithm; NaN where it is 0."""
        m = MEASURES.index(measure)
        values, without = self.values[:, m], self.without[:, :, m].T
        if measure not in COORDINATES:
            values, without = (np.log(np.where(each > 0, each, np.nan)) for each in (values, without))
        return StepSeries(self.step, values, without)

    def null_series(self, measure: str) -> list[StepSeries]:
        """The same for each draw of the null, without replicates."""
        m = MEASURES.index(measure)
        return [StepSeries(self.step, each, np.zeros((0, len(self.step)))) for each in self.null[:, :, m].T]

    def collapse_series(self, probe: str) -> tuple[StepSeries, str]:
        """Ln NC1 by labels where any checkpoint has it, else ln (tr S_W / tr S_B) of the probe's own classes; its name.

        One or the other for the whole path: a checkpoint without a number is NaN, and one with 0 has `FLOOR`.
        The latter less that of the null: a probe finds classes in noise too, the more so the larger its beta, and only
        what noise does not do is a fall.
        """
        m = MEASURES.index("nc1_labels")
        if np.isfinite(self.values[:, m]).any():
            return StepSeries(self.step, _log(self.values[:, m]), _log(self.without[:, :, m].T)), "ln NC1 by labels"
        m = MEASURES.index(PROBES[probe])
        null = _log(self.null[:, :, m]).mean(axis=1)
        own = StepSeries(self.step, _log(self.values[:, m]) - null, _log(self.without[:, :, m].T) - null)
        return own, f"ln {PROBES[probe]} less the null's"


def _log(values: Array) -> Array:
    """Logarithms of NC1 or a ratio of traces; of less than `FLOOR` that of `FLOOR`, NaN of NaN."""
    logs: Array = np.log(np.maximum(values, FLOOR))
    return logs


def paths(frames: Iterable[pl.DataFrame], rng: np.random.Generator, effort: Effort) -> Iterator[Path]:
    """The path of each representation of one run, from its rows sorted by representation, step and sample."""
    seed = int(rng.integers(2**32))
    for name, found in groupby(checkpoints(frames), key=lambda each: each.representation):
        # the same draws for every representation, whatever others there are
        track, groups = Track(np.random.default_rng(seed), effort), np.zeros(0, dtype=np.int64)
        measured: list[Measured] = []
        seen: list[tuple[int, int, int, dict[str, float]]] = []
        for checkpoint in found:
            if not seen and checkpoint.n_units >= MIN_DOCUMENTS:
                groups = checkpoint.moments.filled
            measured.append(_measured(track, checkpoint, groups))
            seen.append((checkpoint.step, checkpoint.n_units, checkpoint.n_rows, checkpoint.facts))
            width = checkpoint.vectors.shape[1]
        yield _path(name, measured, seen, width)


def _measured(track: Track, checkpoint: Checkpoint, groups: Index) -> Measured:
    """The measures of a checkpoint, and without each of the `groups` (G,), in the order of their numbers."""
    whole = checkpoint.moments.whole()
    without = [checkpoint.moments.without(group) or whole for group in groups]
    place = np.full(N_GROUPS, len(groups))
    place[groups] = np.arange(len(groups))
    return track.measure(
        checkpoint.step, [whole, *without], checkpoint.vectors, place[checkpoint.group], checkpoint.labels
    )


def _path(name: str, measured: list[Measured], seen: list[tuple[int, int, int, dict[str, float]]], width: int) -> Path:
    step, n_units, n_rows, facts = zip(*seen, strict=True)
    return Path(
        name,
        np.array(step, dtype=np.int64),
        np.array([each.values for each in measured]),
        np.array([each.without for each in measured]),
        np.array([each.null for each in measured]),
        {key: np.array([each[key] for each in facts]) for key in FACTS},
        np.array(n_units, dtype=np.int64),
        np.array(n_rows, dtype=np.int64),
        width,
    )
