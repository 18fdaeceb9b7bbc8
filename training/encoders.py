"""`simclr` and `rotation`: one small encoder of digits, taught without labels in two ways.

`simclr` (Chen et al. 2020, arXiv 2002.05709) asks of two augmented views of an image to be nearer to each other than
to the views of all others in the batch (NT-Xent). `rotation` (Gidaris et al. 2018, arXiv 1803.07728), the control, asks
by how many quarter turns the image was rotated. Both read the encoder through a head that is thrown away; what is kept
is the representation before it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from extract.progress import Progress
from training.digits import SIDE, Digits, augment, load_digits, rotate
from training.schedule import log_steps
from training.seeding import seeded
from training.states import StateWriter

KEPT = 60  # steps whose states are kept, about
METHODS = ("simclr", "rotation")


@dataclass(frozen=True)
class SelfSupervised:
    """Settings: which `kind` of the two; `width` of the representation; the optimiser is AdamW."""

    kind: str
    steps: int = 2000
    seed: int = 0
    weight_decay: float = 1e-4
    learning_rate: float = 1e-3
    width: int = 64
    batch: int = 256
    temperature: float = 0.5

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense."""

    def train(self, folder: Path) -> dict[str, Any]:
        """Write `states.parquet` into `folder`; losses and accuracies come back."""
        kept = set(log_steps(self.steps, KEPT))
        with seeded(self.seed) as generator, Progress(self.kind, self.steps, "steps") as bar:
            digits = load_digits(generator)
            encoder = _encoder(self.width)
            task: _Task = _Contrast(self.width, self.temperature) if self.kind == "simclr" else _Turns(self.width)
            parameters = [*encoder.parameters(), *task.parameters()]
            optimiser = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
            history = []
            with StateWriter(folder, digits.held.numpy(), digits.labels[digits.held].numpy(), self.seed) as writer:
                for step in range(self.steps + 1):
                    if step in kept:
                        vectors, facts = self._measure(encoder, task, digits)
                        writer.write(step, vectors, {**facts, "weight_decay": self.weight_decay})
                        history.append({"step": step, **facts, "digit_accuracy": nearest_digit(encoder, digits)})
                    if step < self.steps:
                        chosen = digits.learnt[torch.randint(len(digits.learnt), (self.batch,), generator=generator)]
                        loss, _ = task(encoder, digits.images[chosen], generator)
                        optimiser.zero_grad()
                        loss.backward()
                        optimiser.step()
                        bar.advance(1)
        return {"n_train": len(digits.learnt), "n_held_out": len(digits.held), "checkpoints": history}

    @torch.no_grad()
    def _measure(self, encoder: nn.Module, task: "_Task", digits: Digits) -> tuple[np.ndarray, dict[str, float]]:
        """Representations of the held-out images, and the task's loss and accuracy on a batch of either part."""
        facts: dict[str, float] = {}
        for part, loss, accuracy in (
            (digits.learnt, "loss", "train_accuracy"),
            (digits.held, "test_loss", "test_accuracy"),
        ):
            # the same draws at every step, so that only the training moves the numbers
            generator = torch.Generator().manual_seed(self.seed)
            found = task(encoder, digits.images[part[: self.batch]], generator)
            facts[loss], facts[accuracy] = float(found[0]), float(found[1])
        return encoder(digits.images[digits.held]).numpy(), facts


class _Task(nn.Module):
    """A head, and what it asks: `task(encoder, images, generator)` is a loss and the share that was answered right."""

    def __call__(self, encoder: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Loss and accuracy, both scalars."""
        found: tuple[Tensor, Tensor] = super().__call__(encoder, images, generator)
        return found


class _Contrast(_Task):
    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width // 2))
        self.temperature = temperature

    def forward(self, encoder: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views = torch.cat([augment(images, generator), augment(images, generator)])
        return nt_xent(self.head(encoder(views)), self.temperature)


class _Turns(_Task):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 4)

    def forward(self, encoder: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        quarters = torch.randint(4, (len(images),), generator=generator)
        logits = self.head(encoder(rotate(images, quarters)))
        return cross_entropy(logits, quarters), (logits.argmax(dim=1) == quarters).float().mean()


def nt_xent(projected: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The normalised, temperature-scaled cross entropy of views (2B, d), view i and view B + i being of one image.

    The second value is the share of views whose nearest other view is that of the same image.
    """
    n = len(projected)
    unit = normalize(projected, dim=1)
    similar = (unit @ unit.T / temperature).fill_diagonal_(float("-inf"))
    partner = torch.arange(n).roll(n // 2)
    return cross_entropy(similar, partner), (similar.argmax(dim=1) == partner).float().mean()


def _encoder(width: int) -> nn.Module:
    """Two convolutions, then a linear map to the representation."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (SIDE // 2) ** 2, width),
    )


@torch.no_grad()
def nearest_digit(encoder: nn.Module, digits: Digits) -> float:
    """Share of held-out images whose nearest representation, by angle, among the learnt ones is of the same digit."""
    unit = normalize(encoder(digits.images), dim=1)
    nearest = (unit[digits.held] @ unit[digits.learnt].T).argmax(dim=1)
    return float((digits.labels[digits.learnt][nearest] == digits.labels[digits.held]).float().mean())
