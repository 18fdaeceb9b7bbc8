"""`rt import`: anybody's own activations and deltas become a run, after they were held against the schema."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from extract.publication import already_there, publish_run, run_id
from warehouse.errors import LakeError
from warehouse.lake import locked, runs_folder, staging_folder
from warehouse.schema import TABLES, Table
from warehouse.shards import Shard, ShardWriter, sha256

NEEDED = {
    "tokens": ("token_index", "document", "target_id"),
    "neuron_tokens": ("neuron", "token_index"),
    "vocabulary": ("token_id", "count"),
}
MEASURES = ("activation", "delta_loss")
# What a missing column is computed from; all else that is missing becomes null.
_DERIVED = {
    ("vocabulary", "probability"): "(count + 1) / sum(count + 1) over ()",
    ("vocabulary", "frequency_rank"): (
        "case when not coalesce(is_special, false) then "
        "row_number() over (partition by coalesce(is_special, false) order by count desc, token_id) end"
    ),
}
# (table, column, table that must hold the value)
_REFERENCES = (
    ("neuron_tokens", "token_index", "tokens"),
    ("residuals", "token_index", "tokens"),
    ("tokens", "target_id", "vocabulary"),
    ("tokens", "token_id", "vocabulary"),
    ("tokens", "document", "documents"),
    ("tokens", "window", "windows"),
    ("windows", "document", "documents"),
    ("neurons", "neuron", "neuron_tokens"),
    ("weights", "neuron", "neuron_tokens"),
)
_KEY_OF = {"vocabulary": "token_id", "documents": "document", "windows": "window", "tokens": "token_index"}


def import_folder(
    folder: Path, lake: Path, model: str, corpus: str, unigrams: str, say: Callable[[str], None] = print
) -> str:
    """Bring the Parquet files of `folder` into `lake` as a run and return its id.

    The files are named by table, `TABLE.parquet` or `TABLE/*.parquet`. `model`, `corpus` and `unigrams` (the source of
    the counts) are names for the reports. Raises `LakeError` naming every fault with its file and first row; then
    nothing was written. Importing the same files again does nothing.
    """
    sources = _sources(folder)
    con = duckdb.connect()
    con.execute("set enable_progress_bar = false")
    ignored = _load(con, sources)
    _complete(con, sources)
    faults = _faults(con, sources)
    if faults:
        shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        raise LakeError(f"cannot import {folder}: {shown}", hint="the tables and their columns: docs/lake.md")
    for name in ignored:
        say(f"not imported: {name} is not a column of the lake")
    hashes = {f"{table}/{path.name}": sha256(path) for table, paths in sorted(sources.items()) for path in paths}
    run = run_id({"imported": hashes, "model": model, "corpus": corpus, "unigrams": unigrams})
    if runs_folder(lake, run).exists():
        return already_there(lake, run, say)
    facts = _facts(con, model, corpus, unigrams)
    with locked(lake, run):
        if runs_folder(lake, run).exists():
            return already_there(lake, run, say)
        staged = staging_folder(lake, run)
        shutil.rmtree(staged, ignore_errors=True)
        try:
            tables = {name: [_write(con, TABLES[name], staged)] for name in _present(con)}
            manifest = {"config": {"folder": folder.name}, "model": {"model": model}, "imported_sha256": hashes}
            publish_run(lake, run, staged, tables, facts, manifest)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    say(f"imported {facts['n_positions']:,} positions x {facts['d_mlp']:,} neurons as {run}")
    return run


def _sources(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise LakeError(f"no folder {folder}", hint="give a folder with tokens.parquet, neuron_tokens.parquet, ...")
    found: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        name = path.stem if path.parent == folder else path.parent.name
        if name not in TABLES or name == "runs":
            allowed = ", ".join(table for table in TABLES if table != "runs")
            raise LakeError(f"{path} is not named by a table", hint=f"tables: {allowed}")
        found.setdefault(name, []).append(path)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        needed = "; ".join(f"{name} ({', '.join(columns)})" for name, columns in NEEDED.items())
        raise LakeError(
            f"{folder} has no {' and no '.join(f'{name}.parquet' for name in missing)}",
            hint=f"at least needed: {needed}",
        )
    return found


def _load(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    """Make one view per source with the schema's types; rows keep their number. Returns the columns left out."""
    ignored = []
    for name, paths in sources.items():
        try:
            raw = con.read_parquet(
                [str(path) for path in paths], file_row_number=True, filename=True, union_by_name=True
            )
        except duckdb.Error as error:
            raise LakeError(f"cannot read {paths[0]}: {str(error).splitlines()[0]}", hint="is it Parquet?") from None
        raw.create_view(f"raw_{name}")
        declared = {column.name for column in TABLES[name].columns}
        ignored += [
            f"{name}.{each}" for each in raw.columns if each not in {*declared, "file_row_number", "filename", "run"}
        ]
        columns = []
        for column in TABLES[name].columns:
            if column.name in raw.columns:
                columns.append(f'try_cast("{column.name}" as {column.type}) as "{column.name}"')
            elif (name, column.name) not in _DERIVED:
                columns.append(f'null::{column.type} as "{column.name}"')
        con.execute(
            f"create view typed_{name} as select {', '.join(columns)}, file_row_number, filename from raw_{name}"
        )
        derived = [
            f"({sql})::{TABLES[name][column].type} as {column}"
            for (table, column), sql in _DERIVED.items()
            if table == name and column not in raw.columns
        ]
        con.execute(f"create view {name} as select {', '.join(['*', *derived])} from typed_{name}")
    return ignored


def _complete(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> None:
    """Make `documents` and `neurons` where they were not given and follow from what was."""
    if "documents" not in sources:
        con.execute(
            """create view documents as
            select document, 'document ' || document as name, null::integer as n_characters, null::integer as n_tokens
            from (select distinct document from tokens where document is not null)"""
        )
    if "neurons" not in sources and "activation" in _columns(con, "raw_neuron_tokens"):
        con.execute(
            """create view neurons as
            select null::integer as layer, neuron, avg(activation) as mean_activation,
                stddev_samp(activation) as sd_activation, null::float as in_norm, null::float as gate_norm,
                null::float as out_norm
            from neuron_tokens group by neuron"""
        )


def _columns(con: duckdb.DuckDBPyConnection, view: str) -> set[str]:
    return {row[0] for row in con.execute(f"describe {view}").fetchall()}


def _faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    found = []
    for name, paths in sources.items():
        given = _columns(con, f"raw_{name}")
        lacking = [
            column.name
            for column in TABLES[name].columns
            if column.name not in given
            and (name, column.name) not in _DERIVED
            and (not column.nullable or column.name in NEEDED.get(name, ()))
        ]
        if name == "neuron_tokens" and not given & set(MEASURES):
            lacking.append(" or ".join(MEASURES))
        if lacking:
            found.append(f"{paths[0].name}: no column {', '.join(lacking)}")
        else:
            found += _value_faults(con, TABLES[name], given)
    return found or _reference_faults(con, sources) + _pair_faults(con)


def _first(con: duckdb.DuckDBPyConnection, what: str, view: str, condition: str) -> tuple[str, str] | None:
    """(file and row, value of `what`) of the first row of `view` that meets `condition`."""
    row = con.execute(
        f"select filename, file_row_number, ({what})::varchar from {view} where {condition} order by 1, 2 limit 1"
    ).fetchone()
    return (f"{Path(row[0]).name}, row {row[1]}", row[2]) if row else None


def _value_faults(con: duckdb.DuckDBPyConnection, table: Table, given: set[str]) -> list[str]:
    """Values that are not of the declared type, null, not finite or negative; rows with the same key."""
    found = []
    raw, typed = f"raw_{table.name}", f"typed_{table.name}"
    for column in table.columns:
        if column.name not in given:
            continue
        name = f'"{column.name}"'
        cast = f"try_cast({name} as {column.type})"
        rules = [(raw, f"{name} is not null and {cast} is null", f"not {column.type}")]
        if column.type in ("INTEGER", "BIGINT"):
            rules += [(raw, f"{cast}::varchar::double <> {name}::varchar::double", "not a whole number")]
            rules += [(typed, f"{name} < 0", "below 0")]
        if column.type in ("FLOAT", "DOUBLE"):
            rules += [(typed, f"not isfinite({name})", "not finite")]
        if column.type == "FLOAT[]":
            rules += [(typed, f"len(list_filter({name}, lambda x: not isfinite(x))) > 0", "not finite")]
        if not column.nullable or column.name in MEASURES:
            rules += [(typed, f"{name} is null", "needed at every row")]
        for view, condition, what in rules:
            if fault := _first(con, name, view, condition):
                found.append(f"{fault[0]}: {column.name} is {fault[1] or 'null'}, {what}")
                break
    key = ", ".join(f'"{name}"' for name in table.key if name in given)
    repeated = f"({key}) in (select ({key}) from {typed} group by all having count(*) > 1)"
    if not found and (fault := _first(con, f"({key})", typed, repeated)):
        found.append(f"{fault[0]}: more than one row with ({key}) = {fault[1]}")
    return found


def _reference_faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    found = []
    for table, column, target in _REFERENCES:
        if table in sources and target in sources:
            key = _KEY_OF.get(target, "neuron")
            condition = f'"{column}" is not null and "{column}" not in (select "{key}" from {target})'
            if fault := _first(con, f'"{column}"', table, condition):
                found.append(f"{fault[0]}: {column} {fault[1]} is not in {target}")
    return found


def _pair_faults(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Neurons that are not there at every token."""
    row = con.execute(
        """select neuron, count(*) as n, (select count(*) from tokens) as expected
        from neuron_tokens group by neuron having n <> expected order by neuron limit 1"""
    ).fetchone()
    return [f"neuron_tokens: neuron {row[0]} is there at {row[1]:,} of {row[2]:,} tokens"] if row else []


def _present(con: duckdb.DuckDBPyConnection) -> list[str]:
    views = {row[0] for row in con.execute("select view_name from duckdb_views() where not internal").fetchall()}
    return [name for name in TABLES if name in views]


def _facts(con: duckdb.DuckDBPyConnection, model: str, corpus: str, unigrams: str) -> dict[str, Any]:
    row = con.execute(
        """select (select count(distinct neuron) from neuron_tokens), (select count(*) from vocabulary),
        (select count(distinct document) from tokens), (select count(*) from tokens)"""
    ).fetchone()
    assert row is not None
    names = ("d_mlp", "n_vocabulary", "n_documents", "n_positions")
    named = {"origin": "imported", "model": model, "corpus": corpus, "unigram_source": unigrams}
    return {**named, **dict(zip(names, row, strict=True))}


def _write(con: duckdb.DuckDBPyConnection, table: Table, staged: Path) -> Shard:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    keys = ", ".join(f'"{name}"' for name in table.key)
    rows = con.sql(f"select {columns} from {table.name} order by {keys}")
    with ShardWriter(staged / table.name / "part-00000.parquet", table, staged) as writer:
        for batch in rows.to_arrow_reader(1_000_000):
            writer.write(pa.Table.from_batches([batch]))
    assert writer.shard is not None
    return writer.shard
