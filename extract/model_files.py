"""The files of a model and their hashes: which ones are its weights, and why others are not taken."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from extract import default_model
from warehouse.errors import ModelError
from warehouse.files import sha256

INDEX = "model.safetensors.index.json"
# pickles (and formats of other frameworks): loading one can run any code
UNSAFE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model. `commit` is what the revision stood for on the hub, or the package of the default.

    `weights` maps the weight files in `folder` to their sha256. A GGUF file is weights, tokenizer and configuration
    in one. `tokenizer_sha256` is None where the folder holds no tokenizer.
    """

    model: str
    revision: str | None
    commit: str | None
    folder: Path
    weights: Mapping[str, str]
    tokenizer_sha256: str | None
    config_sha256: str

    @property
    def sha256(self) -> str:
        """One hash over the hashes of weights, tokenizer and configuration, wherever the files lie."""
        parts = [sorted(self.weights.items()), self.tokenizer_sha256, self.config_sha256]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def weights_sha256(self) -> str:
        """One hash over the hashes of the weight files alone."""
        return hashlib.sha256(json.dumps(sorted(self.weights.values())).encode()).hexdigest()

    @property
    def note(self) -> str | None:
        """What is particular about the weights, in words, for reports; None where they are as their name says."""
        if self.commit == default_model.PACKAGE:
            return default_model.NOTE
        return f"from {self.gguf}, dequantised" if self.gguf else None

    @property
    def title(self) -> str | None:
        """The model's own name, where what was asked for is another."""
        return default_model.TITLE if self.commit == default_model.PACKAGE else None

    @property
    def gguf(self) -> str | None:
        """The GGUF file in `folder`, where the weights are one."""
        return next((name for name in self.weights if name.endswith(".gguf")), None)


def describe(
    model: str,
    revision: str | None,
    commit: str | None,
    folder: Path,
    known: Mapping[str, str] | None = None,
    gguf: str | None = None,
) -> ModelFiles:
    """Hash the files; `known` hashes are not computed again."""
    known = known or {}
    names = [gguf] if gguf else weight_names(folder)
    weights = {name: known.get(name) or sha256(folder / name) for name in names}
    if names[0].endswith(".gguf"):
        whole = weights[names[0]]
        return ModelFiles(model, revision, commit, folder, weights, whole, whole)
    if not (folder / "config.json").is_file():
        raise ModelError(f"no config.json in {folder}", hint="the folder should be as `save_pretrained` writes it")
    tokenizer = [[name, sha256(folder / name)] for name in TOKENIZER if (folder / name).is_file()]
    # a tokenizer_config.json alone has no vocabulary
    whole_tokenizer = [name for name, _ in tokenizer if name in TOKENIZER[:6]]
    tokenizer_sha256 = hashlib.sha256(json.dumps(tokenizer).encode()).hexdigest() if whole_tokenizer else None
    config_sha256 = known.get("config.json") or sha256(folder / "config.json")
    return ModelFiles(model, revision, commit, folder, weights, tokenizer_sha256, config_sha256)


def weight_names(folder: Path) -> list[str]:
    """The weight files of a model's folder: safetensors (one, or shards by their index), else one GGUF file.

    Raises `ModelError`, with the reason why what is there is not taken.
    """
    if (folder / "model.safetensors").is_file():
        return ["model.safetensors"]
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{folder / INDEX} is not an index of shards", hint="download it again") from error
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ModelError(f"{folder} lacks {len(missing)} of {len(names)} shards: {missing[0]}", hint="download it")
        return names
    gguf = sorted(path.name for path in folder.glob("*.gguf"))
    if len(gguf) == 1:
        return gguf
    if gguf:
        raise ModelError(f"{folder} holds {len(gguf)} GGUF files", hint=f"name one: {', '.join(gguf)}")
    refuse_unsafe(str(folder), [path.name for path in folder.iterdir()])
    steps = revisions(folder)
    hint = f"--revision takes one of: {', '.join(steps)}" if steps else "expected: model.safetensors or one .gguf file"
    raise ModelError(f"no weights in {folder}", hint=hint)


def refuse_unsafe(where: str, names: Iterable[str]) -> None:
    """Raise `ModelError` if there is a pickle among the files of a model that has no other weights."""
    if unsafe := sorted(name for name in names if any(fnmatch(name, pattern) for pattern in UNSAFE)):
        raise ModelError(
            f"{where} has its weights in {unsafe[0]}: such a file can run any code when it is loaded, and is refused",
            hint="convert it where you trust it: load it there and `model.save_pretrained(folder)` writes safetensors",
        )


def revisions(folder: Path) -> list[str]:
    """The checkpoints in a folder, `step0`, `step1`, ..., in the order of training."""
    names = [path.name for path in folder.glob("step*") if path.is_dir()]
    return sorted(names, key=lambda name: (len(name), name))
