"""Tables that are sorted by layer, from shards of positions: a staged file has a row group for each layer.

So the rows of one layer are read from every shard in turn, and no more than a few shards' rows are held.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from extract.staging import Stage
from warehouse.schema import TABLES
from warehouse.shards import Shard, ShardWriter, arrow_schema

Rows = dict[int, list[pa.Table]]  # layer -> pieces without the column `layer`
ROWS = 250_000  # of a row group of the final file, at least, where a layer has so many


def write_rows(
    path: Path, table: str, rows: Mapping[int, Sequence[pa.Table]], layers: Sequence[int], root: Path
) -> Shard:
    """Write the pieces of each of `layers` as one row group, empty where there are none."""
    schema = arrow_schema(TABLES[table])
    with ShardWriter(path, TABLES[table], root, compression="none") as writer:
        for layer in layers:
            pieces = rows.get(layer, [])
            data = pa.concat_tables([with_layer(piece, layer, schema) for piece in pieces] or [schema.empty_table()])
            writer.write(data, max(data.num_rows, 1))
    assert writer.shard is not None
    return writer.shard


def gather(stage: Stage, file: str, table: str, shards: Sequence[str], layers: Sequence[int]) -> None:
    """Write the final `file` of a table, sorted by layer, then position, from staged shards."""
    with ShardWriter(stage.folder / file, TABLES[table], stage.folder) as writer:
        for group, _ in enumerate(layers):
            held: list[pa.Table] = []
            for shard in shards:
                with pq.ParquetFile(stage.folder / shard) as staged:
                    held.append(staged.read_row_group(group))
                if sum(each.num_rows for each in held) >= ROWS:
                    writer.write(pa.concat_tables(held))
                    held = []
            if rows := sum(each.num_rows for each in held):
                writer.write(pa.concat_tables(held), rows)
    assert writer.shard is not None
    stage.record(writer.shard)


def with_layer(data: pa.Table, layer: int, schema: pa.Schema) -> pa.Table:
    """`data` with the column `layer`, in the types and the order of `schema`."""
    column = pa.array(np.full(data.num_rows, layer, dtype=np.int32))
    return data.append_column("layer", column).select(schema.names).cast(schema)
