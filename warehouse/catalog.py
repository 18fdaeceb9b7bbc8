"""The views of a lake as SQL, and `warehouse.duckdb`, the file that holds them for those who work without rt.

Imports nothing heavy: `rt ls` looks whether the file is up to date, and finds that it is without opening it.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from warehouse.lake import open_lake
from warehouse.run_folder import RunFolder
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


def _source(table: Table, root: Path, runs: Sequence[RunFolder], some: bool) -> str:
    """The `select` of a table's view: from its files, or typed and empty when no run has any.

    If `runs` are only `some` of those in the lake, or a pass of one is unreadable, the folders are named one by one:
    the files of the others, which may be damaged, are not opened.
    """
    holders = [run for run in runs if run.tables.get(table.name, {}).get("files")]
    if not holders:
        columns = ", ".join(f"null::{column.type} as {_quoted(column.name)}" for column in (RUN, *table.columns))
        return f"select {columns} where false"
    stored = {name for run in holders for name in run.tables[table.name]["columns"]}
    columns = ", ".join(
        f"{_quoted(column.name) if column.name in stored else 'null'}::{column.type} as {_quoted(column.name)}"
        for column in table.columns
    )
    some = some or any(table.of_pass in run.unreadable for run in runs)
    folders = [_glob(run.folder) for run in holders] if some else [f"{_glob(root)}/runs/run=*"]
    files = ", ".join(_text(f"{folder}/{table.path}/*.parquet") for folder in folders)
    return (
        f"select run::varchar as run, {columns} from read_parquet([{files}], hive_partitioning = true, "
        "hive_types = {'run': varchar}, union_by_name = true)"
    )


def statements(root: Path, runs: Sequence[RunFolder], some: bool, where: str = "") -> str:
    """SQL that makes every view, in order; `where` is a condition on `tokens`."""
    made = []
    for table in TABLES.values():
        source = _source(table, root, runs, some)
        if where and table.name == "tokens":
            # the line break ends a comment in the condition, which would else swallow what follows
            source = f"select * from ({source}) where ({where}\n)"
        made.append(f"create or replace view {table.name} as {source}")
    return ";\n".join([*made, *(path.read_text(encoding="utf-8") for path in sorted(SQL.glob("*.sql")))])


def comments() -> str:
    """SQL that writes the meaning and the unit of every column at the views."""
    made = []
    for table in TABLES.values():
        made.append(f"comment on view {table.name} is {_text(table.meaning)}")
        for column in (RUN, *table.columns):
            unit = f" [{column.unit}]" if column.unit else ""
            made.append(f"comment on column {table.name}.{_quoted(column.name)} is {_text(column.meaning + unit)}")
    return ";\n".join(made)


def refresh_catalog(lake: Path) -> Path:
    """Bring `warehouse.duckdb` up to date: views only, in a storage version that DuckDB 1.5 reads too.

    It is built beside and renamed over the old one, and only when the lake was moved, its runs or the views changed.
    """
    import duckdb

    path, made, signature = _wanted(lake)
    if _holds(path, signature):
        return path
    temporary = path.with_name(f".{CATALOG}.{os.getpid()}.partial")
    try:
        with duckdb.connect(temporary, config={"storage_compatibility_version": "v1.5.0"}) as con:
            con.execute("set enable_progress_bar = false")
            con.execute(f"begin;\n{made};\ncommit")
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


def looks_fresh(lake: Path) -> bool:
    """Whether `warehouse.duckdb` is up to date. It is not opened, which takes DuckDB."""
    path, _, signature = _wanted(lake)
    return _holds(path, signature)


def _holds(path: Path, signature: str) -> bool:
    """Whether the file was made with this signature: it is written once and as a whole, so its bytes tell."""
    try:
        return signature[: len(signature) // 2].encode() in path.read_bytes()
    except OSError:
        return False


def _wanted(lake: Path) -> tuple[Path, str, str]:
    """Where the catalog is, the SQL that makes it, and the signature of that: its hash, twice.

    DuckDB cuts long texts into blocks; of two copies in a row one at least is whole.
    """
    found = open_lake(lake)
    made = f"{statements(found.root, found.runs, bool(found.unreadable))};\n{comments()}"
    return found.root / CATALOG, made, 2 * hashlib.sha256(made.encode()).hexdigest()
