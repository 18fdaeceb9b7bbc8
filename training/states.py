"""`states.parquet`: representations of the same samples at every kept step of a training, one row group a step.

The format is open: anybody's `(step, sample, vector)` with the optional columns below is read the same way.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

NAME = "states.parquet"
MOST = 2000  # samples
FACTS = ("loss", "test_loss", "train_accuracy", "test_accuracy", "weight_decay")
SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("vector", pa.list_(pa.float32()), nullable=False),
        pa.field("label", pa.int32()),
        *(pa.field(name, pa.float64()) for name in FACTS),
        pa.field("seed", pa.int32()),
    ]
)


class StateWriter:
    """Writes the states of the samples (n,), in increasing order, with their labels (n,), step after step."""

    def __init__(self, folder: Path, sample: NDArray[np.int64], label: NDArray[np.int64], seed: int) -> None:
        self._sample, self._label, self._seed = sample, label, seed
        self._writer = pq.ParquetWriter(folder / NAME, SCHEMA, compression="zstd", use_dictionary=False)

    def write(self, step: int, vectors: NDArray[np.float32], facts: Mapping[str, float]) -> None:
        """Append a step: `vectors` (n, d), and numbers of `FACTS` that hold for the whole step."""
        n, width = vectors.shape
        offsets = pa.array(np.arange(0, n * width + 1, width, dtype=np.int32))
        columns = {
            "step": np.full(n, step),
            "sample": self._sample,
            "vector": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel(), pa.float32())),
            "label": self._label,
            **{name: pa.array(np.full(n, facts.get(name, np.nan))) for name in FACTS},
            "seed": np.full(n, self._seed),
        }
        self._writer.write_table(pa.table(columns).select(SCHEMA.names).cast(SCHEMA), row_group_size=n)

    def __enter__(self) -> "StateWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
