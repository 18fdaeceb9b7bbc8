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
from warehouse.statements import refused

SQL = Path(__file__).parent / "sql"
CATALOG = "warehouse.duckdb"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _glob(path: Path) -> str:
    """The path with DuckDB's glob characters taken literally."""
    return "".join(f"[{char}]" if char in "[]*?" else char for char in path.as_posix())


def _source(table: Table, root: Path, runs: Sequence[RunFolder], some: bool) -> str:
    """The `select` of a table's view: from its files, or typed and empty when no run has any.

    If `runs` are only `some` of those in the lake, their folders are named one by one: the files of the others, which
    may be damaged, are not opened.
    """
    holders = [run for run in runs if run.manifest["tables"].get(table.name, {}).get("files")]
    if not holders:
        columns = ", ".join(f"null::{column.type} as {_quoted(column.name)}" for column in (RUN, *table.columns))
        return f"select {columns} where false"
    stored = {name for run in holders for name in run.manifest["tables"][table.name]["columns"]}
    columns = ", ".join(
        f"{_quoted(column.name) if column.name in stored else 'null'}::{column.type} as {_quoted(column.name)}"
        for column in table.columns
    )
    folders = [_glob(run.folder) for run in holders] if some else [f"{_glob(root)}/runs/run=*"]
    files = ", ".join(_text(f"{folder}/{table.name}/*.parquet") for folder in folders)
    return (
        f"select run::varchar as run, {columns} from read_parquet([{files}], hive_partitioning = true, "
        "hive_types = {'run': varchar}, union_by_name = true)"
    )


def _statements(root: Path, runs: Sequence[RunFolder], some: bool, where: str = "") -> list[str]:
    """SQL that makes every view, in order; `where` is a condition on `tokens`."""
    made = []
    for table in TABLES.values():
        source = _source(table, root, runs, some)
        if where and table.name == "tokens":
            # the line break ends a comment in the condition, which would else swallow what follows
            source = f"select * from ({source}) where ({where}\n)"
        made.append(f"create or replace view {table.name} as {source}")
        made.append(f"comment on view {table.name} is {_text(table.meaning)}")
        for column in (RUN, *table.columns):
            unit = f" [{column.unit}]" if column.unit else ""
            made.append(f"comment on column {table.name}.{_quoted(column.name)} is {_text(column.meaning + unit)}")
    return [*made, *(path.read_text(encoding="utf-8") for path in sorted(SQL.glob("*.sql")))]


def connect(lake: Path, runs: Sequence[str] = (), where: str = "") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views of the lake: of all runs, or of `runs` only.

    `where` is an SQL condition on `tokens`: analyses join with `tokens`, so it chooses the positions they see.
    Runs whose manifest cannot be read are left out, unless they are among `runs`.
    Raises `LakeError` for a lake or run that is not there or not whole, `QueryError` for a condition that does not fit
    or that no position meets.
    """
    found = open_lake(lake)
    known = {run.name: run for run in found.runs}
    for name in runs:
        if name in found.unreadable:
            raise found.unreadable[name]
        if name not in known:
            raise LakeError(f"no run {name} in {lake}", hint=f"there are: {', '.join(sorted(known)) or 'none'}")
    chosen = [run for run in found.runs if not runs or run.name in runs]
    for run in chosen:
        run.check_sizes()
    # an extension that a query would need is never fetched: reading writes nothing to the disk
    con = duckdb.connect(config={"temp_directory": tempfile.gettempdir(), "autoinstall_known_extensions": False})
    con.execute("set enable_progress_bar = false")
    some = bool(runs or found.unreadable)
    try:
        for statement in _statements(found.root, chosen, some, where):
            con.execute(statement)
        if where:
            _check_condition(con, chosen, where)
    except duckdb.Error as error:
        if where:
            columns = ", ".join(column.name for column in TABLES["tokens"].columns)
            raise QueryError(
                f"cannot use the condition `{where}`: {_first_line(error)}", hint=f"columns of tokens: {columns}"
            ) from None
        if isinstance(error, duckdb.IOException | duckdb.InvalidInputException):
            reason = f"cannot read {lake}: {_first_line(error)}"
            raise LakeError(reason, hint="`rt check` names the damaged file") from None
        raise
    return con


def _check_condition(con: duckdb.DuckDBPyConnection, runs: Sequence[RunFolder], where: str) -> None:
    """Raise `QueryError` if the condition leaves no position of runs that have some."""
    positions = sum(run.manifest["tables"]["tokens"]["rows"] for run in runs)
    if positions and not con.execute("select 1 from tokens limit 1").fetchall():
        raise QueryError(
            f"the condition `{where}` leaves none of {positions:,} positions",
            hint='rt sql "summarize tokens" shows what values its columns have',
        )


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
        raise LakeError(
            _first_line(error), hint="if it is a file of the lake: `rt check` names what is wrong"
        ) from None
    except duckdb.Error as error:
        raise refused(error, sql, _relations(con)) from None
    except pl.exceptions.PolarsError as error:
        raise QueryError(
            f"a column has a type that cannot be shown: {str(error).splitlines()[0]}", hint="cast it: column::varchar"
        ) from None
    return rows


def _relations(con: duckdb.DuckDBPyConnection) -> str:
    names = con.execute("select view_name from duckdb_views() where not internal order by 1").fetchall()
    return ", ".join(name for (name,) in names)


def refresh_catalog(lake: Path) -> Path:
    """Bring `warehouse.duckdb` up to date: views only, in a storage version that DuckDB 1.5 reads too.

    It is built beside and renamed over the old one, and only when the lake was moved, its runs or the views changed.
    """
    found = open_lake(lake)
    path = found.root / CATALOG
    statements = _statements(found.root, found.runs, bool(found.unreadable))
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
