"""The values of all neurons at the positions of a run, read in pieces: held once, as float32, by nobody but us.

A list per position would be built by the database, which has to hold all of them until the last neuron was read.
"""

from collections.abc import Iterable

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from warehouse.connection import batches, frame

N_ROWS = 1 << 20  # pairs that are read at once: 12 MB


def with_values(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame, of: str) -> pl.DataFrame:
    """The `rows` of one run, one per `token_index`, with the column that `of` (`view.column`) names.

    It is an array of the values of all neurons of the run, in the order of their index: float32, T x N values of 4
    bytes. It is null at a position that lacks a neuron; there are no rows where the run has no values.
    """
    view, column = of.split(".")
    named = {"run": rows["run"][0]}
    neurons = frame(con, f"select distinct neuron from {view} where run = $run order by neuron", named)
    if neurons.is_empty():
        return rows.clear()
    pairs = batches(con, f"select token_index, neuron, {column} from {view} where run = $run", named, N_ROWS)
    values, is_whole = _matrix(pairs, rows["token_index"].to_numpy(), neurons["neuron"].to_numpy())
    arrays = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1], mask=pa.array(~is_whole))
    return rows.with_columns(pl.Series(column, arrays))


def _matrix(
    pairs: Iterable[pl.DataFrame], token_index: np.ndarray, neuron: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, N) of `pairs` (token index, neuron, value), else NaN; which positions (T,) have all of theirs."""
    row_of, column_of = _Places(token_index), _Places(neuron)
    values = np.full((len(token_index), len(neuron)), np.nan, dtype=np.float32)
    n_found = np.zeros(len(token_index), dtype=np.int64)
    for part in pairs:
        index, of_neuron, value = (part.to_series(i).to_numpy() for i in range(3))
        if n := _same_positions(index, of_neuron):  # many columns at once
            index, of_neuron, value = index[:n], of_neuron[::n], value.reshape(-1, n).T
        row, column = row_of(index), column_of(of_neuron)
        # positions that the rows do not have: without a class, or left out by a condition
        known = row >= 0
        if not known.all():
            row, value, column = row[known], value[known], column if n else column[known]
        values[row, slice(column[0], column[-1] + 1) if n else column] = value
        n_found += np.bincount(row, minlength=len(n_found)) * (len(column) if n else 1)
    return values, n_found == len(neuron)


def _same_positions(index: np.ndarray, neuron: np.ndarray) -> int:
    """Number n of positions, if `index` and `neuron` (k n,) are k neurons one by one, all at these; else 0.

    >>> _same_positions(np.array([4, 7, 4, 7]), np.array([2, 2, 3, 3]))
    2
    """
    n = int((neuron != neuron[:1]).argmax()) if len(neuron) else 0
    if n == 0 or len(neuron) % n:
        return 0
    index, neuron = index.reshape(-1, n), neuron.reshape(-1, n)
    is_table = (np.diff(neuron[:, 0]) == 1).all() and (neuron == neuron[:, :1]).all() and (index == index[0]).all()
    return n if is_table else 0


class _Places:
    """Where numbers stand in `index` (n,), whose numbers differ; -1 for those that do not.

    >>> _Places(np.array([7, 3]))(np.array([3, 4, 7, 9]))
    array([ 1, -1,  0, -1])
    """

    def __init__(self, index: np.ndarray) -> None:
        self._first = int(index.min(initial=0))
        width = int(index.max(initial=-1)) - self._first + 1
        self._order = np.argsort(index)
        self._sorted = index[self._order]
        self._table = np.empty(0, dtype=np.int64)
        if width <= 8 * len(index):  # one look, where numbers do not lie far apart
            self._table = np.full(width + 1, -1, dtype=np.int64)
            self._table[index.astype(np.int64) - self._first] = np.arange(len(index))

    def __call__(self, number: np.ndarray) -> np.ndarray:
        if len(self._table):
            apart = number.astype(np.int64) - self._first
            outside = (apart < 0) | (apart >= len(self._table))
            return self._table[np.where(outside, len(self._table) - 1, apart)]
        place = np.minimum(np.searchsorted(self._sorted, number), len(self._sorted) - 1)
        return np.where(self._sorted[place] == number, self._order[place], -1)
