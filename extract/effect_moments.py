"""Moments of the neurons' effects over the improbable tokens: large matrix products, in bfloat16 where there is one.

Shapes: L segments of the vocabulary, T positions, N neurons.
"""

import torch
from torch import Tensor

from extract.bound import SUMS
from extract.neurons import Neurons
from extract.positions import Positions, from_each_on

# bfloat16 has 8 bits: p, G^2 and the result are each rounded by 2^-8 at most, and sums are float32.
HALF_ERROR = 3.05 * 2.0**-8
SINGLE_ERROR = SUMS


def second_moments(positions: Positions, neurons: Neurons, segments: list[slice]) -> Tensor:
    """`sum p G^2` over the rest from each segment on, (L, T, N) float32: where the arithmetic is."""
    rest = positions.rest if positions.rest_half is None else positions.rest_half
    parts = []
    for index, part in enumerate(segments):
        squares = neurons.squares[index] if neurons.squares else neurons.effect_by_token[part].square()
        parts.append((rest[:, part] @ squares).float())
    return from_each_on(torch.stack(parts))
