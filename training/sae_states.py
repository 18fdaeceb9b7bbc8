"""`rt train-sae --states`: codes of the same positions at every kept step, a trajectory that `rt run phase` reads."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.passes import list_column
from training.sparse_autoencoder import SparseAutoencoder
from warehouse.errors import RtError
from warehouse.files import disk_errors

SAMPLES = 1000  # positions, about, evenly spread


def check_states(path: Path, saes: tuple[str, ...]) -> None:
    """Raise `RtError` for a file that could not be written after the training, or would hold two trainings."""
    if len(set(saes)) > 1:
        raise RtError(f"--states with --kind {','.join(saes)}", hint="a file is one training: choose one --kind")
    if path.expanduser().is_dir() or path.suffix.lower() != ".parquet":
        raise RtError(f"--states {path} names no Parquet file", hint="end it in .parquet")
    if not path.expanduser().absolute().parent.is_dir():
        raise RtError(f"--states {path}: no folder {path.parent}", hint="make it first")


@dataclass
class CodeStates:
    """Codes of about `SAMPLES` of the positions `x` (T, d), with `sample` and `document` (T,), step after step."""

    x: Tensor
    sample: NDArray[np.int64]
    document: NDArray[np.int64]
    seed: int
    _steps: list[pa.Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        every = slice(None, None, -(-len(self.x) // SAMPLES))
        self.x, self.sample, self.document = self.x[every], self.sample[every], self.document[every]

    @torch.no_grad()
    def add(self, step: int, model: SparseAutoencoder) -> None:
        """Take the codes (n, A) at a step; its loss is the squared error per dimension at these positions."""
        codes = model.encode(self.x)
        n, loss = len(codes), float((self.x - model.decode(codes)).square().mean())
        columns = {
            "step": np.full(n, step), "sample": self.sample, "document": self.document,
            "vector": list_column(codes.numpy()), "loss": np.full(n, loss), "seed": np.full(n, self.seed),
        }  # fmt: skip
        self._steps.append(pa.table(columns))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; one that is there is replaced."""
        path = path.expanduser()
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with disk_errors(path):
            try:
                # codes are mostly 0: compressed they take little
                pq.write_table(pa.concat_tables(self._steps), partial, compression="zstd", row_group_size=len(self.x))
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
