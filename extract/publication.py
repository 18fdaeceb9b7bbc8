"""The last step of `rt extract` and `rt import`: the manifest of the run, or of a pass of it, and the rename."""

import datetime
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse.catalog import refresh_catalog
from warehouse.lake import find_run, publish, with_pass
from warehouse.manifest import FORMAT, NAME, rt_version, versions, write_json
from warehouse.schema import TABLES
from warehouse.shards import Shard, arrow_schema, write_shard


def run_id(identity: Mapping[str, Any]) -> str:
    """`r-` and ten hexadecimal digits of everything that determines the rows of a run."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return "r-" + hashlib.sha256(text.encode()).hexdigest()[:10]


def already_there(lake: Path, run: str, say: Callable[[str], None], then: str = "nothing to do") -> str:
    """Say that a run needs no work, and what is done `then`.

    Raises `LakeError` if it is there, but cannot be read or lacks files.
    """
    find_run(lake, run).check_sizes()
    refresh_catalog(lake)
    say(f"{run} is already in {lake}: {then}")
    return run


def publish_run(
    lake: Path,
    run: str,
    staged: Path,
    tables: Mapping[str, Sequence[Shard]],
    facts: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> Path:
    """Write the `runs` row and the manifest into `staged`, then make the run visible by one rename.

    `facts` are columns of `runs`; `manifest` is everything else worth keeping (configuration, hashes, timings, ...).
    Returns the folder of the published run.
    """
    created = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
    row = {**facts, "created_at": created, "rt_version": rt_version()}
    schema = arrow_schema(TABLES["runs"])
    data = pa.table({field.name: pa.array([row.get(field.name)], field.type) for field in schema})
    shard = write_shard(staged / "runs" / "part-00000.parquet", "runs", data, staged)
    files = {**tables, "runs": [shard]}
    write_json(
        staged / NAME,
        {
            "format": FORMAT,
            "run": run,
            "origin": row["origin"],
            "created_at": created.isoformat(),
            "command": sys.argv,
            "versions": versions(),
            **manifest,
            "tables": _tables(files),
        },
    )
    folder = publish(staged, lake, run)
    refresh_catalog(lake)
    return folder


def publish_pass(
    lake: Path,
    run: str,
    of_pass: str,
    staged: Path,
    tables: Mapping[str, Sequence[Shard]],
    manifest: Mapping[str, Any],
) -> Path:
    """Write the manifest of an optional pass into `staged`, then add it to the published run by one rename.

    `manifest` holds at least `identity`, the settings that determine its rows.
    """
    created = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
    write_json(
        staged / NAME,
        {
            "format": FORMAT,
            "run": run,
            "pass": of_pass,
            "created_at": created.isoformat(),
            "command": sys.argv,
            "versions": versions(),
            **manifest,
            "tables": _tables(tables),
        },
    )
    folder = publish(staged, lake, with_pass(run, of_pass))
    refresh_catalog(lake)
    return folder


def _tables(files: Mapping[str, Sequence[Shard]]) -> dict[str, Any]:
    """What a manifest says of its tables."""
    return {
        name: {
            "columns": [column.name for column in TABLES[name].columns],
            "rows": sum(shard.rows for shard in shards),
            "files": [shard.as_dict() for shard in shards],
        }
        for name, shards in files.items()
    }
