"""Models of the hub, which is not reached: from its cache, or one line that says what is missing."""

import shutil

import huggingface_hub.constants
import pytest

from extract.models import _listing, load_model, resolve
from tests.extract.faults import fault


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A hub that can not be reached, and an empty cache of it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_an_unreachable_hub_is_one_line(offline):
    assert "as a hub id it cannot be had" in fault(resolve, "owner/name").message
    missing = fault(resolve, "owner/name", "step1")
    assert "as a hub id at revision step1 it cannot be had" in missing.message
    assert "smollm2-135m" in missing.hint
    for name in ("./gone", "/gone/model", "a/b/c", "~/gone"):
        assert "no model folder" in fault(resolve, name).message
    assert "no model is named" in fault(resolve, "").message


def test_a_hub_model_in_the_cache_needs_no_network(offline, tiny):
    repository = offline / "models--owner--name"
    commit = "0123456789" * 4
    shutil.copytree(tiny, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "step8").write_text(commit)
    files = resolve("owner/name", "step8")
    assert (files.commit, files.revision) == (commit, "step8")
    assert resolve("owner/name", commit).sha256 == files.sha256 == resolve(str(tiny)).sha256
    load_model(files)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["config.json", "pytorch_model.bin"], "owner/name has its weights in pytorch_model.bin"),
        (["README.md", "weights/model.pt"], "owner/name has its weights in weights/model.pt"),
        (["m-Q4.gguf", "m-Q8.gguf", "pytorch_model.bin"], "in GGUF files on the hub: m-Q4.gguf, m-Q8.gguf"),
        (["README.md"], "has no weights on the hub"),
        ([], "has no weights on the hub"),
    ],
)
def test_a_hub_model_without_safetensors_is_refused_by_what_it_has(offline, tiny, monkeypatch, names, said):
    snapshot = offline / "models--owner--name" / "snapshots" / ("0123456789" * 4)
    snapshot.mkdir(parents=True)
    shutil.copy(tiny / "config.json", snapshot)
    asked = []
    monkeypatch.setattr("extract.models._listing", lambda model, commit: asked.append((model, commit)) or names)
    assert said in fault(resolve, "owner/name", snapshot.name).message
    assert asked == [("owner/name", snapshot.name)]


def test_a_hub_that_does_not_answer_lists_nothing(offline):
    assert _listing("owner/name", "main") == []
