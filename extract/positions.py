"""A block of positions: their softmax, split into the few probable tokens and the many others.

The probable tokens hold nearly all of the mass: their logits are computed anew in float64, and their part of every
expectation is summed term by term. Of the others float32 logits are enough, as their share of the mass is small.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extract import softmax
from extract.parallel import run_each
from extract.terms import Sets, ends_of
from extract.vocabulary import Vocabulary, blocks, normalise

LOG2E = 1 / math.log(2)
# A token is one of the probable ones above this, but for all beyond the MOST most probable.
PROBABLE = 2e-4
MOST = 1024
_ROWS = 32  # positions that a thread works on at a time


@dataclass(frozen=True)
class Positions:
    """T positions. Places are in the order of the vocabulary; logits are without the part that the norm leaves alone.

    `sets`: the probable tokens of each position, with logits as below.
    `logits` (T, V) float32, minus their mean, in units of ln 2, so that exp2 applies; `rest` (T, V) float32: the
    softmax, 0 at the probable tokens; `rest_half` the same in bfloat16, for the matrix products of processors that have
    them. The moments (T, L) float64 are of the rest from segment l on, in nats:
    `mass`, `z_mean`, `z_deviation`, `z_largest` of the logits and, with a direction, `u_mean` and `u_deviation`.
    `unembedded` (L, T, d) float32: the rest from segment l on times the unembedding.
    """

    centred: Tensor  # (T, d) float64: xC
    scale: Tensor  # (T,) float64: s
    length: Tensor  # (T,) float64: |xC| / s
    place: Tensor  # (T,) of the target
    target_logit: Tensor  # (T,) float64, minus the mean, nats
    sets: Sets
    set_largest: Tensor  # (T,) float64: largest size of a probable token's logit, nats
    constant_largest: Tensor  # (T,) float64: of the part of the logits that the norm leaves alone, in the rest, nats
    logits: Tensor
    rest: Tensor
    rest_half: Tensor | None
    mass: Tensor
    z_mean: Tensor
    z_deviation: Tensor
    z_largest: Tensor
    u_mean: Tensor | None
    u_deviation: Tensor | None
    unembedded: Tensor
    along: Tensor | None  # (T,) float64: the projection of the logits on the direction, nats
    loss: Tensor  # (T,) float64, nats
    entropy: Tensor  # (T,) float64, nats
    rank: Tensor  # (T,) int64: logits above the target's

    def __len__(self) -> int:
        return len(self.scale)


class Reader:
    """Makes `Positions`, with `rest_half` if `half`; holds the (T, V) arrays, which every block overwrites."""

    def __init__(self, vocabulary: Vocabulary, n_positions: int, half: bool) -> None:
        self.vocabulary, self.n_positions, self.half = vocabulary, n_positions, half
        self._buffers: list[Tensor] = []

    def read(self, residual: Tensor, target: Tensor) -> Positions:
        """`residual` (T, d) before the final norm, `target` (T,) token ids, on the device of the model."""
        vocabulary, last = self.vocabulary, self.vocabulary.last
        centred, scale = normalise(last, residual.double())
        unit = centred / scale[:, None]
        logits, rest, *copy = self._arrays(len(residual), residual.device)
        scaled = (unit * LOG2E).float()
        for part in vocabulary.segments:
            for piece in vocabulary.pieces(part):
                torch.matmul(scaled, vocabulary.rows(piece).T, out=logits[:, piece])
        place = vocabulary.place[target]
        found = run_each(
            lambda rows: _softmax(
                vocabulary, unit[rows], place[rows], logits[rows], rest[rows], *(each[rows] for each in copy)
            ),
            list(blocks(len(residual), _ROWS)),
            residual.device,
        )
        joined: dict[str, Any] = {name: torch.cat([each[name] for _, each in found]) for name in found[0][1]}
        unembedded = torch.stack([_unembedded(vocabulary, rest, part) for part in vocabulary.segments])
        return Positions(
            centred=centred,
            scale=scale,
            length=unit.square().sum(1).sqrt(),
            place=place,
            sets=Sets.joined([sets for sets, _ in found]),
            logits=logits,
            rest=rest,
            rest_half=copy[0] if copy else None,
            unembedded=from_each_on(unembedded),
            along=None if vocabulary.along is None else unit @ vocabulary.along,
            **{"u_mean": None, "u_deviation": None, **joined},
        )

    def _arrays(self, n: int, device: torch.device) -> list[Tensor]:
        if not self._buffers or len(self._buffers[0]) < n:
            shape = (min(max(n, 1), self.n_positions), self.vocabulary.last.n_vocabulary)
            kinds = [torch.float32, torch.float32, *([torch.bfloat16] if self.half else [])]
            self._buffers = [torch.empty(shape, device=device, dtype=kind) for kind in kinds]
        return [each[:n] for each in self._buffers]


def _unembedded(vocabulary: Vocabulary, rest: Tensor, segment: slice) -> Tensor:
    """`rest` (T, V) of a segment times the unembedding, (T, d) float32."""
    total = torch.zeros(len(rest), vocabulary.last.d_model, dtype=torch.float64, device=rest.device)
    for piece in vocabulary.pieces(segment):
        total += rest[:, piece] @ vocabulary.rows(piece)
    return total.float()


def _softmax(
    vocabulary: Vocabulary, unit: Tensor, place: Tensor, logits: Tensor, rest: Tensor, copy: Tensor | None = None
) -> tuple[Sets, dict[str, Tensor]]:
    """Fill `rest` (T, V), and its `copy`, from `logits` (T, V), centre those, and return the sets and the moments."""
    constant = None if vocabulary.constant is None else (vocabulary.constant * LOG2E).float()
    top, total, rank = softmax.exponentials(logits, constant, place, rest)
    chosen = softmax.probable(rest, PROBABLE * total, place, MOST)
    places, ends = torch.cat(chosen), ends_of(torch.tensor([len(each) for each in chosen], device=rest.device))
    row = torch.arange(len(chosen), device=rest.device).repeat_interleave(ends.diff())

    def sum_of(values: Tensor) -> Tensor:
        """Over the set of each position, (T,)."""
        return torch.zeros(len(chosen), dtype=values.dtype, device=row.device).index_add_(0, row, values)

    own = vocabulary.products(places, ends, unit) * LOG2E
    full = own if vocabulary.constant is None else own + vocabulary.constant[places] * LOG2E
    weight = torch.exp2(full - top.double()[row])
    rest[row, places] = 0.0
    total = softmax.sums(rest) + sum_of(weight)
    z_mean, clean_mean = softmax.scale(rest, logits, constant, (1 / total).float())
    if copy is not None:
        copy.copy_(rest)
    log_total = top.double() + total.log2()
    p = weight / total[row]
    z_mean = (z_mean + sum_of(p * own)).float().double()  # the same of all tokens
    sums, largest = softmax.centre(logits, rest, vocabulary.direction, z_mean.float(), vocabulary.segments)
    sets = Sets(places, p.float(), (own - z_mean[row]).float(), ends)
    set_largest = torch.zeros_like(total).scatter_reduce_(0, row, sets.logits.abs().double(), "amax")
    target = vocabulary.double(place)
    z_target = torch.linalg.vecdot(target, unit) * LOG2E
    c_target = z_target if vocabulary.constant is None else z_target + vocabulary.constant[place] * LOG2E
    found = {
        "target_logit": (z_target - z_mean) / LOG2E,
        "loss": (log_total - c_target) / LOG2E,
        "entropy": (log_total - clean_mean - sum_of(p * full)) / LOG2E,
        "rank": rank,
        "constant_largest": torch.zeros_like(log_total) if constant is None else _largest(constant, rest) / LOG2E,
        "set_largest": set_largest / LOG2E,
    }
    return sets, found | _moments(sums, largest)


def _largest(constant: Tensor, rest: Tensor) -> Tensor:
    """(T,) float64: the largest |constant| (V,), in units of ln 2, of the tokens that `rest` (T, V) gives any mass."""
    return torch.stack([(constant.abs() * (row > 0)).max() for row in rest]).double()


def _moments(parts: list[Tensor], largest: Tensor) -> dict[str, Tensor]:
    """Moments (T, L) of the rest from each segment on, from sums over each: of the logits, and of the direction."""
    mass, *sums = (from_each_on(each.T).T for each in parts)
    some = mass.clamp_min(torch.finfo(torch.float32).tiny)
    mean, square = (each / some for each in sums[:2])
    found = {
        "mass": mass,
        "z_mean": mean / LOG2E,
        "z_deviation": (square - mean.square()).clamp_min_(0).sqrt_() / LOG2E,
        "z_largest": largest.flip(1).cummax(1).values.flip(1) / LOG2E,
    }
    if len(sums) > 2:
        mean, square = (each / some for each in sums[2:])
        found |= {"u_mean": mean, "u_deviation": (square - mean.square()).clamp_min_(0).sqrt_()}
    return found


def from_each_on(parts: Tensor) -> Tensor:
    """Sums over the first axis from each index to the end, in place."""
    for index in range(len(parts) - 1, 0, -1):
        parts[index - 1] += parts[index]
    return parts
