"""Anybody's trajectories: Parquet files of `(step, sample, vector)`, as the view `trajectory_states` without a lake.

A file is one training: a row per step and sample, `vector` a list or an array of numbers. It may have `label`, and
`document`, the unit that is resampled; and, the same in all rows of a step, the columns of `FACTS`.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb

from warehouse.errors import QueryError

REQUIRED = ("step", "sample", "vector")
FACTS = ("loss", "test_loss", "train_accuracy", "test_accuracy", "weight_decay", "seed")
COLUMNS = ("run", "representation", "step", "sample", "document", "label", "vector", *FACTS)
_TYPES = {"step": "bigint", "sample": "bigint", "document": "varchar", "label": "varchar", "seed": "bigint"}
_FORM = "one row per (step, sample): step and sample integers, vector a list of numbers; see docs/methods/phase.md"
_CONVERT = {
    ".csv": "duckdb -c \"copy (select step, sample, [x1, x2, ...]::float[] as vector from 'F.csv') to 'F.parquet'\"",
    ".npy": "polars.DataFrame({'step': step, 'sample': sample, 'vector': list(array)}).write_parquet('F.parquet')",
}
_CONVERT |= {".tsv": _CONVERT[".csv"], ".npz": _CONVERT[".npy"]}


def connect_states(files: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB whose only view is `trajectory_states`, of the `files`; raises as `add_states` does."""
    con = duckdb.connect(config={"temp_directory": tempfile.gettempdir(), "autoinstall_known_extensions": False})
    con.execute("set enable_progress_bar = false")
    add_states(con, files)
    return con


def add_states(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Make the view `trajectory_states` of the `files`, one run each, in place of what it was.

    A run is called as its file without the suffix, with the folder's name before it where two would be alike.
    Raises `QueryError` for what is no such file: missing, not Parquet, lacking columns, with vectors of several
    lengths or numbers that are not finite, without rows, or with a single step.
    """
    parts = []
    for path, name in zip(files, _names(files), strict=True):
        columns = _columns(con, path)
        _check_rows(con, path, columns)
        parts.append(_select(path, name, columns))
    con.execute(f"create or replace temp view trajectory_states as {' union all '.join(parts)}")


def _names(files: Sequence[Path]) -> list[str]:
    whole = [path.expanduser().resolve() for path in files]
    if len(set(whole)) < len(whole):
        raise QueryError("--states names a file twice", hint="name each file once")
    for parts in range(1, max(len(path.parts) for path in whole)):
        names = ["/".join((*path.parts[-parts:-1], path.stem)) for path in whole]
        if max(Counter(names).values()) == 1:
            return names
    return [str(path) for path in whole]


def _text(path: Path) -> str:
    return "'" + path.expanduser().as_posix().replace("'", "''") + "'"


def _columns(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Names and types of the file's columns, which must be those that a trajectory has."""
    if not path.expanduser().is_file():
        raise QueryError(f"no file {path}", hint="--states takes Parquet files")
    if path.suffix.lower() in _CONVERT:
        raise QueryError(f"{path} is not Parquet", hint=f"convert it: {_CONVERT[path.suffix.lower()]}")
    try:
        described = con.execute(f"describe from read_parquet([{_text(path)}])").fetchall()
    except duckdb.Error as error:
        raise QueryError(f"cannot read {path} as Parquet: {str(error).splitlines()[0]}", hint=_FORM) from None
    types = {row[0]: row[1] for row in described}
    if lacking := [name for name in REQUIRED if name not in types]:
        raise QueryError(f"{path} lacks {', '.join(lacking)}; it has {', '.join(types)}", hint=_FORM)
    for name in ("step", "sample"):
        if "INT" not in types[name]:
            raise QueryError(f"{path}: `{name}` is {types[name]}, not an integer", hint=_FORM)
    element, _, size = types["vector"].rpartition("[")
    if not size.endswith("]") or not _is_number(element):
        raise QueryError(f"{path}: `vector` is {types['vector']}, not a list of numbers", hint=_FORM)
    for name in FACTS:
        if name in types and not _is_number(types[name]):
            raise QueryError(f"{path}: `{name}` is {types[name]}, not a number", hint=_FORM)
    return types


def _is_number(name: str) -> bool:
    return name.startswith(("DECIMAL", "FLOAT", "DOUBLE", "REAL")) or name in (
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT",
    )  # fmt: skip


def _check_rows(con: duckdb.DuckDBPyConnection, path: Path, columns: dict[str, str]) -> None:
    """Raise `QueryError` for rows that no trajectory has."""
    source = f"from read_parquet([{_text(path)}])"
    empty = " or ".join(f"{name} is null" for name in REQUIRED)
    found = con.execute(
        f"""
        select
            count(*), count(distinct step), min(len(vector)), max(len(vector)), count(*) filter (where {empty}),
            min(step) filter (
                where list_count(vector) < len(vector) or not isfinite(coalesce(list_sum(vector::double[]), 0))
            ),
            min(step)
        {source}
        """
    ).fetchone()
    assert found is not None
    n_rows, n_steps, shortest, longest, n_empty, bad_step, first = found
    if not n_rows:
        raise QueryError(f"{path} has no rows", hint=_FORM)
    if n_empty:
        raise QueryError(f"{path}: {n_empty:,} rows lack a step, a sample or a vector", hint=_FORM)
    if shortest != longest or not shortest:
        raise QueryError(f"{path}: vectors of {shortest} to {longest} numbers", hint="one length in a file, above 0")
    if bad_step is not None:
        raise QueryError(f"{path}: a vector at step {bad_step} has NaN, infinite or missing numbers", hint="all finite")
    if n_steps < 2:
        raise QueryError(f"{path} has one step only, {first}", hint="a trajectory has at least two")
    if first < 0:
        raise QueryError(f"{path} has the step {first}", hint="steps count updates of the model, from 0")
    _check_keys(con, path, columns, source)


def _check_keys(con: duckdb.DuckDBPyConnection, path: Path, columns: dict[str, str], source: str) -> None:
    """Raise `QueryError` for a sample twice in a step, or a fact of a step that its rows do not share."""
    twice = con.execute(f"select step, sample {source} group by all having count(*) > 1 limit 1").fetchone()
    if twice:
        raise QueryError(f"{path}: sample {twice[1]} is twice at step {twice[0]}", hint=_FORM)
    for name in FACTS:
        if name in columns:
            differs = f"count(distinct {name}) > 1 or count({name}) not in (0, count(*))"
            row = con.execute(f"select step {source} group by step having {differs} order by step limit 1").fetchone()
            if row:
                raise QueryError(f"{path}: `{name}` differs within step {row[0]}", hint="one value for all its rows")


def _select(path: Path, name: str, columns: dict[str, str]) -> str:
    """The rows of a file with all columns of the view."""
    run = "'" + name.replace("'", "''") + "'"
    cells = [f"{run} as run", "'states' as representation", "step::bigint as step", "sample::bigint as sample"]
    for column in ("document", "label", "vector", *FACTS):
        kind = "float[]" if column == "vector" else _TYPES.get(column, "double")
        known = column in columns
        cells.append(f"{column if known else 'null'}::{kind} as {column}")
    return f"select {', '.join(cells)} from read_parquet([{_text(path)}])"
