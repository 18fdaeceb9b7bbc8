"""Pairs whose moments are not enough: how their sums are rounded, and when their deltas are certain."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from extract.bound import UNIT, Change
from extract.compiled import TERMS
from extract.terms import POWER, TERM

# The tolerance that every pair meets: |error| <= ABSOLUTE + RELATIVE |delta|, in nats.
ABSOLUTE, RELATIVE = 1e-6, 1e-3


@dataclass(frozen=True)
class Pairs:
    """The pairs (n,) of some positions that need more tokens term by term, and what is known of them."""

    change: Change
    at: Tensor
    column: Tensor
    own: Tensor  # the target's h
    excess: Tensor  # of the probable tokens
    rounding: Tensor  # of the probable tokens
    lost: Tensor  # what underflow may hide
    logit_error: Tensor  # relative error of the others' probabilities
    farthest: Tensor  # the most that the sizes add up to that any |h| of the others sums

    def but(self, done: Tensor) -> "Pairs":
        """Those that are not `done` (n,)."""
        rest = {field.name: getattr(self, field.name)[~done] for field in fields(self) if field.name != "change"}
        return Pairs(**rest, change=self.change.at((~done,)))

    def rounded(self, sums: Tensor, left: Tensor, mass: Tensor) -> Tensor:
        """Rounding errors (n,) after `sums` (2, n) of p (e^h - 1) and of its size over some of the improbable tokens.

        `left`: the most that the sizes of those may sum to that are not summed yet; `mass`: sum of p over all of them.
        """
        exact, size = sums
        off = rounded(self.farthest, size, mass + exact)
        size = 1.001 * (size + off) + left
        whole = self.excess.abs() + exact.abs() + left
        return self.rounding + self.lost + off + misread(self.logit_error, self.change, size, mass, whole)


def rounded(farthest: Tensor, size: Tensor, weight: Tensor) -> Tensor:
    """Rounding of sums of p (e^h - 1) whose sizes sum to `size` and whose p e^h to `weight`.

    `farthest`: the most that the sizes of the terms of any h add up to.
    """
    return UNIT * (POWER * farthest * weight + (TERM + TERMS) * size)


def size_of(value: Tensor, spread: Tensor, mass: Tensor) -> Tensor:
    """Bound on the sum of p |e^h - 1| from that of p (e^h - 1), of p |h| and of p.

    The one is the other and twice what is below 0, where 1 - e^h is below |h| and 1.
    """
    return value.abs() + 2 * torch.fmin(spread, mass)


def misread(logit_error: Tensor, change: Change, size: Tensor, mass: Tensor, whole: Tensor) -> Tensor:
    """What errors of the improbable tokens' logits do, by p and by h.

    `size` sums p |e^h - 1| over them, `mass` p; `whole` is not below the size of the sum of p (e^h - 1) over all
    tokens: where they weigh more, all others weigh less.
    """
    off: Tensor = logit_error * (size + mass * whole + change.stretch.abs() * (size + mass))
    return off


def result_of(excess: Tensor, error: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The delta from E_p[e^h - 1] and the target's h, and its error from that of the former."""
    return torch.log1p(excess) - own, error / (1 + excess - error).clamp_min_(0)


def is_fine(delta: Tensor, error: Tensor) -> Tensor:
    """Whether a delta is certain to be within its tolerance; a bound that overflowed says nothing."""
    # of the true delta, which may be smaller than the one found, by no more than the error itself
    allowed = (ABSOLUTE + RELATIVE * delta.abs()) / (1 + RELATIVE)
    return (error <= allowed) & error.isfinite() & delta.isfinite()
