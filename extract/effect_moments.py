"""Moments of the neurons' effects over the improbable tokens: large matrix products, in bfloat16 where there is one.

Shapes: L segments of the vocabulary, T positions, N neurons.
"""

import torch
from torch import Tensor

from extract.bound import UNIT, Higher
from extract.neurons import Neurons
from extract.positions import LOG2E, Positions, from_each_on

# bfloat16 has 8 bits: p or p z, the power of G and the result are each rounded by 2^-8 at most, and sums are float32.
HALF_ERROR = 3.05 * 2.0**-8
SINGLE_ERROR = 64 * UNIT
_COLUMNS = 256  # neurons whose powers are held at a time


def second_moments(positions: Positions, neurons: Neurons, segments: list[slice]) -> Tensor:
    """`sum p G^2` over the rest from each segment on, (L, T, N) float32: where the arithmetic is."""
    rest = positions.rest if positions.rest_half is None else positions.rest_half
    parts = []
    for index, part in enumerate(segments):
        squares = neurons.squares[index] if neurons.squares else neurons.effect_by_token[part].square()
        parts.append((rest[:, part] @ squares).float())
    return from_each_on(torch.stack(parts))


def higher_moments(positions: Positions, neurons: Neurons, segments: list[slice], columns: Tensor) -> Higher:
    """Sums over the rest from each segment on, (L, T, n) float32, of the neurons `columns` (n,)."""
    rest = positions.rest if positions.rest_half is None else positions.rest_half
    found: list[list[Tensor]] = [[], [], []]
    for part in segments:
        weighted = (positions.rest[:, part] * positions.logits[:, part]).to(rest.dtype)
        own: list[list[Tensor]] = [[], [], []]
        for some in columns.split(_COLUMNS):
            effects = neurons.effect[:, part].index_select(0, some)
            squares = effects.square()
            own[0].append(weighted @ effects.to(rest.dtype).T)
            own[1].append(rest[:, part] @ effects.mul_(squares).to(rest.dtype).T)
            own[2].append(rest[:, part] @ squares.square_().to(rest.dtype).T)
        for sums, each in zip(found, own, strict=True):
            sums.append(torch.cat(each, dim=1).float())
    crosses, cubes, fourths = (from_each_on(torch.stack(each)) for each in found)
    return Higher(crosses.div_(LOG2E), cubes, fourths)
