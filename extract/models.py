"""Find a model's files, hash them, load them: safetensors and GGUF only, and never code that comes with a model.

A model is `smollm2-135m` (the default), a local folder, a `.gguf` file, or an id of the Hugging Face hub. `resolve`
finds the files and needs neither torch nor, unless it goes to the hub, transformers.
"""

import io
import json
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from extract import default_model
from extract.model_files import INDEX, TOKENIZER, ModelFiles, describe, refuse_unsafe, revisions
from extract.settings import DEFAULT_MODEL, DTYPES
from warehouse.errors import ModelError

_CONFIG = ("config.json", "generation_config.json")


def _silent(_: str) -> None:
    pass


def resolve(model: str, revision: str | None = None, say: Callable[[str], None] = _silent) -> ModelFiles:
    """Find and hash the files of `model`: the default, a local folder or `.gguf` file, or a hub id.

    A revision of a local folder is a subfolder (`step1000`), one of the hub a branch, tag or commit. `say` is told
    of work that takes long. Raises `ModelError`: no such model or revision, weights that are pickles, no weights.
    """
    path = Path(model).expanduser()
    if not model.strip():
        raise ModelError("no model is named", hint=f"a folder, a hub id, or {DEFAULT_MODEL}")
    if model == DEFAULT_MODEL:
        if revision not in (None, default_model.PACKAGE):
            raise ModelError(f"{model} has no revision {revision}", hint="leave out --revision")
        folder, hashes = default_model.converted(say)
        return describe(model, revision, default_model.PACKAGE, folder, hashes)
    if path.is_dir():
        return describe(model, revision, None, _revision_folder(path, revision))
    if path.is_file():
        refuse_unsafe(str(path.parent), [path.name])
        if path.suffix != ".gguf" or revision is not None:
            raise ModelError(
                f"{path} is a file" + (f" and has no revision {revision}" if path.suffix == ".gguf" else ""),
                hint="--model takes the folder of a model, a .gguf file without --revision, or a hub id",
            )
        return describe(model, None, None, path.parent, {}, path.name)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ModelError(f"no model folder {model}", hint=f"a folder, a hub id, or {DEFAULT_MODEL}")
    folder = _snapshot(model, revision)
    if not any(folder.glob("*.safetensors")):
        _refuse_weights(model, folder.name)
    return describe(model, revision, folder.name, folder)


def load_model(files: ModelFiles, dtype: str = "float32", device: str = "cpu") -> Any:
    """The causal language model, in evaluation mode and without gradients.

    Attention is the plain formula (`eager`): the fused kernels are about a fifth faster here but are chosen by shape
    and device, and then differ in the last bits; eager is the same arithmetic everywhere.

    Raises `ModelError` if the library or `extract.families` does not know the architecture, if any weight is missing,
    unused or of another shape than the configuration says (it would be random otherwise), or if the device is not
    there.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    from extract.families import family_of

    if dtype not in DTYPES:
        raise ModelError(f"--dtype {dtype}", hint=f"allowed: {', '.join(DTYPES)}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"--device {device}: no CUDA device is available", hint="--device cpu")
    if files.gguf:
        options: dict[str, Any] = {"gguf_file": files.gguf, "quantization_config": GgufConfig(dequantize=True)}
    else:
        _refuse_foreign(files)
        # before the weights are read, which for a large model takes minutes
        with _loading(files, "configuration"):
            config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True)
        family_of(config)
        options = {"use_safetensors": True}
    with _loading(files, "model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            files.folder,
            dtype=getattr(torch, dtype),
            attn_implementation="eager",
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            # so that the report names them; they are refused below
            ignore_mismatched_sizes=True,
            **options,
        )
        model, report = loaded
        _refuse_misfits(files, report)
        return model.eval().requires_grad_(False).to(device)


def load_tokenizer(files: ModelFiles) -> Any:
    """The tokenizer that lies with the model. Raises `ModelError` if there is none or it cannot be read."""
    from transformers import AutoTokenizer

    if files.tokenizer_sha256 is None:
        raise ModelError(
            f"no tokenizer in {files.folder}", hint=f"the folder should hold one of {', '.join(TOKENIZER[:4])}"
        )
    options = {"gguf_file": files.gguf} if files.gguf else {}
    with _loading(files, "tokenizer"):
        return AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True, **options)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars, logs and warnings of transformers; faults still raise."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # the bar of the GGUF reader knows no switch
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _loading(files: ModelFiles, what: str) -> Iterator[None]:
    """`quiet`, and errors of the libraries become one line."""
    from safetensors import SafetensorError

    # what the readers of configurations, safetensors and GGUF raise for files that are damaged
    failures = (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, struct.error, SafetensorError)
    try:
        with quiet():
            yield
    except failures as error:
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
        raise ModelError(
            f"the {what} in {files.folder} cannot be loaded: {reason}", hint="are its files complete and of one model?"
        ) from error


def _refuse_foreign(files: ModelFiles) -> None:
    """Raise `ModelError` for an architecture that transformers has no code for, be there code in the folder or not."""
    from transformers import CONFIG_MAPPING

    try:
        config = json.loads((files.folder / "config.json").read_text("utf-8"))
        kind = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{files.folder / 'config.json'} is not a model's configuration", hint=str(error)) from error
    if kind not in CONFIG_MAPPING:
        own = ", and the code that comes with it is never run" if "auto_map" in config else ""
        raise ModelError(
            f"transformers knows no model type {kind}{own}", hint="a newer transformers may know it; or another model"
        )


def _refuse_misfits(files: ModelFiles, report: Mapping[str, Any]) -> None:
    """Raise `ModelError` if loading left a parameter random, or a weight unused."""
    faults = {
        "missing from the files": report["missing_keys"],
        "in the files but not in the model": report["unexpected_keys"],
        "of another shape": report["mismatched_keys"],
        "not loaded": report.get("error_msgs", ()),
    }
    said = [
        f"{len(keys)} {fault} ({', '.join(sorted(map(str, keys))[:3])}{', ...' if len(keys) > 3 else ''})"
        for fault, keys in faults.items()
        if keys
    ]
    if said:
        raise ModelError(
            f"the weights in {files.folder} do not fit its configuration: {'; '.join(said)}",
            hint="config.json and the weight files must belong to one causal language model",
        )


def _revision_folder(folder: Path, revision: str | None) -> Path:
    if revision is None:
        return folder
    if not (folder / revision).is_dir():
        there = ", ".join(revisions(folder)) or "none"
        raise ModelError(f"{folder} has no subfolder for revision {revision}", hint=f"revisions there: {there}")
    return folder / revision


def _snapshot(model: str, revision: str | None) -> Path:
    """The folder of a hub model in the hub's own cache, downloaded if the hub can be reached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # the bases are OSError and the error of the HTTP client, which is another package from version to version
    failures: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, ValueError)
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=["*.safetensors", INDEX, *_CONFIG, *TOKENIZER],
            # other formats and variants of the weights lie in subfolders
            ignore_patterns=["*/*"],
        )
    except failures as error:
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        at = f" at revision {revision}" if revision else ""
        raise ModelError(
            f"no folder {model}, and as a hub id{at} it cannot be had: {reason}",
            hint=f"check the name and the network, give a local folder, or use --model {DEFAULT_MODEL}",
        ) from error
    return Path(folder)


def _refuse_weights(model: str, commit: str) -> None:
    """Raise `ModelError` that names the weights of a hub model without safetensors, which were not downloaded."""
    names = _listing(model, commit)
    if gguf := sorted(name for name in names if name.endswith(".gguf")):
        raise ModelError(
            f"{model} has its weights in GGUF files on the hub: {', '.join(gguf[:3])}",
            hint="download one of them; --model takes a .gguf file",
        )
    refuse_unsafe(model, names)
    raise ModelError(f"{model} has no weights on the hub", hint="a model has model.safetensors, or shards of it")


def _listing(model: str, commit: str) -> list[str]:
    """Names of the files of a hub model; none if the hub cannot be reached."""
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HfHubHTTPError

    failures: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, ValueError)
    try:
        return list_repo_files(model, revision=commit)
    except failures:
        return []
