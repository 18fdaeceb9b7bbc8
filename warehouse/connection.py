"""DuckDB on a lake: one typed, commented view per table, then the derived views and macros of `warehouse/sql`."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from warehouse.errors import LakeError, QueryError
from warehouse.lake import RunFolder, open_lake
from warehouse.schema import RUN, TABLES, Table

SQL = Path(__file__).parent / "sql"
CATALOG = "warehouse.duckdb"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _glob(path: Path) -> str:
    """The path with DuckDB's glob characters taken literally."""
    return "".join(f"[{char}]" if char in "[]*?" else char for char in path.as_posix())


def _source(table: Table, root: Path, runs: Sequence[RunFolder]) -> str:
    """The `select` of a table's view: from its files, or typed and empty when no run has any."""
    holders = [run for run in runs if run.manifest["tables"].get(table.name, {}).get("files")]
    if not holders:
        columns = ", ".join(f"null::{column.type} as {_quoted(column.name)}" for column in (RUN, *table.columns))
        return f"select {columns} where false"
    stored = {name for run in holders for name in run.manifest["tables"][table.name]["columns"]}
    columns = ", ".join(
        f"{_quoted(column.name) if column.name in stored else 'null'}::{column.type} as {_quoted(column.name)}"
        for column in table.columns
    )
    files = _text(f"{_glob(root)}/runs/run=*/{table.name}/*.parquet")
    return (
        f"select run::varchar as run, {columns} from read_parquet({files}, hive_partitioning = true, "
        "hive_types = {'run': varchar}, union_by_name = true)"
    )


def _statements(root: Path, runs: Sequence[RunFolder], filters: Mapping[str, str]) -> list[str]:
    """SQL that makes every view, in order."""
    made = []
    for table in TABLES.values():
        source = _source(table, root, runs)
        if condition := filters.get(table.name, filters.get("*", "")):
            source = f"select * from ({source}) where {condition}"
        made.append(f"create or replace view {table.name} as {source}")
        made.append(f"comment on view {table.name} is {_text(table.meaning)}")
        for column in (RUN, *table.columns):
            unit = f" [{column.unit}]" if column.unit else ""
            made.append(f"comment on column {table.name}.{_quoted(column.name)} is {_text(column.meaning + unit)}")
    return [*made, *(path.read_text(encoding="utf-8") for path in sorted(SQL.glob("*.sql")))]


def connect(lake: Path, runs: Sequence[str] = (), where: str = "") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views of the lake: of all runs, or of `runs` only.

    `where` is an SQL condition on `tokens`: analyses join with `tokens`, so it chooses the positions they see.
    Raises `LakeError` for a lake or run that is not there or not whole, `QueryError` for a condition that does not fit.
    """
    found = open_lake(lake)
    known = {run.name for run in found.runs}
    for name in runs:
        if name not in known:
            raise LakeError(f"no run {name} in {lake}", hint=f"there are: {', '.join(sorted(known)) or 'none'}")
    for run in found.runs:
        if not runs or run.name in runs:
            run.check_sizes()
    chosen = f"run in ({', '.join(map(_text, runs))})" if runs else ""
    filters = {"*": chosen}
    if where:
        filters["tokens"] = f"({where})" + (f" and {chosen}" if chosen else "")
    con = duckdb.connect(config={"temp_directory": tempfile.gettempdir()})
    con.execute("set enable_progress_bar = false")
    try:
        for statement in _statements(found.root, found.runs, filters):
            con.execute(statement)
    except duckdb.Error as error:
        if where:
            columns = ", ".join(column.name for column in TABLES["tokens"].columns)
            raise QueryError(
                f"cannot use the condition `{where}`: {_first_line(error)}", hint=f"columns of tokens: {columns}"
            ) from None
        raise
    return con


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def frame(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The rows of `sql` as a Polars frame; what DuckDB refuses is a `QueryError` in one line."""
    try:
        relation = con.sql(sql, params=dict(params or {}))
        if relation is None:
            raise QueryError("the statement gives no rows", hint="one `select`, `from`, `describe` or `show`")
        rows: pl.DataFrame = relation.pl()
    except duckdb.IOException as error:
        raise LakeError(f"cannot read the lake: {_first_line(error)}", hint="run `rt check` to find the file") from None
    except duckdb.Error as error:
        raise QueryError(_first_line(error)) from None
    return rows


def refresh_catalog(lake: Path) -> Path:
    """Bring `warehouse.duckdb` up to date: views only, in a storage version that DuckDB 1.5 reads too.

    It is built beside and renamed over the old one, and only when the lake was moved, its runs or the views changed.
    """
    found = open_lake(lake)
    path = found.root / CATALOG
    statements = _statements(found.root, found.runs, {})
    signature = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    if path.exists() and _signature(path) == signature:
        return path
    temporary = path.with_name(f".{CATALOG}.{os.getpid()}.partial")
    try:
        with duckdb.connect(temporary, config={"storage_compatibility_version": "v1.5.0"}) as con:
            con.execute("set enable_progress_bar = false")
            for statement in statements:
                con.execute(statement)
            con.execute(f"create or replace macro catalog_signature() as {_text(signature)}")
        temporary.rename(path)
    except (OSError, duckdb.Error):
        # a read-only disk or a broken file: every command makes the same views in memory, and names the broken file
        return path
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
            Path(f"{temporary}.wal").unlink(missing_ok=True)
    return path


def _signature(path: Path) -> str:
    try:
        with duckdb.connect(path, read_only=True) as con:
            row = con.execute("select catalog_signature()").fetchone()
    except duckdb.Error:
        return ""
    return str(row[0]) if row else ""
