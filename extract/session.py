"""What an extraction works with: the hashed inputs, then the loaded model and what follows from it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.checkpoints import step_of
from extract.corpus import Corpus, read_corpus
from extract.families import LastLayer, capture, describe
from extract.model_files import ModelFiles
from extract.models import load_model, load_tokenizer, resolve
from extract.publication import run_id
from extract.selfcheck import self_check
from extract.settings import Settings
from extract.windows import Plan, Window, bos_token, plan_windows
from warehouse.errors import LakeError, ModelError

CHECK_WINDOWS = 2
CHECK_PAIRS = 48


@dataclass(frozen=True)
class Inputs:
    """What a run is made from, before anything is computed."""

    settings: Settings
    files: ModelFiles
    corpus: Corpus
    device: str

    @property
    def identity(self) -> dict[str, Any]:
        """What the run is: what determines its rows and, of a checkpoint, the sweep.

        Two trainings from one initialisation have the same untrained model: without the sweep it would be one run,
        which can be the beginning of one of them only.
        """
        return {**self._rows, **({"sweep": self.sweep} if self.sweep else {})}

    @property
    def _rows(self) -> dict[str, Any]:
        """What determines the rows."""
        return self.settings.identity(self.files.sha256, self.corpus.sha256, self.device)

    @property
    def run(self) -> str:
        """Id of the run."""
        return run_id(self.identity)

    @property
    def step(self) -> int | None:
        """The training step of the checkpoint, None where the revision tells none."""
        return step_of(self.settings.revision)

    @property
    def sweep(self) -> str | None:
        """Id of the sweep that the run is of, None for a model that is no checkpoint.

        `s-` and ten hexadecimal digits of all that determines the rows of its checkpoints but their weights: the
        model by its name (a folder by its path), the tokenizer, the corpus and the settings. So a checkpoint that
        `rt extract` measured is of the same sweep, and is the same run.
        """
        if self.step is None:
            return None
        folder = Path(self.files.model).expanduser()
        name = folder.resolve().as_posix() if folder.is_dir() else self.files.model
        shared = {key: value for key, value in self._rows.items() if key not in ("model", "revision")}
        text = json.dumps([name, self.files.tokenizer_sha256, shared], sort_keys=True, ensure_ascii=False)
        return "s-" + hashlib.sha256(text.encode()).hexdigest()[:10]


def gather(
    settings: Settings, say: Callable[[str], None], files: ModelFiles | None = None, corpus: Corpus | None = None
) -> Inputs:
    """Find and hash the model and the corpus, what is not given. Raises `RtError` for settings that cannot work."""
    settings.check()
    if settings.lake.exists() and not settings.lake.is_dir():
        raise LakeError(f"{settings.lake} is a file, not a lake", hint="give a folder with --lake")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda, but torch finds no CUDA device", hint="use --device cpu or --device auto")
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    files = files or resolve(settings.model, settings.revision, say)
    corpus = corpus or read_corpus(settings.corpus, settings.text_column)
    return Inputs(settings, files, corpus, automatic if settings.device == "auto" else settings.device)


class Session:
    """The loaded model and tokenizer of a run, and what follows from them."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        settings = inputs.settings
        self.model = load_model(inputs.files, settings.dtype, inputs.device)
        self.last: LastLayer = describe(self.model)
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit is not None and settings.context > limit:
            raise ModelError(
                f"--context {settings.context} is beyond the model's {limit} positions",
                hint=f"use a --context of at most {limit}",
            )

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer; checkpoints of a sweep need it once."""
        return load_tokenizer(self.inputs.files)

    @cached_property
    def bos(self) -> int | None:
        """The token that windows begin with, if they do."""
        return bos_token(self.tokenizer, self.inputs.settings.bos)

    def plan(self, say: Callable[[int], None] = lambda n: None) -> Plan:
        """The windows that will be read."""
        settings = self.inputs.settings
        return plan_windows(
            self.inputs.corpus.documents(),
            self.tokenizer,
            self.last.n_vocabulary,
            context=settings.context,
            skip=settings.skip,
            tokens=settings.tokens,
            seed=settings.seed,
            bos=self.bos,
            say=say,
        )

    def prove(self, windows: list[Window]) -> dict[str, float]:
        """Let the model prove its hooks and the closed form on the first windows; the measured errors."""
        ids = stack(windows[:CHECK_WINDOWS]).to(self.model.device)
        _, activation = capture(self.model, self.last, ids)
        mean = activation.flatten(0, 1).double().mean(dim=0)
        settings = self.inputs.settings
        rng = np.random.default_rng(settings.seed)
        return self_check(self.model, self.last, ids, mean, rng, n_pairs=CHECK_PAIRS, memory=settings.memory_bytes)


def stack(windows: list[Window]) -> torch.Tensor:
    """Token ids of the windows, (S, C) int64."""
    return torch.from_numpy(np.stack([window.token_ids for window in windows]).astype(np.int64))
