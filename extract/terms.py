"""Sums of p (e^h - 1) term by term: over the set of each position for all neurons, and over many tokens for some pairs.

On a processor by the compiled loops of `extract.compiled`, elsewhere by array operations. Either way at most `TERMS`
terms are summed in float32; a term is off by up to `TERM` units of its size, as e^h - 1 and the product are rounded,
and h by up to `POWER` units of the sizes that it sums.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from extract import compiled
from extract.compiled import TERMS
from extract.parallel import is_compiled
from extract.vocabulary import blocks

TERM = 1 + compiled.EXPM1  # that of p itself is among the `TERMS`, which are one addition less
# An effect, its factor, their product and two sums; with array operations also ln 2 and the product with it.
POWER = 7
_LN2 = math.log(2)
_TILE = 1 << 26  # elements of one step of array operations

# Of the logits (in units of ln 2), the effects and the direction, to give h in units of ln 2: float32, of one shape.
Factors = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Sets:
    """The probable tokens of T positions, one position after the other: those of position t begin at `ends[t]`.

    `places` (K,) int64, `p` and `logits` (K,) float32, `ends` (T + 1,) int64.
    """

    places: Tensor
    p: Tensor
    logits: Tensor
    ends: Tensor

    def __getitem__(self, rows: slice) -> "Sets":
        """Those of some positions."""
        ends = self.ends[rows.start : rows.stop + 1]
        some = slice(int(ends[0]), int(ends[-1]))
        return Sets(self.places[some], self.p[some], self.logits[some], ends - ends[0])

    @classmethod
    def joined(cls, parts: "list[Sets]") -> "Sets":
        """Of all positions of `parts`."""
        counts = torch.cat([part.ends.diff() for part in parts])
        places, p, logits = (torch.cat([getattr(part, name) for part in parts]) for name in ("places", "p", "logits"))
        return cls(places, p, logits, ends_of(counts))


def ends_of(counts: Tensor) -> Tensor:
    """Where each of several runs begins and ends, (T + 1,), from how long they are (T,)."""
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def sums_over_sets(effects: Tensor, sets: Sets, direction: Tensor | None, factors: Factors) -> Tensor:
    """Sums of p (e^h - 1) and of their sizes over the set of each position, (2, T, N) float64.

    `effects` (V, N), `direction` (V,) or None, `factors` (T, N).
    """
    stretch, push, lift = factors
    places, p, z, ends = sets.places, sets.p, sets.logits, sets.ends
    u = None if lift is None or direction is None else direction[places].float()
    found = torch.empty(2, *push.shape, dtype=torch.float64, device=push.device)
    if is_compiled(push.device):
        compiled.sum_over_sets(*arrays(effects, places, p, z, ends, u, stretch, push, lift, found))
        return found
    for t, part in enumerate(slice(*each) for each in pairwise(ends.tolist())):
        h = effects.index_select(0, places[part]) * push[t]
        h.addr_(z[part], stretch[t])
        if lift is not None and u is not None:
            h.addr_(u[part], lift[t])
        terms = h.mul_(_LN2).expm1_().mul_(p[part, None])
        found[0, t], found[1, t] = total(terms, 0), total(terms.abs_(), 0)
    return found


def sums_over_tokens(
    effects: Tensor,
    logits: Tensor,
    rest: Tensor,
    direction: Tensor | None,
    tokens: slice,
    at: Tensor,
    column: Tensor,
    factors: Factors,
) -> Tensor:
    """Sums of p (e^h - 1) and of their sizes over `tokens`, (2, n) float64, of the pairs of rows `at` and `column`.

    `effects` (N, V), `logits` and `rest`, which is p, (T, V), `direction` (V,) or None, `factors` (n,).
    """
    stretch, push, lift = factors
    u = None if lift is None or direction is None else direction[tokens].float()
    found = torch.zeros(2, len(at), dtype=torch.float64, device=push.device)
    if is_compiled(push.device):
        order = column.argsort(stable=True)  # the pairs of a neuron read its effects from the caches
        pairs = (None if each is None else each[order] for each in (at, column, stretch, push, lift))
        sums, ends = torch.zeros_like(found), torch.tensor([tokens.start, tokens.stop])
        compiled.sum_over_tokens(*arrays(effects, logits, rest, u, *pairs, sums, ends))
        found[:, order] = sums
        return found
    effects, logits, rest = effects[:, tokens], logits[:, tokens], rest[:, tokens]
    for some in blocks(len(at), max(1, _TILE // (tokens.stop - tokens.start))):
        h = effects.index_select(0, column[some]).mul_(push[some, None])
        h.addcmul_(logits.index_select(0, at[some]), stretch[some, None])
        if lift is not None and u is not None:
            h.addr_(lift[some], u)
        terms = h.mul_(_LN2).expm1_().mul_(rest.index_select(0, at[some]))
        found[0, some], found[1, some] = total(terms, 1), total(terms.abs_(), 1)
    return found


def total(terms: Tensor, dim: int) -> Tensor:
    """The sum over an axis in float64, of float32 sums of at most `TERMS` each."""
    whole = terms.shape[dim] // TERMS * TERMS
    parts = terms.narrow(dim, 0, whole).unflatten(dim, (-1, TERMS)).sum(dim + 1).double().sum(dim)
    found: Tensor = parts + terms.narrow(dim, whole, terms.shape[dim] - whole).sum(dim).double()
    return found


def arrays(*tensors: Tensor | None) -> list[Any]:
    """The same memory, as the compiled loops read it."""
    return [None if each is None else each.numpy() for each in tensors]
