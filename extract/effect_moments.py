"""Moments of the neurons' effects over the improbable tokens: large matrix products, in bfloat16 where there is one.

Shapes: L segments of the vocabulary, T positions, N neurons.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from extract.bound import SUMS, Higher
from extract.neurons import Neurons
from extract.positions import LOG2E, Positions, from_each_on

# bfloat16 has 8 bits: p or p z, the power of G and the result are each rounded by 2^-8 at most, and sums are float32.
HALF_ERROR = 3.05 * 2.0**-8
SINGLE_ERROR = SUMS
_COLUMNS = 256  # neurons whose powers are held at a time


def second_moments(positions: Positions, neurons: Neurons, segments: list[slice]) -> Tensor:
    """`sum p G^2` over the rest from each segment on, (L, T, N) float32: where the arithmetic is."""
    rest = positions.rest if positions.rest_half is None else positions.rest_half
    parts = []
    for index, part in enumerate(segments):
        squares = neurons.squares[index] if neurons.squares else neurons.effect_by_token[part].square()
        parts.append((rest[:, part] @ squares).float())
    return from_each_on(torch.stack(parts))


class Powers:
    """G, G^2, G^3 and G^4 of some `columns` (n,) of `neurons`, in the format of the matrix products.

    `keep`: hold them, not make them each time.
    """

    def __init__(self, neurons: Neurons, segments: list[slice], columns: Tensor, keep: bool, half: bool) -> None:
        self._neurons, self.segments, self.columns = neurons, segments, columns
        self._kind = torch.bfloat16 if half else torch.float32
        self._held = [list(self._made(part)) for part in segments] if keep else None

    def __len__(self) -> int:
        return len(self.columns)

    def of(self, segment: int) -> Iterable[list[Tensor]]:
        """The four powers, (n', V_l) each, of one part of the columns after the other."""
        return self._made(self.segments[segment]) if self._held is None else self._held[segment]

    def _made(self, part: slice) -> Iterator[list[Tensor]]:
        for some in self.columns.split(_COLUMNS):
            effects = self._neurons.effect[:, part].index_select(0, some)
            squares = effects.square()
            powers = (effects, squares, effects * squares, squares.square())
            yield [power.to(self._kind) for power in powers]


def higher_moments(positions: Positions, powers: Powers) -> Higher:
    """Sums over the rest from each segment on, (L, T, n) float32, of the neurons of `powers`."""
    rest = positions.rest if positions.rest_half is None else positions.rest_half
    found: list[list[Tensor]] = [[], [], [], []]
    for index, part in enumerate(powers.segments):
        p, pz = rest[:, part], (positions.rest[:, part] * positions.logits[:, part]).to(rest.dtype)
        own = [
            [weight @ power.T for weight, power in zip((pz, pz, p, p), of_some, strict=True)]
            for of_some in powers.of(index)
        ]
        for sums, each in zip(found, zip(*own, strict=True), strict=True):
            sums.append(torch.cat(each, dim=1).float())
    crosses, skews, cubes, fourths = (from_each_on(torch.stack(each)) for each in found)
    return Higher(crosses.div_(LOG2E), skews.div_(LOG2E), cubes, fourths)
