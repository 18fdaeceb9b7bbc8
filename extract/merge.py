"""The last step of a run's tables: from shards of positions to files sorted by neuron over the whole run.

A shard holds a row group for every few neurons, so that a block of neurons is read from every shard without the rest of
it. Shapes: N neurons, T positions.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from extract.progress import Progress
from extract.staging import Stage
from warehouse.schema import TABLES
from warehouse.shards import ROW_GROUP, ShardWriter, arrow_schema

STAGED_NEURONS = 16  # neurons per row group of a staged shard
FINAL_ROWS = 500_000  # rows per row group of the final table, about
FILE_ROWS = 64_000_000  # rows per file of the final table, about


def merge_pairs(stage: Stage, shards: list[str], names: list[str], n_neurons: int, n_positions: int) -> None:
    """Write `neuron_tokens`, neuron-major over the run, from `shards` that hold the columns `names` of it.

    Reads a block of neurons from every shard while the one before is written; memory is a row group or three, whatever
    the run.
    """
    groups = -(-n_neurons // STAGED_NEURONS)
    block = max(1, FINAL_ROWS // (n_positions * STAGED_NEURONS))
    per_file = max(block, FILE_ROWS // (n_positions * STAGED_NEURONS) // block * block)
    paths = [stage.folder / shard for shard in shards]
    with Progress("merge", groups, "neuron blocks") as bar:
        for part, begin in enumerate(range(0, groups, per_file)):
            path = stage.folder / f"run/neuron_tokens/part-{part:05d}.parquet"
            with ShardWriter(path, TABLES["neuron_tokens"], stage.folder) as writer:
                end = min(begin + per_file, groups)
                parts = [range(start, min(start + block, end)) for start in range(begin, end, block)]
                for some, table in _ahead(lambda some: _neuron_block(paths, some, names, n_neurons), parts):
                    writer.write(table, ROW_GROUP)
                    bar.advance(len(some))
            assert writer.shard is not None
            stage.record(writer.shard)


def gather_rows(stage: Stage, table: str, shards: list[str]) -> None:
    """Write one file of a table from the shards that hold its rows in order."""
    columns = [column.name for column in TABLES[table].columns]
    with ShardWriter(stage.folder / f"run/{table}/part-00000.parquet", TABLES[table], stage.folder) as writer:
        for shard in shards:
            writer.write(pq.read_table(stage.folder / shard, columns=columns))
    assert writer.shard is not None
    stage.record(writer.shard)


def _ahead(read: Callable[[range], pa.Table], parts: list[range]) -> Iterator[tuple[range, pa.Table]]:
    """Each part and what `read` makes of it; the next is read meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(read, part) for part in parts[:1]]
        for i, part in enumerate(parts):
            table = coming.pop().result()
            coming += [pool.submit(read, following) for following in parts[i + 1 : i + 2]]
            yield part, table


def _neuron_block(shards: list[Path], groups: range, names: list[str], n_neurons: int) -> pa.Table:
    """Rows of `neuron_tokens` of some groups of neurons; the columns that no shard has are null."""
    first = groups.start * STAGED_NEURONS
    n = min(groups.stop * STAGED_NEURONS, n_neurons) - first
    parts = []
    for shard in shards:  # one open file at a time: a long run has thousands
        with pq.ParquetFile(shard, memory_map=True, pre_buffer=False) as file:
            # small pieces: threads would cost more than they save
            parts.append(file.read_row_groups(list(groups), columns=names, use_threads=False))
    values = {name: np.concatenate([_matrix(part, name, n) for part in parts], axis=1) for name in names}
    n_positions = values[names[0]].shape[1]
    columns: dict[str, Any] = {
        "neuron": np.repeat(np.arange(first, first + n, dtype=np.int32), n_positions),
        "token_index": np.tile(np.arange(n_positions, dtype=np.int32), n),
    }
    for column in TABLES["neuron_tokens"].columns[2:]:
        missing = column.name not in values
        columns[column.name] = (
            pa.nulls(n * n_positions, pa.float32())
            if missing
            # a frozen delta that was not asked for is null; an activation that is NaN was refused before
            else pa.array(values[column.name].ravel(), from_pandas=column.nullable)
        )
    return pa.table(columns, schema=arrow_schema(TABLES["neuron_tokens"]))


def _matrix(data: pa.Table, name: str, n: int) -> np.ndarray:
    """A column as (n, T)."""
    return np.asarray(data.column(name).combine_chunks().to_numpy(zero_copy_only=False)).reshape(n, -1)


def merge_groups(stage: Stage, table: str, shards: list[str], n_groups: int, block: int, row_group: int) -> None:
    """Write one file of a table from shards with the same `n_groups` row groups each, which cut the table by its key.

    Of `block` row groups at a time the rows of all shards are put in the order of the key.
    """
    declared = TABLES[table]
    order = [(name, "ascending") for name in declared.key]
    with ShardWriter(stage.folder / f"run/{table}/part-00000.parquet", declared, stage.folder) as writer:
        for first in range(0, n_groups, block):
            some = list(range(first, min(first + block, n_groups)))
            parts = []
            for shard in shards:
                with pq.ParquetFile(stage.folder / shard) as file:
                    parts.append(file.read_row_groups(some))
            writer.write(pa.concat_tables(parts).sort_by(order), row_group)
    assert writer.shard is not None
    stage.record(writer.shard)
