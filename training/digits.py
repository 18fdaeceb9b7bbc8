"""scikit-learn's digits (1,797 images of 8 x 8 grey values) and what self-supervision does to them.

Shapes: B images, always (B, 1, 8, 8) float32 in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIDE = 8
HELD_OUT = 1 / 3
NOISE = 0.1  # sd of grey values
HOLE = 3  # pixels on a side


@dataclass(frozen=True)
class Digits:
    """Images and digits; `learnt` and `held` are disjoint, sorted indices: a third, drawn once, is held out."""

    images: Tensor
    labels: Tensor  # (N,) int64
    learnt: Tensor
    held: Tensor


def load_digits(generator: torch.Generator) -> Digits:
    """The data set as it comes with scikit-learn, divided by `generator`."""
    from sklearn import datasets

    found = datasets.load_digits()
    images = torch.from_numpy((found.images / 16).astype(np.float32))[:, None]
    order = torch.randperm(len(images), generator=generator)
    n = int(HELD_OUT * len(images))
    labels = torch.from_numpy(found.target.astype(np.int64))
    return Digits(images, labels, order[n:].sort().values, order[:n].sort().values)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by at most one pixel each way, with noise, and with a square of it set to 0."""
    n = len(images)
    down, right = torch.randint(3, (2, n), generator=generator)
    framed = torch.nn.functional.pad(images[:, 0], (1, 1, 1, 1))
    moved = framed.unfold(1, SIDE, 1).unfold(2, SIDE, 1)[torch.arange(n), down, right]
    noisy = (moved + NOISE * torch.randn(moved.shape, generator=generator)).clamp(0, 1)
    corner = torch.randint(SIDE - HOLE + 1, (2, n, 1), generator=generator)
    rows, columns = ((each <= torch.arange(SIDE)) & (torch.arange(SIDE) < each + HOLE) for each in corner)
    seen: Tensor = noisy * ~(rows[:, :, None] & columns[:, None, :])
    return seen[:, None]


def rotate(images: Tensor, quarters: Tensor) -> Tensor:
    """Each image turned by its number (B,) of quarter turns."""
    turned = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)])
    chosen: Tensor = turned[quarters, torch.arange(len(images))]
    return chosen
