"""Sweeps over tiny checkpoints: what is shared, what is named, what goes on after a failure or a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from polars.testing import assert_frame_equal

from extract.run import extract
from extract.sweep import sweep
from tests.extract.tiny_runs import KILLED, ROOT, assert_same, quiet
from tests.extract.tiny_sweep import STEPS, asked, checkpoints_of, write_training
from warehouse.connection import connect, frame
from warehouse.errors import ModelError
from warehouse.lake import find_run, open_lake, unfinished


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def models(trained, tmp_path):
    """The checkpoints, to be altered."""
    return shutil.copytree(trained / "models", tmp_path / "models")


@pytest.fixture(scope="module")
def swept(trained):
    settings = asked(trained, trained / "lake")
    return settings, sweep(settings, "step*", quiet)


def command(settings, revisions="step*"):
    return [
        *("sweep", "--lake", str(settings.lake), "--model", settings.model, "--revisions", revisions),
        *("--corpus", settings.corpus, "--context", "32", "--tokens", "200"),
    ]


def start(settings, script="from cli import main; main()", revisions="step*"):
    return subprocess.run(
        [sys.executable, "-c", script, *command(settings, revisions)],
        cwd=ROOT, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_every_checkpoint_is_a_run_of_one_sweep(swept):
    settings, runs = swept
    assert checkpoints_of(settings.lake) == [(step, run, runs[-1]) for step, run in zip((0, 4, 16), runs, strict=True)]
    con = connect(settings.lake)
    same = frame(con, 'select "window", token_ids from windows group by all having count(*) <> 3')
    assert same.is_empty()
    assert frame(con, "select distinct sweep from runs")["sweep"].item().startswith("s-")
    assert all(not run.faults() for run in open_lake(settings.lake).runs)


def test_shared_tables_are_on_the_disk_once(swept):
    settings, runs = swept
    folders = [settings.lake / "runs" / f"run={run}" for run in runs]
    for table in ("documents", "windows", "vocabulary"):
        assert len({(folder / table / "part-00000.parquet").stat().st_ino for folder in folders}) == 1
    assert len({(folder / "tokens" / "part-00000.parquet").stat().st_ino for folder in folders}) == 3


def test_where_the_disk_has_no_links_tables_are_copied(trained, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(1, "no links here")

    monkeypatch.setattr("os.link", refuse)
    lake = tmp_path / "lake"
    runs = sweep(asked(trained, lake), "step0,step4", quiet)
    paths = [lake / f"runs/run={run}/windows/part-00000.parquet" for run in runs]
    assert len({path.stat().st_ino for path in paths}) == 2
    assert all(not run.faults() for run in open_lake(lake).runs)


def test_a_damaged_table_is_not_passed_on(trained, tmp_path):
    lake = tmp_path / "lake"
    (first,) = sweep(asked(trained, lake), "step0", quiet)
    path = lake / f"runs/run={first}/vocabulary/part-00000.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    _, second = sweep(asked(trained, lake), "step0,step4", quiet)
    assert find_run(lake, second).faults() == []


def test_extract_measures_the_same_run(swept, trained, tmp_path):
    settings, runs = swept
    said = []
    assert extract(replace(settings, revision="step4"), said.append) == runs[1]
    assert "nothing to do" in said[-1]
    alone = asked(trained, tmp_path / "lake")
    for name in ("step4", "step0"):
        extract(replace(alone, revision=name), quiet)
    assert checkpoints_of(alone.lake) == [(0, runs[0], runs[1]), (4, runs[1], runs[1])]
    assert sweep(alone, "step*", quiet) == runs
    assert_same(settings.lake, alone.lake)


def test_a_second_call_only_measures_what_is_new(trained, tmp_path):
    settings = asked(trained, tmp_path / "lake")
    first = sweep(settings, "step0,step4", quiet)
    before = [(settings.lake / f"runs/run={run}/manifest.json").stat().st_mtime_ns for run in first]
    assert sweep(settings, "step*", quiet)[:2] == first
    assert [(settings.lake / f"runs/run={run}/manifest.json").stat().st_mtime_ns for run in first] == before


def test_a_killed_sweep_goes_on(swept, trained, tmp_path):
    settings, runs = swept
    mine = asked(trained, tmp_path / "lake")
    # killed in the middle of the second checkpoint: its tokens are the last file of a run
    script = KILLED.format(file="run/tokens", after=True).replace(
        "    record(self, shard)\n",
        """
    record(self, shard)
    if seen.count('run/tokens/part-00000.parquet') < 2:
        return
""",
    )
    died = start(mine, script)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [run.name for run in open_lake(mine.lake).runs] == runs[:1]
    assert unfinished(mine.lake) == runs[1:2]
    ended = start(mine, KILLED.format(file="", after=False))  # work is cut as before
    assert ended.returncode == 0, ended.stderr
    assert "checkpoint 2 of 3: step4" in ended.stdout
    assert sorted(run.name for run in open_lake(mine.lake).runs) == sorted(runs)
    for run in runs:
        one, other = (
            frame(connect(lake, [run]), "select token_index, document, target_id, loss from tokens order by all")
            for lake in (settings.lake, mine.lake)
        )
        assert_frame_equal(one, other, rel_tol=1e-4, abs_tol=1e-5)


def test_a_broken_checkpoint_is_named_and_the_others_are_measured(trained, models, tmp_path):
    (models / "step4" / "model.safetensors").write_bytes(b"\0" * 64)
    (models / "step2").mkdir()
    settings = asked(trained, tmp_path / "lake", models)
    ended = start(settings)
    assert ended.returncode == 1
    assert "error: 2 of 4 checkpoints failed: step2: no weights in " in ended.stderr
    assert "; step4: the model in " in ended.stderr
    assert "the same command goes on with them" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 16]
    shutil.rmtree(models / "step2")
    shutil.copy(trained / "models" / "step4" / "model.safetensors", models / "step4")
    assert start(settings).returncode == 0
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4, 16]


def test_of_identical_checkpoints_only_the_last_counts(trained, models, tmp_path):
    shutil.copytree(models / "step16", models / "step8")
    said = []
    settings = asked(trained, tmp_path / "lake", models)
    assert len(sweep(settings, "step*", said.append)) == 3
    (warning,) = [line for line in said if line.startswith("warning")]
    assert "step8, step16 hold identical weights" in warning
    assert said.index(warning) < min(i for i, line in enumerate(said) if line.startswith("checkpoint"))
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4, 16]
    # measured on its own it is a run, but no step of the sweep
    extract(replace(settings, revision="step8"), quiet)
    assert len(open_lake(settings.lake).runs) == 4
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4, 16]


def test_a_copy_of_a_checkpoint_that_is_in_the_lake_is_named(trained, models, tmp_path):
    shutil.copytree(models / "step16", models / "step8")
    settings, said = asked(trained, tmp_path / "lake", models), []
    sweep(settings, "step0,step16", quiet)
    sweep(settings, "step4,step8", said.append)
    assert any("step8, step16 hold identical weights" in line for line in said)
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4, 16]


def with_another_tokenizer(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 77}))


@pytest.mark.parametrize("name", ["step0", "step4"])
def test_another_tokenizer_fails_alone(trained, models, tmp_path, name):
    with_another_tokenizer(models / name)
    settings = asked(trained, tmp_path / "lake", models)
    others = [each for each in STEPS if each != name]
    with pytest.raises(ModelError, match=f"1 of 3 checkpoints failed: {name}: another tokenizer than {others[0]}$"):
        sweep(settings, "step*", quiet)
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [int(each[4:]) for each in others]
    for path in (models / others[0]).glob("tokenizer*"):
        shutil.copy(path, models / name)
    assert len(sweep(settings, "step*", quiet)) == 3


def test_a_missing_tokenizer_fails_alone(trained, models, tmp_path):
    for path in (models / "step16").glob("tokenizer*"):
        path.unlink()
    settings = asked(trained, tmp_path / "lake", models)
    with pytest.raises(ModelError, match="1 of 3 checkpoints failed: step16: no tokenizer in") as raised:
        sweep(settings, "step*", quiet)
    assert "copy those of step0" in raised.value.hint
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4]


def test_another_architecture_fails_alone(trained, models, tmp_path):
    from tests.extract.tiny_folder import write_parallel_model

    config = models / "step4" / "config.json"
    write_parallel_model(models / "step4", 3)
    content = json.loads(config.read_text())
    assert content["intermediate_size"] == 24
    for path in models.glob("step*/tokenizer*"):
        shutil.copy(trained / "models" / "step0" / path.name, path)
    settings = asked(trained, tmp_path / "lake", models)
    # another family of the same sizes is measured; what differs in size is not
    assert len(sweep(settings, "step*", quiet)) == 3


def test_a_dry_run_tells_of_one_checkpoint_and_writes_nothing(trained, tmp_path):
    settings = asked(trained, tmp_path / "lake")
    ended = start(settings, "import sys; sys.argv.append('--dry-run'); from cli import main; main()")
    assert ended.returncode == 0, ended.stderr
    assert "the first of 3 checkpoints" in ended.stdout
    assert not settings.lake.exists()
