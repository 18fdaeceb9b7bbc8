"""A run whose manifest cannot be read says nothing about the other runs of the lake."""

import json
import shutil

import pytest

from extract.importer import import_folder
from tests.lake import make_lake, planted_influence
from warehouse.catalog import refresh_catalog
from warehouse.connection import connect, frame
from warehouse.errors import LakeError
from warehouse.lake import find_run, open_lake, removable, remove_run, runs_folder, staging_folder, unfinished

COUNT = "select run, count(*) as n from ablations group by run order by run"


@pytest.fixture
def lake(tmp_path):
    """Two runs with the same rows: that of the model `planted`, and that of `other`."""
    lake = make_lake(tmp_path, planted_influence(8, elbow=4), documents=4, positions=3)
    import_folder(tmp_path / "source", lake, "other", "c", "u", say=lambda line: None)
    return lake


def names(lake):
    """(the damaged run, the whole one)."""
    models = {run.manifest["model"]["model"]: run.name for run in open_lake(lake).runs}
    return models["planted"], models["other"]


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


DAMAGE = {
    "written by a newer rt: its format is 99": lambda folder: change_manifest(folder, format=99),
    "is not a manifest of rt": lambda folder: change_manifest(folder, format="x"),
    "its format is None": lambda folder: (folder / "manifest.json").write_text("[1]"),
    "holds the run 'r-other'": lambda folder: change_manifest(folder, run="r-other"),
    "lacks tables": lambda folder: change_manifest(folder, tables=None),
    "`created_at` is no text": lambda folder: change_manifest(folder, created_at=5),
    "`model` is no object": lambda folder: change_manifest(folder, model="m"),
    "`tables` lacks runs, tokens": lambda folder: change_manifest(folder, tables={}),
    "`tables.tokens` does not list": lambda folder: change_manifest(
        folder, tables=dict.fromkeys(("runs", "vocabulary", "neuron_tokens"), _table()) | {"tokens": {"rows": 3}}
    ),
    "cannot read the manifest": lambda folder: (folder / "manifest.json").write_bytes(b'{"format": \xff'),
    "Is a directory": lambda folder: ((folder / "manifest.json").unlink(), (folder / "manifest.json").mkdir()),
    "no manifest at": lambda folder: (folder / "manifest.json").unlink(),
    "Not a directory": lambda folder: (shutil.rmtree(folder), folder.write_text("a file")),
}


def _table():
    return {"rows": 1, "columns": [], "files": []}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_manifest_that_cannot_be_trusted_sets_its_run_apart(lake, message):
    damaged, whole = names(lake)
    DAMAGE[message](runs_folder(lake, damaged))
    opened = open_lake(lake)
    assert [run.name for run in opened.runs] == [whole]
    assert opened.unreadable.keys() == {damaged}
    assert message in opened.unreadable[damaged].message
    assert "\n" not in opened.unreadable[damaged].message
    assert opened.unreadable[damaged].hint
    for asked in (
        lambda: find_run(lake, damaged),
        lambda: find_run(lake, damaged[:6]),
        lambda: connect(lake, [damaged]),
    ):
        with pytest.raises(LakeError) as error:
            asked()
        assert message in error.value.message
    for con in (connect(lake), connect(lake, [whole]), connect(lake, where="document >= 0")):
        assert frame(con, COUNT).rows() == [(whole, 96)]
    refresh_catalog(lake)
    remove_run(lake, removable(lake, damaged))
    assert not open_lake(lake).unreadable
    assert frame(connect(lake), COUNT).rows() == [(whole, 96)]


def test_the_only_run_of_a_lake_can_be_damaged(lake):
    damaged, whole = names(lake)
    remove_run(lake, whole)
    (runs_folder(lake, damaged) / "manifest.json").write_text("{")
    assert frame(connect(lake), COUNT).height == 0


def test_a_run_that_was_not_chosen_may_lack_files(lake):
    damaged, whole = names(lake)
    (runs_folder(lake, damaged) / "tokens/part-00000.parquet").write_bytes(b"PAR1")
    assert frame(connect(lake, [whole]), COUNT).rows() == [(whole, 96)]
    with pytest.raises(LakeError, match=f"{damaged}/tokens/part-00000.parquet has 4 of"):
        connect(lake)


def test_making_a_damaged_run_again_is_refused(lake, tmp_path):
    damaged, _ = names(lake)
    (runs_folder(lake, damaged) / "manifest.json").write_text("{")
    with pytest.raises(LakeError, match="cannot read the manifest"):
        import_folder(tmp_path / "source", lake, "planted", "simulated", "simulated counts", say=lambda line: None)


def test_only_a_whole_name_is_removable(lake):
    damaged, whole = names(lake)
    (runs_folder(lake, damaged) / "manifest.json").write_text("{")
    (lake / "staging/r-begun/run").mkdir(parents=True)
    for name in (damaged, whole, "r-begun"):
        assert removable(lake, name) == name
        with pytest.raises(LakeError, match="is only the beginning of a run's id") as error:
            removable(lake, name[:5])
        assert name in error.value.hint
    for name in ("", "x", "..", f"../runs/run={whole}", "r-*"):
        with pytest.raises(LakeError, match="no run") as error:
            removable(lake, name)
        assert whole in error.value.hint


def test_a_removal_that_was_cut_off_can_be_ended(lake):
    damaged, whole = names(lake)
    runs_folder(lake, damaged).rename(staging_folder(lake, f"removed-{damaged}"))
    assert unfinished(lake) == [damaged]
    remove_run(lake, removable(lake, damaged))
    assert unfinished(lake) == []
    assert list((lake / "staging").iterdir()) == []
    assert [run.name for run in open_lake(lake).runs] == [whole]


def test_removing_a_link_leaves_what_it_points_to(lake, tmp_path):
    name, _ = names(lake)
    elsewhere = shutil.move(runs_folder(lake, name), tmp_path / "elsewhere")
    runs_folder(lake, name).symlink_to(elsewhere)
    assert frame(connect(lake), COUNT).height == 2
    remove_run(lake, name)
    assert (elsewhere / "manifest.json").exists()
    assert frame(connect(lake), COUNT).height == 1
