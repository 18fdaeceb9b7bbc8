"""`rt run --states`: trajectories from files, without a lake, and what is refused."""

import io

import polars as pl
import pytest

from calibration.trajectories import write_states
from tests.cli.shell import failed, rt


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    path = tmp_path_factory.mktemp("states") / "small.parquet"
    write_states(path, "full_v", steps=(0, 1, 10, 100, 1000), samples=40, width=3)
    return path


def test_files_need_no_lake(states, tmp_path):
    result = rt("run", "phase", "--states", str(states), "--format", "csv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    table = pl.read_csv(io.StringIO(result.stdout))
    assert set(table["run"]) == {"small"}
    assert {"coordinate_em", "coordinate_sgd", "shape_em"} <= set(table["measure"])
    assert "ln(beta/beta_c) by EM goes from" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_accuracies_of_files_have_an_escape(states, tmp_path):
    result = rt("run", "grokking", "--states", str(states), "--output", "x.parquet", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    escape = pl.read_parquet(tmp_path / "x.parquet").filter(run="small", measure="escape").row(0, named=True)
    assert (escape["low"], escape["high"]) == (100, 1000)


def test_what_does_not_fit_is_refused(states, lake, tmp_path):
    at = ("--states", str(states))
    failed(rt("run", "influence", *at), "influence reads a lake, not --states", "these do: grokking, phase")
    failed(rt("run", "phase", *at, "--where", "loss > 1"), "--where chooses from a lake")
    failed(rt("run", "phase", *at, "--run", "r-1"), "--run chooses from a lake")
    failed(rt("run", "phase", "--states", str(tmp_path / "none.parquet")), "no file", "Parquet")
    failed(rt("run", "phase", "--lake", str(lake)), "no values in trajectory_states.vector", "rt sweep")
    failed(rt("run", "grokking", "--lake", str(lake)), "trajectory_states.test_accuracy", "--states FILE")
    bare = tmp_path / "bare.parquet"
    pl.read_parquet(states).select("step", "sample", "vector").write_parquet(bare)
    failed(rt("run", "grokking", "--states", str(bare)), "no values in trajectory_states.train_accuracy")
