"""`grokking`: addition modulo p, learnt from a part of all sums: first by heart, much later by a rule.

The model is transformers' GPT-2 with one layer, as in the first reports of grokking: positions that are learnt, and an
MLP that reads what the attention has brought to the last position. (In a GPT-NeoX with parallel residual the MLP of
the only layer could not see the two numbers.) A sum is the three tokens `a b =`; only the answer at `=` is trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from extract.models import quiet
from extract.progress import Progress
from training.schedule import log_steps
from training.seeding import seeded
from training.states import MOST, StateWriter
from warehouse.errors import RtError

KEPT = 60  # steps whose states are kept, about
FOLDERS = 16  # steps whose model is kept, about
WARM_UP = 10
SMALLEST = 5


@dataclass(frozen=True)
class Grokking:
    """Settings: `train_share` of all p^2 ordered pairs are learnt from, in batches; AdamW with `weight_decay`."""

    kind: ClassVar[str] = "grokking"
    steps: int = 3000
    seed: int = 0
    weight_decay: float = 1.0
    modulus: int = 97
    train_share: float = 0.3
    learning_rate: float = 1e-3
    width: int = 128
    heads: int = 4
    batch: int = 512

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense."""
        if self.modulus < SMALLEST:
            raise RtError(f"--modulus {self.modulus}", hint=f"at least {SMALLEST}")
        n_learnt = int(self.train_share * self.modulus**2)
        if not 0 < self.train_share < 1 or not 0 < n_learnt < self.modulus**2:
            raise RtError(
                f"--train-share {self.train_share} of {self.modulus**2:,} sums",
                hint="a share between 0 and 1 that leaves sums to learn from and sums to test",
            )

    def train(self, folder: Path) -> dict[str, Any]:
        """Write `states.parquet` and the models `step...` into `folder`; what was reached comes back."""
        kept, saved = set(log_steps(self.steps, KEPT)), set(log_steps(self.steps, FOLDERS))
        with seeded(self.seed) as generator, Progress("grokking", self.steps, "steps") as bar:
            sums = _Sums(self.modulus, self.train_share, generator)
            model = _model(self)
            optimiser = torch.optim.AdamW(
                model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, betas=(0.9, 0.98)
            )
            # the first steps of Adam are as long as the learning rate whatever the gradient
            warm = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / WARM_UP))
            history = []
            with StateWriter(folder, sums.held.numpy(), sums.answers[sums.held].numpy(), self.seed) as writer:
                for step in range(self.steps + 1):
                    if step in kept:
                        vectors, facts = _measure(model, sums)
                        writer.write(step, vectors, {**facts, "weight_decay": self.weight_decay})
                        history.append({"step": step, **facts})
                    if step in saved:
                        with quiet():
                            model.save_pretrained(folder / f"step{step}")
                    if step < self.steps:
                        _learn(model, optimiser, warm, sums, self.batch, generator)
                        bar.advance(1)
        return {"n_train": len(sums.learnt), "n_held_out": len(sums.held), "checkpoints": history}


class _Sums:
    """All ordered pairs: tokens `ids` (p^2, 3), `answers` (p^2,); `learnt` and `held`, indices of two disjoint parts.

    Pair a, b has index a p + b. No more than `MOST` of those that are not learnt are held for measuring.
    """

    def __init__(self, p: int, share: float, generator: torch.Generator) -> None:
        pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
        self.answers = pairs.sum(dim=1) % p
        self.ids = torch.cat([pairs, torch.full((p * p, 1), p)], dim=1)
        order = torch.randperm(p * p, generator=generator)
        n = int(share * p * p)
        self.learnt, self.held = order[:n].sort().values, order[n : n + MOST].sort().values


def _model(settings: Grokking) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    p = settings.modulus
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=p + 1,
            # one more than a sum, so that a window can hold the answer too
            n_positions=4,
            n_embd=settings.width,
            n_layer=1,
            n_head=settings.heads,
            # held-out sums are to be measured as they are learnt; weight decay alone is to regularise
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            bos_token_id=p,
            eos_token_id=p,
        )
    )


def _answer(model: Any, ids: Tensor) -> Tensor:
    """The logits (n, p + 1) at the last position: those of the others are not needed."""
    return model.lm_head(model.transformer(input_ids=ids, use_cache=False).last_hidden_state[:, -1])  # type: ignore[no-any-return]


def _learn(
    model: Any, optimiser: torch.optim.Optimizer, warm: Any, sums: _Sums, batch: int, generator: torch.Generator
) -> None:
    chosen = sums.learnt[torch.randint(len(sums.learnt), (batch,), generator=generator)]
    optimiser.zero_grad()
    cross_entropy(_answer(model, sums.ids[chosen]), sums.answers[chosen]).backward()
    optimiser.step()
    warm.step()


@torch.no_grad()
def _measure(model: Any, sums: _Sums) -> tuple[np.ndarray, dict[str, float]]:
    """The residual stream before the final norm at the last position of held-out sums; loss and accuracy of both."""
    model.eval()
    facts: dict[str, float] = {}
    read: list[Tensor] = []
    hook = model.transformer.ln_f.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0][:, -1]))
    for part, loss, accuracy in (
        (sums.learnt[:MOST], "loss", "train_accuracy"),
        (sums.held, "test_loss", "test_accuracy"),
    ):
        logits = _answer(model, sums.ids[part])
        facts[loss] = float(cross_entropy(logits, sums.answers[part]))
        facts[accuracy] = float((logits.argmax(dim=1) == sums.answers[part]).float().mean())
    hook.remove()
    model.train()
    return read[-1].numpy(), facts
