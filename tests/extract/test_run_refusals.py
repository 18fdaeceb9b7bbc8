"""What cannot be extracted is refused in one line, and nothing is left of it."""

from dataclasses import replace

import pytest

from extract.run import extract
from tests.extract.tiny_runs import quiet
from warehouse.errors import CorpusError, LakeError, ModelError, RtError
from warehouse.lake import unfinished


def test_a_self_check_that_fails_leaves_nothing(settings, tmp_path, monkeypatch):
    def fail(*_):
        raise ModelError("the closed form is wrong", hint="report it")

    monkeypatch.setattr("extract.session.Session.prove", fail)
    with pytest.raises(ModelError, match="the closed form is wrong"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)
    assert unfinished(tmp_path / "lake") == []
    assert list((tmp_path / "lake/staging").iterdir()) == []


def test_a_run_that_cannot_be_read_is_not_taken_for_done(settings, tmp_path):
    there = replace(settings, lake=tmp_path / "lake", tokens=30)
    name = extract(there, quiet)
    (path,) = there.lake.glob("runs/*/tokens/*.parquet")
    path.unlink()
    with pytest.raises(LakeError, match="is missing"):
        extract(there, quiet)
    (there.lake / f"runs/run={name}/manifest.json").write_text("{")
    with pytest.raises(LakeError, match="cannot read the manifest"):
        extract(there, quiet)


def test_a_disk_that_would_fill_is_refused_before_anything_is_written(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.estimate.BYTES_PER_PAIR", 1e15)
    with pytest.raises(LakeError, match="GB free"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)
    assert not list((tmp_path / "lake").glob("runs/*"))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"context": 128}, ModelError, "--context 128 is beyond the model's 64 positions"),
        ({"context": 4}, CorpusError, "leaves no position to analyse"),
        ({"dtype": "int8"}, RtError, "--dtype int8"),
        ({"tokens": -1}, RtError, "--tokens -1"),
        ({"memory": 0.0}, RtError, "--memory 0"),
        ({"memory": float("nan")}, RtError, "--memory nan"),
        ({"model": "no/such/folder/at/all"}, ModelError, "no/such/folder"),
        ({"revision": "step9"}, ModelError, "step9"),
        ({"device": "cuda"}, ModelError, "no CUDA device"),
    ],
)
def test_settings_that_cannot_work(settings, tmp_path, change, kind, message):
    with pytest.raises(kind, match=message):
        extract(replace(settings, lake=tmp_path / "lake", **change), quiet)
    assert not (tmp_path / "lake").exists()


def test_documents_shorter_than_the_context(settings, tmp_path):
    (tmp_path / "short").mkdir()
    (tmp_path / "short/a.txt").write_text("the whale")
    with pytest.raises(CorpusError, match="no document has 32 tokens"):
        extract(replace(settings, lake=tmp_path / "lake", corpus=str(tmp_path / "short")), quiet)
    assert not (tmp_path / "lake").exists()


def test_the_lake_is_a_file(settings, tmp_path):
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeError, match="is a file, not a lake"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)
