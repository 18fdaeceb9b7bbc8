"""`neox`: a small GPT-NeoX with its own tokenizer, trained on the public-domain text that comes with rt.

The smallest thing with the parts of a Pythia model: parallel residual, rotary positions, untied unembedding. After a
few hundred steps it predicts better than token frequencies alone; that is where influence begins to be about context.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from extract.corpus import read_corpus
from extract.models import quiet
from extract.progress import Progress
from training.schedule import powers
from training.seeding import seeded
from warehouse.errors import RtError

END = "<|endoftext|>"
HELD_OUT = 10  # every tenth document is
TEST_WINDOWS = 64


@dataclass(frozen=True)
class Neox:
    """Settings: sizes of the model, of a batch (windows x tokens), and of the training."""

    kind: ClassVar[str] = "neox"
    steps: int = 256
    seed: int = 0
    weight_decay: float = 0.01
    learning_rate: float = 3e-3
    layers: int = 4
    width: int = 128
    heads: int = 4
    vocabulary: int = 4096
    batch: int = 8
    context: int = 128

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense."""

    def train(self, folder: Path) -> dict[str, Any]:
        """Write `step0`, `step1`, `step2`, `step4`, ... into `folder`: model and tokenizer; the losses come back."""
        texts = [document.text for document in read_corpus(None).documents()]
        tokenizer = _tokenizer(texts, self.vocabulary)
        learn = _windows([text for i, text in enumerate(texts) if (i + 1) % HELD_OUT], tokenizer, self.context)
        held = _windows(texts[HELD_OUT - 1 :: HELD_OUT], tokenizer, self.context)[:TEST_WINDOWS]
        if len(learn) < self.batch or not len(held):
            raise RtError(f"no windows of {self.context} tokens to learn from and to hold out")
        kept = set(powers(self.steps))
        checkpoints: list[dict[str, float]] = []
        with seeded(self.seed) as generator, Progress("neox", self.steps, "steps") as bar:
            model = _model(self, len(tokenizer))
            optimiser = torch.optim.AdamW(model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
            for step in range(self.steps + 1):
                if step in kept:
                    _save(model, tokenizer, folder / f"step{step}")
                    checkpoints.append({"step": step, "test_loss": _test_loss(model, held, self.batch)})
                if step < self.steps:
                    chosen = torch.randint(len(learn), (self.batch,), generator=generator)
                    loss = _loss(model, learn[chosen])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    bar.advance(1)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        return {"checkpoints": checkpoints, "n_parameters": n_parameters, "n_train_tokens": learn.numel()}


def _tokenizer(texts: list[str], vocabulary: int) -> Any:
    """A byte-level BPE of the texts; no BOS token is added to windows."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[END], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token=END, bos_token=END)


def _windows(texts: list[str], tokenizer: Any, context: int) -> Tensor:
    """All tokens of the texts, one after the other, cut into windows (W, context)."""
    ids: list[int] = []
    for each in tokenizer(texts, verbose=False)["input_ids"]:
        ids += [*each, tokenizer.eos_token_id]
    return torch.tensor(ids[: len(ids) // context * context]).reshape(-1, context)


def _model(settings: Neox, n_vocabulary: int) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            hidden_size=settings.width,
            intermediate_size=4 * settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            vocab_size=n_vocabulary,
            # so that other windows than those of the training can be read; rotary positions take no parameters
            max_position_embeddings=max(2 * settings.context, 512),
            use_parallel_residual=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _loss(model: Any, ids: Tensor) -> Tensor:
    """Mean cross entropy in nats of the next token."""
    logits = model(input_ids=ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def _test_loss(model: Any, held: Tensor, batch: int) -> float:
    model.eval()
    found = [float(_loss(model, part)) * len(part) for part in held.split(batch)]
    model.train()
    return float(np.sum(found) / len(held))


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
