import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from extract.models import load_model, load_tokenizer, resolve
from tests.extract.faults import fault


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


def test_bad_options(tiny):
    assert "no revision main" in fault(resolve, "smollm2-135m", "main").message
    assert "is a file" in fault(resolve, str(tiny / "config.json")).message
    assert "float32" in fault(load_model, resolve(str(tiny)), "int8").hint
    if not torch.cuda.is_available():
        assert "no CUDA device" in fault(load_model, resolve(str(tiny)), "float32", "cuda").message


def test_finding_a_local_model_needs_no_torch(tiny):
    code = f"import sys, extract.models; extract.models.resolve({str(tiny)!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", ["gemma2", "bert", "olmo2"])
def test_an_unsupported_family_is_named_before_any_weight_is_read(kind, copy):
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    (copy / "model.safetensors").write_bytes(b"not read")
    error = fault(load_model, resolve(str(copy)))
    assert f"model_type `{kind}` is not supported" in error.message
    assert "supported: " in error.hint
