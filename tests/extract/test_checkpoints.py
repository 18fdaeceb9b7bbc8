"""Which checkpoints a sweep reads: names, patterns, suites, and what is refused."""

from types import SimpleNamespace

import pytest

from extract.checkpoints import SUITES, checkpoints, step_of
from warehouse.errors import ModelError


@pytest.fixture
def folder(tmp_path):
    for name in ("step0", "step16", "step2", "final", "checkpoint-100"):
        (tmp_path / name).mkdir()
    (tmp_path / "step99").write_text("a file is no checkpoint")
    return str(tmp_path)


def found(folder, revisions):
    return [(each.revision, each.step) for each in checkpoints(folder, revisions)]


def test_patterns_and_names_come_in_the_order_of_training(folder):
    assert found(folder, "step*") == [("step0", 0), ("step2", 2), ("step16", 16)]
    assert found(folder, "step16, checkpoint-*,step0") == [("step0", 0), ("step16", 16), ("checkpoint-100", 100)]


@pytest.mark.parametrize(
    ("revisions", "words"),
    [
        ("", "names no checkpoint"),
        ("step1", "no revision step1"),
        ("step0,step1,step3", "no revisions step1, step3"),
        ("epoch*", "fits epoch"),
        ("final", "no training step in the name final"),
        ("f*,step0", "no training step in the name final"),
        ("step0,step0", "names step 0 as step0 twice"),
        ("step0,step*", "names step 0 as step0 twice"),
        ("pythia:some", "--revisions pythia:some"),
        ("pythia:standard", "no revisions step4000, step14000"),
    ],
)
def test_what_cannot_be_is_refused(folder, revisions, words):
    with pytest.raises(ModelError, match=words) as raised:
        checkpoints(folder, revisions)
    assert raised.value.hint


def test_two_names_of_one_step_are_refused(tmp_path):
    for name in ("step1", "step01"):
        (tmp_path / name).mkdir()
    with pytest.raises(ModelError, match="step 1 as step1 and as step01"):
        checkpoints(str(tmp_path), "step*")


@pytest.mark.parametrize("model", ["smollm2-135m", __file__])
def test_a_model_without_revisions_is_refused(model):
    with pytest.raises(ModelError, match="has no checkpoints to sweep over"):
        checkpoints(model, "step0")


def test_the_pythia_suites():
    assert [each.step for each in checkpoints("EleutherAI/pythia-70m", "pythia:standard")] == SUITES["pythia:standard"]
    assert SUITES["pythia:standard"][:3] == [0, 4000, 14_000]
    assert SUITES["pythia:standard"][-2:] == [124_000, 143_000]
    assert len(SUITES["pythia:standard"]) == 15
    assert len(SUITES["pythia:all"]) == len(set(SUITES["pythia:all"])) == 154


def test_a_pattern_on_the_hub_asks_for_its_branches(monkeypatch):
    names = ["main", "step1000", "step0", "step143000"]
    refs = SimpleNamespace(branches=[SimpleNamespace(name=name) for name in names], tags=[])
    monkeypatch.setattr("huggingface_hub.list_repo_refs", lambda model: refs)
    assert found("owner/model", "step*") == [("step0", 0), ("step1000", 1000), ("step143000", 143_000)]
    with pytest.raises(ModelError, match="fits global"):
        checkpoints("owner/model", "global*")


def test_names_on_the_hub_are_taken_as_they_are(monkeypatch):
    monkeypatch.setattr("huggingface_hub.list_repo_refs", lambda model: pytest.fail("not needed"))
    assert found("owner/model", "step512,step4") == [("step4", 4), ("step512", 512)]


def test_a_hub_that_cannot_be_reached_is_an_error_in_one_line(monkeypatch):
    def refuse(model):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.list_repo_refs", refuse)
    with pytest.raises(ModelError, match="cannot be listed: no network"):
        checkpoints("owner/model", "step*")


def test_steps_in_names():
    names = {"step1000": 1000, "global_step8": 8, "checkpoint-500": 500, "stage1-step3-tokens4B": 3, "STEP7": 7}
    assert {name: step_of(name) for name in names} == names
    assert [step_of(name) for name in ("main", None, "step", "step1-step2")] == [None] * 4
