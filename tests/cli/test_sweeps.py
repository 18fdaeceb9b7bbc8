"""Lakes with a sweep on the command line: what ls, sql, run and report show of its checkpoints."""

import pytest

from tests.cli.shell import failed, rt
from tests.lake import planted_influence
from tests.sweep import make_sweep
from warehouse.lake import open_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    curves = dict.fromkeys((0, 4, 16), planted_influence(30, elbow=15))
    return make_sweep(tmp_path_factory.mktemp("swept"), curves, documents=8, positions=6)


@pytest.fixture(scope="module")
def runs(lake):
    return {run.step: run.name for run in open_lake(lake).runs}


def test_ls_and_sql_show_every_checkpoint(lake, runs):
    listed = rt("ls", "--lake", str(lake)).stdout
    assert all(f"step {step}" in listed and name in listed for step, name in runs.items())
    counted = rt("sql", "select count(distinct run) as n from tokens", "--lake", str(lake), "--format", "csv")
    assert counted.stdout.split() == ["n", "3"]


def test_run_shows_every_checkpoint(lake, runs):
    printed = rt("run", "influence", "--lake", str(lake), "--format", "csv")
    assert printed.returncode == 0, printed.stderr
    assert all(name in printed.stdout for name in runs.values())


def test_a_report_shows_the_last_checkpoint(lake, runs, tmp_path):
    path = tmp_path / "report.md"
    made = rt("report", "--lake", str(lake), "--only", "influence", "--output", str(path))
    assert made.returncode == 0, made.stderr
    text = path.read_text()
    assert f"of each sweep the last checkpoint, and all runs outside any: `{runs[16]}`" in text
    assert "over training steps 3 runs" in text
    assert text.count(runs[0]) == 1  # in the table of the checkpoints
    named = rt("report", "--lake", str(lake), "--only", "influence", "--output", str(path), "--run", runs[4])
    assert named.returncode == 0, named.stderr
    assert f"`{runs[4]}`; over training steps 2 runs" in path.read_text()


def test_dynamics_without_a_sweep_says_what_to_run(tmp_path):
    single = make_sweep(tmp_path, {4: planted_influence(30, elbow=15)}, documents=8, positions=6)
    failed(rt("run", "dynamics", "--lake", str(single)), "nothing to compute dynamics from", "rt sweep --model")


def test_a_sweep_needs_a_model_and_revisions():
    assert rt("sweep", "--revisions", "step0").returncode == 2
    assert rt("sweep", "--model", "somewhere").returncode == 2
    failed(rt("sweep", "--model", "smollm2-135m", "--revisions", "step0"), "has no checkpoints to sweep over")
