"""The rows of a statement in frames, in its order, where not even the database can put all of them in order at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

from warehouse.connection import batches, frame

N_ROWS = 1 << 15  # rows that the database puts in order at once, about: vectors of 1,000 numbers are then 130 MB


def in_pieces(
    con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any], columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """The rows of `sql`, ordered by `columns`, none of them null, the last of which is an integer.

    Rows with equal values of all columns but the last are asked for together, or in ranges of the last.
    """
    *equal, last = columns
    bare = sql.rstrip().rstrip(";")
    keys = ", ".join(equal)
    # what is counted needs no vectors: the database leaves out columns that nobody asks for
    sizes = f"select {keys}, count(*), min({last}), max({last}) from ({bare}) group by {keys} order by {keys}"
    same = " and ".join(f"{name} = $piece_{name}" for name in equal)
    part = f"select * from ({bare}) where {same} and {last} between $piece_first and $piece_last order by {last}"
    for *values, n, first, end in frame(con, sizes, params).iter_rows():
        named = {f"piece_{name}": value for name, value in zip(equal, values, strict=True)}
        for low, high in _ranges(first, end, -(-n // N_ROWS)):
            yield from batches(con, part, {**params, **named, "piece_first": low, "piece_last": high})


def _ranges(first: int, last: int, n: int) -> Iterator[tuple[int, int]]:
    """At most `n` ranges of integers, of about the same width, that together are those from `first` to `last`.

    >>> list(_ranges(0, 9, 3)), list(_ranges(5, 5, 3))
    ([(0, 3), (4, 7), (8, 9)], [(5, 5)])
    """
    width = -(-(last - first + 1) // n)
    for low in range(first, last + 1, width):
        yield low, min(low + width - 1, last)
