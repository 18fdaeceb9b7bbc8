"""Parquet files of the lake: written whole or not at all, in the layout that reads fastest.

One long table of integers and float32 is as small as arrays when ids are delta-packed, floats are byte-stream-split,
dictionaries are off and pages are big; see `docs/lake.md` for what was measured.
"""

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sha256, sync_folder
from warehouse.schema import TABLES, Table

ROW_GROUP = 1_000_000
_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "FLOAT[]": pa.list_(pa.float32()),
    "INTEGER[]": pa.list_(pa.int32()),
}


@dataclass(frozen=True)
class Shard:
    """A file as the manifest records it: its path within the run, its rows, bytes and SHA-256."""

    file: str
    rows: int
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """What goes into the manifest."""
        return asdict(self)


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of a table as they are stored: all of its columns but the partition `run`."""
    return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in table.columns])


def _encodings(schema: pa.Schema) -> dict[str, str]:
    chosen = {}
    for column in schema:
        path, kind = column.name, column.type
        if pa.types.is_list(kind):
            path, kind = f"{column.name}.list.element", kind.value_type
        if pa.types.is_integer(kind):
            chosen[path] = "DELTA_BINARY_PACKED"
        elif pa.types.is_floating(kind):
            chosen[path] = "BYTE_STREAM_SPLIT"
    return chosen


class ShardWriter:
    """Writes one Parquet file of a table, in pieces; it appears under its name only when it is whole.

    The temporary name does not end in `.parquet`, so that no reader's glob sees it. Leaving the `with` block without
    an error syncs the file, reads its footer back, compares the number of rows, and renames; `shard` is then set.
    Raises `LakeError` when the disk is full.
    """

    def __init__(
        self, path: Path, table: Table, root: Path, schema: pa.Schema | None = None, compression: str = "zstd"
    ) -> None:
        self.path = path
        self.root = root
        self.schema = schema or arrow_schema(table)
        self.rows = 0
        self.shard: Shard | None = None
        self._temporary = path.with_name(f"{path.name}.partial")
        key = [self.schema.get_field_index(name) for name in table.key]
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._temporary,
                self.schema,
                compression=compression,
                compression_level=1 if compression == "zstd" else None,
                use_dictionary=False,
                data_page_size=1 << 20,
                max_rows_per_page=1 << 18,
                # what is not compressed is to be read again soon: these encodings would only take time
                column_encoding=_encodings(self.schema) if compression == "zstd" else None,
                sorting_columns=[pq.SortingColumn(index) for index in key if index >= 0] or None,
            )

    def write(self, data: pa.Table, row_group: int = ROW_GROUP) -> None:
        """Append rows; they must be in the order of the table's grain."""
        with disk_errors(self.path):
            self._writer.write_table(data.select(self.schema.names).cast(self.schema), row_group_size=row_group)
        self.rows += data.num_rows

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # the writer may fail once more on a full disk; the first error is the one to show
            with contextlib.suppress(OSError):
                self._writer.close()
            self._temporary.unlink(missing_ok=True)
            return
        try:
            with disk_errors(self.path):
                self._writer.close()
                with self._temporary.open("rb") as file:
                    os.fsync(file.fileno())
        except LakeError:
            self._temporary.unlink(missing_ok=True)
            raise
        found = pq.read_metadata(self._temporary).num_rows
        if found != self.rows:
            raise LakeError(f"{self.path} was written with {found} of {self.rows} rows", hint="check the disk")
        self.shard = Shard(
            file=self.path.relative_to(self.root).as_posix(),
            rows=self.rows,
            bytes=self._temporary.stat().st_size,
            sha256=sha256(self._temporary),
        )
        self._temporary.rename(self.path)
        sync_folder(self.path.parent)


def write_shard(path: Path, table: str, data: pa.Table, root: Path, row_group: int = ROW_GROUP) -> Shard:
    """Write `data` as one file of `table`; columns that the table declares nullable may be missing."""
    declared = TABLES[table]
    schema = arrow_schema(declared)
    for column in declared.columns:
        if column.name not in data.column_names and column.nullable:
            data = data.append_column(
                schema.field(column.name), pa.nulls(data.num_rows, schema.field(column.name).type)
            )
    with ShardWriter(path, declared, root) as writer:
        writer.write(data, row_group)
    assert writer.shard is not None
    return writer.shard
