"""`rt import`: anybody's own activations and deltas become a run, after they were held against the schema."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from extract.import_checks import DERIVED, NEEDED, columns_of, find_faults
from extract.publication import already_there, publish_run, run_id
from warehouse.errors import LakeError
from warehouse.files import sha256
from warehouse.lake import locked, runs_folder, staging_folder
from warehouse.schema import TABLES, Table, tables_of
from warehouse.shards import Shard, ShardWriter


def import_folder(
    folder: Path,
    lake: Path,
    model: str,
    corpus: str,
    unigrams: str,
    say: Callable[[str], None] = print,
    *,
    sweep: str = "",
    step: int | None = None,
) -> str:
    """Bring the Parquet files of `folder` into `lake` as a run and return its id.

    The files are named by table, `TABLE.parquet` or `TABLE/*.parquet`. `model`, `corpus` and `unigrams` (the source of
    the counts) are names for the reports. Runs with the same name `sweep` are checkpoints of one sweep, each of its
    training `step`. Raises `LakeError` naming every fault with its file and first row; then
    nothing was written. Importing the same files again does nothing.
    """
    checkpoint = _checkpoint(sweep, step)
    sources = _sources(folder)
    # sorting a large table goes to the disk before it takes the memory of everything else
    con = duckdb.connect(config={"memory_limit": "50%", "temp_directory": tempfile.gettempdir()})
    con.execute("set enable_progress_bar = false")
    ignored = _load(con, sources)
    _complete(con, sources)
    found = find_faults(con, sources)
    if found:
        shown = "; ".join(found[:8]) + (f"; and {len(found) - 8} more" if len(found) > 8 else "")
        raise LakeError(f"cannot import {folder}: {shown}", hint="the tables and their columns: docs/lake.md")
    for name in ignored:
        say(f"not imported: {name} is not a column of the lake")
    hashes = {f"{table}/{path.name}": sha256(path) for table, paths in sorted(sources.items()) for path in paths}
    run = run_id({"imported": hashes, "model": model, "corpus": corpus, "unigrams": unigrams, **checkpoint})
    if runs_folder(lake, run).exists():
        return already_there(lake, run, say)
    facts = {**_facts(con, model, corpus, unigrams), **checkpoint}
    with locked(lake, run):
        if runs_folder(lake, run).exists():
            return already_there(lake, run, say)
        staged = staging_folder(lake, run)
        shutil.rmtree(staged, ignore_errors=True)
        try:
            tables = {name: [_write(con, TABLES[name], staged)] for name in _present(con)}
            manifest = {
                "config": {"folder": folder.name}, "model": {"model": model}, "imported_sha256": hashes, **checkpoint
            }  # fmt: skip
            publish_run(lake, run, staged, tables, facts, manifest)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    say(f"imported {facts['n_positions']:,} positions x {facts['d_mlp']:,} neurons as {run}")
    return run


def _checkpoint(sweep: str, step: int | None) -> dict[str, Any]:
    """The columns `sweep` and `step` of a run that is a checkpoint, none of another. Raises `LakeError` for half."""
    if (step is None) == bool(sweep) or (step is not None and step < 0):
        raise LakeError(
            f"--sweep {sweep or 'missing'} with --step {'missing' if step is None else step}",
            hint="a checkpoint has both, all of one training the same --sweep, e.g. --sweep mine --step 512",
        )
    return {"sweep": "s-" + hashlib.sha256(sweep.encode()).hexdigest()[:10], "step": step} if sweep else {}


def _sources(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise LakeError(f"no folder {folder}", hint="give a folder with tokens.parquet, neuron_tokens.parquet, ...")
    found: dict[str, list[Path]] = {}
    allowed = [table.name for table in tables_of("") if table.name != "runs"]
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        name = path.stem if path.parent == folder else path.parent.name
        if name not in allowed:
            raise LakeError(f"{path} is not named by a table", hint=f"tables: {', '.join(allowed)}")
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
            hint = "rename the column" if isinstance(error, duckdb.BinderException) else "is it Parquet?"
            raise LakeError(f"cannot read {paths[0]}: {str(error).splitlines()[0]}", hint=hint) from None
        raw.create_view(f"raw_{name}")
        declared = {column.name for column in TABLES[name].columns}
        ignored += [
            f"{name}.{each}" for each in raw.columns if each not in {*declared, "file_row_number", "filename", "run"}
        ]
        columns = []
        for column in TABLES[name].columns:
            if column.name in raw.columns:
                columns.append(f'try_cast("{column.name}" as {column.type}) as "{column.name}"')
            elif (name, column.name) not in DERIVED:
                columns.append(f'null::{column.type} as "{column.name}"')
        con.execute(
            f"create view typed_{name} as select {', '.join(columns)}, file_row_number, filename from raw_{name}"
        )
        derived = [
            f"({sql})::{TABLES[name][column].type} as {column}"
            for (table, column), sql in DERIVED.items()
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
    if "neurons" not in sources and "activation" in columns_of(con, "raw_neuron_tokens"):
        made = {
            "neuron": "neuron", "mean_activation": "avg(activation)", "sd_activation": "stddev_samp(activation)"
        }  # fmt: skip
        columns = ", ".join(
            f"{made.get(column.name, f'null::{column.type}')} as {column.name}" for column in TABLES["neurons"].columns
        )
        con.execute(f"create view neurons as select {columns} from neuron_tokens group by neuron")


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
