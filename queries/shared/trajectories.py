"""Checkpoints of trajectories from rows in frames: moments of all vectors, and a bounded sample of them.

Whatever the number of rows, what is held of a checkpoint are the moments of `N_GROUPS` groups of documents and at most
`SAMPLE` vectors. The sample are whole documents, in the order of a hash of their names, so that checkpoints with the
same samples have the same ones; without documents each sample is its own. Shapes: T rows, d numbers.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import by_group
from queries.stats.covariance import GroupedMoments

Index = NDArray[np.int64]
N_GROUPS = 10
SAMPLE = 2000
_NO_LIMIT = np.uint64(2**64 - 1)


def _mixed(number: Index) -> NDArray[np.uint64]:
    """A hash of integers (splitmix64), the same everywhere: numbers that are neighbours are not neighbours in it."""
    z = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


class Units:
    """What is resampled: documents by name, dealt to the groups in turn as they appear, or single samples by hash."""

    def __init__(self) -> None:
        self._group: dict[str, int] = {}

    def of(self, frame: pl.DataFrame) -> tuple[Index, NDArray[np.uint64]]:
        """Group (T,) and hash (T,) of the unit of each row."""
        if frame["document"].null_count():
            key = _mixed(frame["sample"].to_numpy())
            return (_mixed(key.astype(np.int64)) % np.uint64(N_GROUPS)).astype(np.int64), key
        names = frame["document"].unique(maintain_order=True).to_list()
        for name in names:
            self._group.setdefault(name, len(self._group) % N_GROUPS)
        code = {name: i for i, name in enumerate(names)}
        row = np.array([code[name] for name in frame["document"].to_list()])
        group = np.array([self._group[name] for name in names], dtype=np.int64)
        key = _mixed(np.array([zlib.crc32(name.encode()) for name in names], dtype=np.int64))
        return group[row], key[row]


@dataclass
class Checkpoint:
    """One representation at one step: `n_rows` vectors of which the sample keeps `vectors` (n, d), `group`, `label`.

    `loss` and the other `facts` are those of the step, NaN where they are not known.
    """

    representation: str
    step: int
    facts: dict[str, float]
    moments: GroupedMoments = field(default_factory=lambda: GroupedMoments(N_GROUPS))
    n_rows: int = 0
    names: set[str] = field(default_factory=set)
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    group: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    label: list[str | None] = field(default_factory=list)
    _key: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    _sample: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _limit: np.uint64 = _NO_LIMIT

    @property
    def n_units(self) -> int:
        """Documents, or samples where there are no documents."""
        return len(self.names) or self.n_rows

    def add(self, frame: pl.DataFrame, units: Units) -> None:
        """Add the rows of `frame`."""
        flat = frame["vector"].explode(empty_as_null=False).to_numpy()
        vectors = flat.reshape(frame.height, -1).astype(np.float32)
        group, key = units.of(frame)
        self.moments.add(vectors, group)
        self.n_rows += frame.height
        self.names.update(frame["document"].drop_nulls().unique().to_list())
        if not len(self.vectors):
            self.vectors = vectors[:0]
        sample = np.concatenate([self._sample, frame["sample"].to_numpy()])
        keys = np.concatenate([self._key, key])
        chosen, self._limit = _chosen(keys, sample, self._limit)
        self.vectors = np.concatenate([self.vectors, vectors])[chosen]
        self.group = np.concatenate([self.group, group])[chosen]
        labels = [*self.label, *frame["label"].to_list()]
        self.label = [labels[i] for i in chosen]
        self._key, self._sample = keys[chosen], sample[chosen]

    @property
    def labels(self) -> Index | None:
        """Label (n,) of the sample as integers; None unless all have one."""
        if not self.label or None in self.label:
            return None
        codes: Index = np.unique(np.array(self.label, dtype=str), return_inverse=True)[1].astype(np.int64)
        return codes


def _chosen(key: NDArray[np.uint64], sample: Index, limit: np.uint64) -> tuple[Index, np.uint64]:
    """Places of the rows of the first whole units that together have at most `SAMPLE` rows, in the order of samples.

    Of a first unit that is larger alone its first rows. Units from the hash `limit` on were left out before, and are
    left out whatever comes; the second result is that limit for the next time.
    """
    order = np.lexsort((sample, key))
    new = np.append(True, key[order][1:] != key[order][:-1])
    unit = np.cumsum(new) - 1
    is_in = ((np.cumsum(np.bincount(unit))[unit] <= SAMPLE) | (unit == 0)) & (key[order] < limit)
    if not is_in.all():
        limit = min(limit, key[order][~is_in].min())
    kept = order[is_in][:SAMPLE]
    chosen: Index = kept[np.lexsort((kept, sample[kept]))]
    return chosen, limit


FACTS = ("loss", "test_loss", "train_accuracy", "test_accuracy", "weight_decay", "seed")


def checkpoints(frames: Iterable[pl.DataFrame]) -> Iterator[Checkpoint]:
    """The checkpoints of one run from its rows, sorted by representation, step and sample."""
    units, current = Units(), None
    for frame in frames:
        for (representation, step), rows in by_group(frame, ("representation", "step")):
            if current is None or (current.representation, current.step) != (representation, step):
                if current is not None:
                    yield current
                first = rows.row(0, named=True)
                facts = {name: float("nan") if first[name] is None else float(first[name]) for name in FACTS}
                current = Checkpoint(representation, step, facts)
            current.add(rows, units)
    if current is not None:
        yield current
