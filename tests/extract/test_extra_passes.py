"""Optional passes: added to a run by one rename, resumed, refused with other settings, removed, never in the way."""

import json
import shutil
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cli import app
from extract.estimate import estimate
from extract.run import extract
from extract.session import Session
from tests.extract.tiny_runs import assert_same, quiet
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, RtError
from warehouse.lake import find_run, open_lake, removable, remove_run, runs_folder, staging_folder, unfinished
from warehouse.manifest import write_json
from warehouse.shards import write_shard


@dataclass
class Planted:
    """A pass that writes a row or two into each table of `heads`; it can be made to stop on the way."""

    tokens: int = 1
    stop: bool = False
    made: int = 0
    of_pass: str = "heads"

    @property
    def identity(self):
        return {"tokens": self.tokens, "ablation": ("mean",)}

    def check(self):
        if self.tokens < 1:
            raise RtError(f"--head-tokens {self.tokens}", hint="at least 1")

    def fits(self, session):
        if self.tokens > 99:
            raise RtError(f"--head-tokens {self.tokens}: the model has no such heads", hint="fewer")

    def estimate(self, session, plan):
        return 60.0 * self.tokens, len(plan.windows)

    def make(self, session, run, stage):
        assert session.last.d_mlp == len(run.moments()[0]) == len(run.moments()[1])
        document, ids = run.windows()
        lists = {name: pa.array([[1.0]], pa.list_(pa.float32())) for name in ("mean_output", "x")}
        one = {"layer": [0], "head": [0]}
        neurons = dict.fromkeys(("sum_abs_change", "sum_change", "sum_square_change"), lists["x"])
        tables = {
            "attention_heads": {**one, "has_path": [True], "mean_output": lists["mean_output"]},
            "head_positions": {
                "token_index": [0], "document": document[:1], "pair": [0], "stratum": ["rare"],
                "target_decile": [9], "input_decile": [int(ids[0, 0]) % 10],
            },
            "head_tokens": {**one, "ablation": ["mean"], "token_index": [0], "delta_loss": [0.5]},
            "head_neurons": {**one, "ablation": ["mean"], "stratum": ["rare"], "document": [0], "n": [1], **neurons},
        }  # fmt: skip
        for name, columns in tables.items():
            file = f"run/{name}/part-00000.parquet"
            if not stage.has(file):
                stage.record(write_shard(stage.folder / file, name, pa.table(columns), stage.folder))
                self.made += 1
                if self.stop:
                    raise KeyboardInterrupt
        stage.note(self_check={"loss": 0.0})


def add(settings, lake, *passes, say=quiet):
    return extract(replace(settings, lake=lake), say, passes)


def test_a_pass_is_added_to_a_run_and_nothing_of_the_run_is_touched(settings, run, lake):
    before = {path: path.stat().st_mtime_ns for path in runs_folder(lake, run).rglob("*") if path.is_file()}
    assert frame(connect(lake), "from head_tokens").is_empty()
    said = []
    assert add(settings, lake, Planted(), say=said.append) == run
    assert said == [f"{run} is already in {lake}: now its heads", f"{run}+heads is in {lake}"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_same(settings.lake, lake)
    found = frame(connect(lake), "select run, delta_loss from head_tokens")
    assert found.rows() == [(run, 0.5)]
    folder = find_run(lake, run)
    assert folder.faults() == []
    assert folder.passes["heads"]["self_check"] == {"loss": 0.0}
    assert folder.passes["heads"]["identity"] == {"tokens": 1, "ablation": ["mean"]}
    assert sum(file["file"].startswith("heads/") for _, file in folder.files()) == 4
    assert unfinished(lake) == []


def test_a_new_run_is_published_before_its_pass(settings, run, tmp_path):
    lake = tmp_path / "lake"
    with pytest.raises(KeyboardInterrupt):
        add(settings, lake, Planted(stop=True))
    assert [each.name for each in open_lake(lake).runs] == [run]
    assert unfinished(lake) == [f"{run}+heads"]
    assert frame(connect(lake), "from attention_heads").is_empty()
    rest = Planted()
    add(settings, lake, rest)
    assert rest.made == 3
    assert frame(connect(lake), "from attention_heads").height == 1
    assert unfinished(lake) == []


def test_the_same_pass_again_needs_no_model_and_another_is_refused(settings, run, lake, monkeypatch):
    add(settings, lake, Planted())

    def never(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Session, "__init__", never)
    said = []
    add(settings, lake, Planted(), say=said.append)
    assert said[-1] == f"{run}+heads is already in {lake}: nothing to do"
    with pytest.raises(LakeError, match="with other settings: tokens 1; asked for: tokens 2") as error:
        add(settings, lake, Planted(tokens=2))
    assert f"rt rm {run} --pass heads" in error.value.hint
    with pytest.raises(RtError, match="--head-tokens 0"):
        add(settings, lake, Planted(tokens=0))


def test_one_that_was_begun_with_other_settings_is_not_taken_over(settings, run, lake):
    with pytest.raises(KeyboardInterrupt):
        add(settings, lake, Planted(stop=True))
    with pytest.raises(LakeError, match="was begun with other settings") as error:
        add(settings, lake, Planted(tokens=2))
    assert f"rt rm {run} --pass heads" in error.value.hint
    remove_run(lake, removable(lake, run, "heads"))
    assert unfinished(lake) == []
    add(settings, lake, Planted(tokens=2))


def test_a_pass_is_removed_alone_or_with_its_run(settings, run, lake):
    add(settings, lake, Planted())
    remove_run(lake, removable(lake, run, "heads"))
    assert find_run(lake, run).passes == {}
    assert frame(connect(lake), "from head_tokens").is_empty()
    assert_same(settings.lake, lake)
    with pytest.raises(LakeError, match=f"{run} has no pass heads"):
        removable(lake, run, "heads")
    with pytest.raises(KeyboardInterrupt):
        add(settings, lake, Planted(stop=True))
    remove_run(lake, removable(lake, run))
    assert list((lake / "staging").iterdir()) == []
    assert open_lake(lake).runs == ()


def test_a_pass_of_another_model_is_refused(settings, run, lake):
    path = runs_folder(lake, run) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["identity"]["model"] = "0"
    write_json(path, manifest)
    with pytest.raises(RtError, match="are not those that"):
        add(settings, lake, Planted())


def test_the_estimate_has_a_line_for_each_pass(settings):
    found = estimate(settings, quiet, [Planted(tokens=3)])
    assert found.passes == (("heads", 180.0, found.n_windows),)
    assert estimate(settings, quiet).passes == ()


def damaged(folder):
    (folder / "manifest.json").write_text("{")


def of_another_run(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "run": "r-other"}))


def without_table(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["tables"]["head_tokens"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def without_manifest(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("harm", [damaged, of_another_run, without_table, without_manifest])
def test_a_pass_that_cannot_be_read_leaves_its_run_readable(settings, run, lake, harm):
    add(settings, lake, Planted())
    harm(runs_folder(lake, run) / "heads")
    rt = CliRunner()
    opened = open_lake(lake)
    assert opened.unreadable == {}
    assert opened.runs[0].unreadable.keys() == {"heads"}
    assert frame(connect(lake), "from head_tokens").is_empty()
    assert frame(connect(lake), "from tokens").height == 224
    listed = rt.invoke(app, ["ls", "--lake", str(lake)])
    assert f"{run}+heads  unreadable: " in listed.stdout
    with pytest.raises(LakeError) as error:
        add(settings, lake, Planted())
    assert f"rt rm {run} --pass heads" in error.value.hint
    checked = rt.invoke(app, ["check", "--lake", str(lake)])
    assert isinstance(checked.exception, LakeError)
    assert checked.exception.message == "1 pass has no readable manifest"
    asked = rt.invoke(app, ["sql", "select 1 as one", "--lake", str(lake)])
    assert f"warning: {run}+heads is left out" in asked.stderr
    remove_run(lake, removable(lake, run, "heads"))
    assert open_lake(lake).runs[0].unreadable == {}


def test_files_of_a_pass_are_checked_with_the_others(settings, run, lake):
    add(settings, lake, Planted())
    rt = CliRunner()
    assert "  +heads" in rt.invoke(app, ["ls", "--lake", str(lake)]).stdout
    folder = runs_folder(lake, run) / "heads/head_tokens"
    path = folder / "part-00000.parquet"
    shutil.copy(path, folder / "part-9.parquet")
    assert find_run(lake, run).faults() == ["heads/head_tokens/part-9.parquet: not in the manifest"]
    (folder / "part-9.parquet").unlink()
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(LakeError, match=r"head_tokens/part-00000.parquet has"):
        connect(lake)
    path.write_bytes(bytes([*content[:60], content[60] ^ 1, *content[61:]]))
    assert find_run(lake, run).faults()[0].startswith("heads/head_tokens/part-00000.parquet: altered")
    removed = rt.invoke(app, ["rm", run, "--pass", "heads", "--lake", str(lake)])
    assert removed.stdout == f"removed {run}+heads\n"
    assert find_run(lake, run).faults() == []


def test_the_views_of_two_runs_one_with_the_pass(settings, run, lake):
    add(settings, lake, Planted())
    other = extract(replace(settings, lake=lake, tokens=100), quiet)
    assert frame(connect(lake), "from head_tokens").height == 1
    assert frame(connect(lake, [other]), "from head_tokens").is_empty()
    assert frame(connect(lake, [run]), "from head_tokens").height == 1
    extract(replace(settings, lake=lake, tokens=100), quiet, [Planted()])
    both = frame(connect(lake), "select run, count(*) as n from head_tokens group by run order by run")
    assert both.rows() == [(name, 1) for name in sorted((run, other))]
    assert not staging_folder(lake, f"{run}+heads").exists()


def test_what_a_model_has_not_is_refused_before_its_run_is_made(settings, tmp_path):
    with pytest.raises(RtError, match="no such heads"):
        add(settings, tmp_path / "new", Planted(tokens=100))
    assert not list((tmp_path / "new").glob("runs/*"))
    assert not list((tmp_path / "new").glob("staging/*/run"))
