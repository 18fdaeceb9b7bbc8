"""Pairs whose moments are not enough: how their sums are rounded, and when their deltas are certain."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from extract.bound import UNIT, Change

# The tolerance that every pair meets: |error| <= ABSOLUTE + RELATIVE |delta|, in nats.
ABSOLUTE, RELATIVE = 1e-6, 1e-3
TERMS = 64  # of one float32 sum: it is then off by that many UNIT of their sizes at most


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
    size: Tensor  # bound on sum p |e^h - 1| over all others, once it is known
    spread: Tensor  # bound on sum p |h| over all others
    logit_error: Tensor  # relative error of their probabilities
    power_error: Tensor  # relative error of their e^h, in UNIT

    def but(self, done: Tensor) -> "Pairs":
        """Those that are not `done` (n,)."""
        rest = {field.name: getattr(self, field.name)[~done] for field in fields(self) if field.name != "change"}
        return Pairs(**rest, change=self.change.at((~done,)))

    def sized(self, size: Tensor, mass: Tensor) -> "Pairs":
        """With `size` (n,), the sum of p |e^h - 1| over all others in float32, out of a sum of p of `mass`."""
        return replace(self, size=1.001 * (size + UNIT * self.power_error * (size + mass)))

    def rounded(self, exact: Tensor, mass: Tensor, left: Tensor | float = 0.0) -> Tensor:
        """Rounding errors after the improbable tokens' `exact` sum of p (e^h - 1), out of a sum of p of `mass`.

        `left` (n,): the most that those may add that are not summed yet.
        """
        size = torch.fmin(self.size, size_of(exact.abs() + left, self.spread, mass))
        whole = self.excess.abs() + exact.abs() + left
        off = misread(self.logit_error, self.change, size, mass, whole) + (2 + TERMS) * UNIT * size
        return self.rounding + self.lost + off + UNIT * self.power_error * (exact + mass)


def total(terms: Tensor, dim: int) -> Tensor:
    """The sum over an axis in float64, of float32 sums of at most `TERMS` each."""
    whole = terms.shape[dim] // TERMS * TERMS
    parts = terms.narrow(dim, 0, whole).unflatten(dim, (-1, TERMS)).sum(dim + 1).double().sum(dim)
    found: Tensor = parts + terms.narrow(dim, whole, terms.shape[dim] - whole).sum(dim).double()
    return found


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
