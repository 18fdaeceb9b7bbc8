"""Runs of a tiny model: their rows, and the command that makes one in a process of its own, to be killed on the way."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from extract.layer_pass import LayersPass
from extract.run import extract
from warehouse.connection import connect, frame

ROOT = Path(__file__).parents[2]
TABLES = ("tokens", "neurons", "neuron_tokens", "residuals", "weights", "documents", "windows", "vocabulary")
# The pass over layers that tests look at.
LAYERS = LayersPass(state_tokens=60, store_layer="0")


def with_passes(settings, folder, *passes):
    """A copy of the lake of `settings` in `folder`, whose run has the optional `passes`."""
    lake = shutil.copytree(settings.lake, folder / "lake")
    extract(replace(settings, lake=lake), quiet, passes)
    return lake


def quiet(line):
    """Say nothing."""


def rows(lake, table):
    return frame(connect(lake), f"select * exclude (run) from {table} order by all")


def assert_same(one, other, rtol=0.0):
    for table in TABLES:
        left, right = rows(one, table), rows(other, table)
        assert left.columns == right.columns
        for name in left.columns:
            if rtol and left[name].dtype in (pl.Float32, pl.Float64):
                np.testing.assert_allclose(left[name], right[name], rtol=rtol, atol=1e-6)
            else:
                assert left[name].to_list() == right[name].to_list() or left[name].equals(right[name]), (table, name)


# A process that is killed just before its n-th file is noted: the file is there, but nobody knows of it.
KILLED = """
import os, signal, sys
import extract.passes as passes, extract.staging as staging
passes.PAIRS = 1_000
record, seen = staging.Stage.record, []
def dying(self, shard):
    seen.append(shard.file)
    if shard.file.startswith({file!r}) and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    record(self, shard)
    if shard.file.startswith({file!r}):
        os.kill(os.getpid(), signal.SIGKILL)
if {file!r}:
    staging.Stage.record = dying
from cli import main
main()
"""


def command(settings, lake):
    return [
        *("extract", "--lake", str(lake), "--model", settings.model, "--corpus", settings.corpus),
        *("--context", "32", "--tokens", "200"),
    ]


def start(settings, lake, file="", after=False):
    script = KILLED.format(file=file, after=after)
    return subprocess.run(
        [sys.executable, "-c", script, *command(settings, lake)],
        cwd=ROOT,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
    )
