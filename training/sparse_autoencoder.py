"""A sparse autoencoder: inputs as sums of few atoms out of many.

`codes = relu((x - b) W_e + c)`, of which `topk` keeps the k largest of each position; `x' = codes W_d + b`. The rows of
W_d, the atoms' directions, have length 1. `relu` pays for the sum of its codes instead.
Source: Gao et al. (2024), arXiv 2406.04093 (TopK); Bricken et al. (2023), Towards Monosemanticity (ReLU with L1).
Shapes: T positions, d dimensions, A atoms.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SAES = ("relu", "topk")


@dataclass(frozen=True)
class Training:
    """How one is trained: `k` is for `topk`, `penalty` for `relu`."""

    atoms: int = 512
    k: int = 16
    penalty: float = 0.1
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3


class SparseAutoencoder(nn.Module):
    """`k` codes of each position are kept, all if it is None. The encoder begins as the decoder turned round."""

    def __init__(self, d: int, atoms: int, k: int | None, generator: torch.Generator) -> None:
        super().__init__()
        self.k = k
        drawn = torch.randn(atoms, d, generator=generator)
        self.decoder = nn.Parameter(drawn / drawn.norm(dim=1, keepdim=True))  # (A, d)
        self.encoder = nn.Parameter(self.decoder.detach().T.clone())  # (d, A)
        self.encoder_bias = nn.Parameter(torch.zeros(atoms))
        self.bias = nn.Parameter(torch.zeros(d))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (T, A), none below 0."""
        codes = torch.relu((x - self.bias) @ self.encoder + self.encoder_bias)
        if self.k is None or self.k >= codes.shape[1]:
            return codes
        kept = codes.topk(self.k, dim=1)
        return torch.zeros_like(codes).scatter(1, kept.indices, kept.values)

    def decode(self, codes: Tensor) -> Tensor:
        """Inputs (T, d) that the codes stand for."""
        return codes @ self.decoder + self.bias

    @torch.no_grad()
    def normalise(self) -> None:
        """Give every direction length 1 again."""
        self.decoder.div_(self.decoder.norm(dim=1, keepdim=True))


def loss(model: SparseAutoencoder, x: Tensor, penalty: float) -> Tensor:
    """Squared error per dimension, and for `relu` the `penalty` on the sum of codes over the root of d.

    In standardised inputs a position has a length of about the root of d: with both terms per dimension the same
    penalty means the same thing whatever d, an atom is worth its code where that exceeds penalty / 2 of this length.
    """
    codes = model.encode(x)
    error = (x - model.decode(codes)).square().mean()
    return error if model.k is not None else error + penalty * codes.sum(dim=1).mean() / x.shape[1] ** 0.5


def fit(
    x: Tensor,
    sae: str,
    training: Training,
    generator: torch.Generator,
    kept: Collection[int],
    keep: Callable[[int, SparseAutoencoder], None],
    say: Callable[[int], None] = lambda n: None,
) -> SparseAutoencoder:
    """Train on `x` (T, d), standardised; `keep(step, model)` is called at the steps `kept`, 0 before the first."""
    model = SparseAutoencoder(x.shape[1], training.atoms, training.k if sae == "topk" else None, generator)
    optimiser = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    for step in range(training.steps + 1):
        if step in kept:
            keep(step, model)
        if step < training.steps:
            chosen = torch.randint(len(x), (training.batch,), generator=generator)
            optimiser.zero_grad()
            loss(model, x[chosen], training.penalty).backward()
            optimiser.step()
            model.normalise()
            say(1)
    return model
