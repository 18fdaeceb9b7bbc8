"""An optional pass added to a simulated run, as `rt extract` adds one."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from extract.publication import publish_pass
from warehouse.lake import staging_folder, with_pass
from warehouse.shards import write_shard


def add_pass(lake: Path, run: str, of_pass: str, tables: Mapping[str, pa.Table]) -> None:
    """Write the `tables` of a pass and publish it."""
    staged = staging_folder(lake, with_pass(run, of_pass)) / "run"
    shards = {
        name: [write_shard(staged / name / "part-00000.parquet", name, data, staged)] for name, data in tables.items()
    }
    publish_pass(lake, run, of_pass, staged, shards, {"identity": {"simulated": True}, "config": {}})
    shutil.rmtree(staged.parent, ignore_errors=True)
