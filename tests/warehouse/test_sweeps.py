"""Which runs of a lake with sweeps a report shows, and which analyses over steps see."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.options import without_earlier
from extract.importer import import_folder
from queries import load
from queries.needs import has_sweep, missing
from tests.lake import planted_influence, write_folder
from tests.sweep import make_sweep
from warehouse.connection import connect, frame
from warehouse.errors import LakeError
from warehouse.lake import open_lake
from warehouse.sweeps import last_checkpoints, trajectories

CURVE = planted_influence(12, elbow=6)
SMALL = {"documents": 2, "positions": 3}


def add(lake, folder, *, own, **checkpoint):
    source = write_folder(folder, CURVE, own=own, **SMALL)
    return import_folder(source, lake, "planted", "simulated", "simulated", lambda line: None, **checkpoint)


@pytest.fixture
def lake(tmp_path):
    made = make_sweep(tmp_path, dict.fromkeys((0, 4, 16), CURVE), losses=False, **SMALL)
    add(made, tmp_path / "other", own=99)
    return made


@pytest.fixture
def names(lake):
    """The runs by their step; the one outside the sweep by -1."""
    return {run.step: run.name for run in open_lake(lake).runs}


def test_of_a_sweep_the_last_is_shown_and_all_led_to_it(lake, names):
    runs = open_lake(lake).runs
    assert set(last_checkpoints(runs)) == {names[16], names[-1]}
    assert set(trajectories(runs, [names[16]])) == {names[0], names[4], names[16]}
    assert set(trajectories(runs, [names[4]])) == {names[0], names[4]}
    assert trajectories(runs, [names[-1]]) == [names[-1]]


def test_what_a_report_shows(lake, names):
    shown, checkpoints = without_earlier(lake, [])
    assert set(shown) == {names[16], names[-1]}
    assert set(checkpoints) == set(names.values())
    assert without_earlier(lake, [names[-1]]) == ([names[-1]], [])
    shown, checkpoints = without_earlier(lake, [names[4]])
    assert shown == [names[4]]
    assert set(checkpoints) == {names[0], names[4]}


def test_a_lake_without_sweeps_is_shown_whole(tmp_path):
    lake = tmp_path / "lake"
    add(lake, tmp_path / "a", own=1)
    add(lake, tmp_path / "b", own=2)
    assert without_earlier(lake, []) == ([], [])
    con = connect(lake)
    assert not has_sweep(con)
    assert missing(con, load("dynamics")) == ["runs.sweep"]
    assert missing(con, load("influence")) == []


def test_the_view_ends_with_the_last_checkpoint_that_is_seen(lake, names):
    assert view(lake, ()) == [(step, names[16]) for step in (0, 4, 16)]
    assert view(lake, [names[0], names[4]]) == [(step, names[4]) for step in (0, 4)]
    assert has_sweep(connect(lake))
    assert not has_sweep(connect(lake, [names[16]]))


def test_of_a_step_that_was_measured_twice_one_counts(lake, names, tmp_path):
    add(lake, tmp_path / "again", own=7, sweep="planted", step=4)
    found = frame(connect(lake), "select step, count(*) as n from sweep_runs group by step order by step")
    assert found.rows() == [(0, 1), (4, 1), (16, 1)]
    assert len(open_lake(lake).runs) == 5


@pytest.mark.parametrize("newest", [0, 1])
def test_of_a_last_step_that_was_measured_twice_report_and_view_show_the_same(lake, names, tmp_path, newest):
    twice = [names[16], add(lake, tmp_path / "again", own=7, sweep="planted", step=16)]
    for name, created in zip(twice, ("2030-01-01", "2030-01-02")[:: 2 * newest - 1], strict=True):
        published(lake, name, created)
    shown, checkpoints = without_earlier(lake, [])
    assert set(shown) == {twice[newest], names[-1]}
    assert view(lake, checkpoints) == [(step, twice[newest]) for step in (0, 4, 16)]
    # the other one, where it is named
    shown, checkpoints = without_earlier(lake, [twice[1 - newest]])
    assert shown == [twice[1 - newest]]
    assert view(lake, checkpoints) == [(step, twice[1 - newest]) for step in (0, 4, 16)]


def published(lake, name, day):
    """Let the run have been published then, as its manifest and its row say."""
    folder = lake / f"runs/run={name}"
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / "runs/part-00000.parquet"
    when = datetime.datetime.fromisoformat(day)
    row = pq.read_table(path)
    row = row.set_column(
        row.schema.get_field_index("created_at"), row.schema.field("created_at"), pa.array([when], pa.timestamp("us"))
    )
    pq.write_table(row, path)
    manifest["created_at"] = when.isoformat()
    manifest["tables"]["runs"]["files"][0]["bytes"] = path.stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))


def view(lake, runs):
    return frame(connect(lake, runs), "select step, last_run from sweep_runs order by step").rows()


@pytest.mark.parametrize("checkpoint", [{"sweep": "planted"}, {"step": 4}, {"sweep": "planted", "step": -1}])
def test_half_a_checkpoint_is_refused(tmp_path, checkpoint):
    with pytest.raises(LakeError, match=r"--sweep .* with --step") as raised:
        add(tmp_path / "lake", tmp_path / "source", own=1, **checkpoint)
    assert "both" in raised.value.hint
    assert not (tmp_path / "lake").exists()
