"""What a sparse autoencoder learns from: the activations or residuals of a run, as one standardised matrix."""

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.connection import frame
from warehouse.errors import LakeError

Matrix = NDArray[np.float32]
PIECE = 4096  # positions at a time
# Of what -> the column that holds it.
SOURCES = {"activations": "neuron_tokens.activation", "residuals": "residuals.residual"}


def read_matrix(con: duckdb.DuckDBPyConnection, of: str) -> Matrix:
    """Positions (T, d) of the one run that `con` sees, in order. Raises `LakeError` where a value is missing."""
    positions = frame(con, "select token_index from tokens order by token_index")["token_index"].to_numpy()
    found = _activations(con, positions) if of == "activations" else _residuals(con, positions)
    if found.size == 0 or not np.isfinite(found).all():
        where = "at some positions" if found.size else "at any position"
        raise LakeError(f"the run has no {SOURCES[of]} {where}", hint="`rt extract` writes it; or another --of")
    return found


def _activations(con: duckdb.DuckDBPyConnection, positions: NDArray[np.int64]) -> Matrix:
    neurons = frame(con, "select distinct neuron from neuron_tokens order by neuron")["neuron"].to_numpy()
    found = np.full((len(positions), len(neurons)), np.nan, dtype=np.float32)
    # row by row in the order of the file: to sort them in SQL would take many times as long
    reader = con.sql("select neuron, token_index, activation from neuron_tokens").to_arrow_reader(1_000_000)
    for batch in reader:
        neuron, index, value = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(3))
        found[np.searchsorted(positions, index), np.searchsorted(neurons, neuron)] = value
    return found


def _residuals(con: duckdb.DuckDBPyConnection, positions: NDArray[np.int64]) -> Matrix:
    rows = frame(con, "select token_index, residual from residuals order by token_index")
    if rows.is_empty() or not np.array_equal(rows["token_index"].to_numpy(), positions):
        return np.full((rows.height, 1), np.nan, dtype=np.float32)
    width = rows["residual"].list.len()[0]
    return rows["residual"].explode().to_numpy().astype(np.float32).reshape(rows.height, width)


def standardised(matrix: Matrix) -> Matrix:
    """Columns with mean 0 and variance 1, in place; constant ones are all 0."""
    matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
    # the mean once more: rounding to float32 leaves something of one that is large
    mean, square = matrix.mean(axis=0, dtype=np.float64), mean_square(matrix)
    scale = np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)
    matrix /= np.where(scale > 0, scale, 1.0)
    return matrix


def mean_square(matrix: Matrix) -> NDArray[np.float64]:
    """Mean of the squares in each column of `matrix` (T, d), in double precision by pieces: no copy of the whole."""
    total = np.zeros(matrix.shape[1])
    for start in range(0, len(matrix), PIECE):
        total += np.square(matrix[start : start + PIECE], dtype=np.float64).sum(axis=0)
    return total / len(matrix)
