"""A run that was killed, shut out or stopped by a full disk goes on where it was."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from extract.run import extract
from tests.extract.tiny_runs import ROOT, assert_same, command, quiet, start
from warehouse.errors import LakeError
from warehouse.lake import locked, open_lake, unfinished


def test_a_killed_run_goes_on_and_ends_with_the_same_rows(settings, run, tmp_path):
    lake = tmp_path / "lake"
    moments = [
        ("run/windows", False),
        ("work/forward/shard-00002", False),
        ("work/ablation/shard-00000", False),
        ("work/ablation/shard-00002", True),
        ("run/neuron_tokens", False),
        ("run/tokens", True),
    ]
    for file, after in moments:
        died = start(settings, lake, file, after)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not list(lake.glob("runs/*"))
        assert unfinished(lake) == [run]
    ended = start(settings, lake)
    assert ended.returncode == 0, ended.stderr
    assert open_lake(lake).runs[0].faults() == []
    assert unfinished(lake) == []
    assert start(settings, tmp_path / "undisturbed").returncode == 0
    assert_same(tmp_path / "undisturbed", lake)
    assert_same(settings.lake, lake, rtol=1e-4)  # one shard instead of five


def test_what_was_finished_is_not_done_again(settings, tmp_path):
    lake = tmp_path / "lake"
    start(settings, lake, "work/forward/shard-00003", True)
    # the lock of the killed process lies beside the folder
    (staged,) = (path for path in (lake / "staging").glob("r-*") if path.is_dir())
    stage = staged / "work" / "forward"
    before = {path.name: path.stat().st_mtime_ns for path in stage.glob("*.parquet")}
    assert before
    start(settings, lake, "work/ablation/shard-00000", True)
    after = {path.name: path.stat().st_mtime_ns for path in stage.glob("*.parquet")}
    assert before.items() <= after.items()


def test_a_second_process_on_the_run_is_refused(settings, run, tmp_path):
    lake = tmp_path / "lake"
    with locked(lake, run):
        refused = start(settings, lake)
    assert refused.returncode == 1
    assert f"error: another process is writing the run {run}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_state_of_another_run_is_not_taken_over(settings, run, tmp_path):
    lake = tmp_path / "lake"
    start(settings, lake, "work/forward/shard-00000", True)
    state = lake / "staging" / run / "state.json"
    content = json.loads(state.read_text())
    content["identity"]["seed"] = 7
    state.write_text(json.dumps(content))
    with pytest.raises(LakeError, match="belongs to another run"):
        extract(replace(settings, lake=lake), quiet)


def test_a_disk_that_fills_on_the_way_is_named_and_the_run_goes_on_later(settings, run, tmp_path):
    lake = tmp_path / "lake"
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)); from cli import main; main()"
    )
    failed = subprocess.run(
        [sys.executable, "-c", limited, *command(settings, lake)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.splitlines()[-2].startswith("error: cannot write ")
    assert not list(lake.glob("staging/**/*.partial"))
    assert not list(lake.glob("runs/*"))
    assert extract(replace(settings, lake=lake), quiet) == run
    assert_same(settings.lake, lake)
