"""Last layers with everything in them drawn at random, and how far a delta may be from the truth."""

import torch
from torch import Tensor

from extract.families import FAMILIES, LastLayer

T, N, D, V = 12, 40, 16, 130


def drawn(
    kind: str = "layer", seed: int = 0, n_vocabulary: int = V, **scales: float
) -> tuple[LastLayer, Tensor, Tensor, Tensor, Tensor]:
    """A last layer with residuals (T, d), activations (T, N), means and targets, all random."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    last = LastLayer(
        family="drawn",
        parts=FAMILIES[0],
        layer=0,
        n_layers=1,
        d_model=D,
        d_mlp=N,
        n_vocabulary=n_vocabulary,
        is_parallel=False,
        norm_kind="layer" if kind == "layer" else "rms",
        eps=1e-5,
        w_in=normal(N, D),
        gate=None,
        w_out=normal(N, D, scale=scales.get("w_out", 0.2)),
        gain=1 + normal(D, scale=0.3),
        norm_bias=normal(D, scale=0.5) if kind == "layer" else None,
        unembed=normal(n_vocabulary, D, scale=scales.get("unembed", 0.7)),
        unembed_bias=normal(n_vocabulary, scale=0.5) if kind == "layer" else None,
    )
    target = torch.randint(n_vocabulary, (T,), generator=generator)
    activation = normal(T, N)
    return last, normal(T, D, scale=2.0), activation, activation.double().mean(0), target


def excess(found: Tensor, truth: Tensor) -> float:
    """Largest error as a share of what is allowed: 1e-6 + 1e-3 |delta|."""
    return float(((found.double() - truth).abs() / (1e-6 + 1e-3 * truth.abs())).max())
