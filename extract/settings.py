"""What an extraction is asked to do, checked; and which part of it determines the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.unigrams import unigram_file
from warehouse.errors import CorpusError, RtError
from warehouse.files import sha256

DEFAULT_MODEL = "smollm2-135m"
DTYPES = ("float32", "bfloat16", "float16")
BOS = ("auto", "always", "never")
UNIGRAMS = ("auto", "token-id", "corpus")  # or a file
LEAST_MEMORY = 0.1  # gigabytes
# Raised when the rows of the same command would change.
EXTRACTION = 3


@dataclass(frozen=True)
class Settings:
    """The options of `rt extract`; units are tokens where nothing else is said.

    `memory`: gigabytes that the ablation may work in, besides the model. `frozen_tokens`: positions that get the two
    frozen deltas too.
    """

    lake: Path
    model: str = DEFAULT_MODEL
    revision: str | None = None
    corpus: str | None = None
    text_column: str = "text"
    context: int = 256
    tokens: int = 16_000
    skip: int = 3
    bos: str = "auto"
    seed: int = 0
    unigrams: str = "auto"
    device: str = "auto"
    dtype: str = "float32"
    batch_size: int = 4
    memory: float = 2.0
    frozen_tokens: int = 0

    def check(self) -> None:
        """Raise `RtError` for values that make no sense, whatever the model."""
        allowed = {"dtype": DTYPES, "bos": BOS, "device": ("auto", "cpu", "cuda")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise RtError(f"--{name} {getattr(self, name)}", hint=f"allowed: {', '.join(values)}")
        for name, least in {"tokens": 0, "skip": 0, "batch_size": 1, "seed": 0, "frozen_tokens": 0}.items():
            if getattr(self, name) < least:
                raise RtError(f"--{name.replace('_', '-')} {getattr(self, name)}", hint=f"at least {least}")
        if self.unigrams not in UNIGRAMS:
            unigram_file(self.unigrams)
        if not self.memory >= LEAST_MEMORY:
            raise RtError(f"--memory {self.memory}", hint=f"gigabytes, at least {LEAST_MEMORY}")
        if self.context < self.skip + 2:
            raise CorpusError(
                f"--context {self.context} with --skip {self.skip} leaves no position to analyse",
                hint=f"--context must be at least {self.skip + 2}",
            )

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return int(self.memory * 1e9)

    def unigram_option(self) -> str:
        """`auto` is the merge ranks for the default model; for any other the corpus decides when it is read."""
        if self.unigrams == "auto" and self.model == DEFAULT_MODEL:
            return "token-id"
        return self.unigrams

    def identity(self, model_sha256: str, corpus_sha256: str, device: str) -> dict[str, Any]:
        """What determines the rows: not where the lake is, nor how the work is cut to fit the machine."""
        unigrams = self.unigram_option()
        if unigrams not in UNIGRAMS:
            unigrams = sha256(Path(unigrams).expanduser())
        return {
            "extraction": EXTRACTION,
            "model": model_sha256,
            "revision": self.revision,
            "corpus": corpus_sha256,
            "context": self.context,
            "tokens": self.tokens,
            "skip": self.skip,
            "bos": self.bos,
            "seed": self.seed,
            "unigrams": unigrams,
            "dtype": self.dtype,
            "frozen_tokens": self.frozen_tokens,
            "device": device,
        }
