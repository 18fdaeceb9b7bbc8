"""The mean of `e^h - 1` over many improbable tokens from the first two moments of h, with a bound on what that misses.

With mean `m1 = E[h]` and `g = h - m1` under the normalised rest, Taylor's theorem gives

    E[e^h] = e^m1 (1 + E[g^2] / 2 + R),   |R| <= E[|g|^3 e^max(g,0)] / 6 <= E[g^2] max|g| e^max|g| / 6.

h is a sum of a stretch of the logits z, a push along the effect G of the neuron and, with a frozen direction, a lift
along u. The variances of the three are known; their covariances are not computed, but bounded by Cauchy and Schwarz:
they are far below the tolerance for nearly all pairs, and cost as much as everything else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Change:
    """h = stretch z - push G - lift u, all of one shape, float64."""

    stretch: Tensor
    push: Tensor
    lift: Tensor | None

    def at(self, index: tuple[slice | Tensor, ...]) -> "Change":
        """The same of some pairs."""
        return Change(self.stretch[index], self.push[index], None if self.lift is None else self.lift[index])


@dataclass(frozen=True)
class Moments:
    """Of the rest of a position from a segment on, of shapes that broadcast with the change's.

    `effect_sum` and `effect_squares` are sums over p, not means; `error` is the relative error of the latter, and
    `first_error` the absolute one of the former per unit of mass.
    """

    mass: Tensor
    z_mean: Tensor
    z_deviation: Tensor
    z_largest: Tensor
    effect_sum: Tensor
    effect_squares: Tensor
    span: Tensor
    first_error: Tensor
    error: float
    u_mean: Tensor | None
    u_deviation: Tensor | None
    u_largest: float
    n_tokens: int

    def farthest(self, change: Change) -> Tensor:
        """The largest |h| that any of these tokens may have."""
        largest = change.stretch.abs() * self.z_largest + change.push.abs() * self.span
        return largest if change.lift is None else largest + change.lift.abs() * self.u_largest


def underflow(n_tokens: int, farthest: Tensor) -> Tensor:
    """What `n_tokens` may add to sum p (e^h - 1) with probabilities that are too small for a float32.

    A probability below the smallest normal number is kept with an error of up to that number, or as 0, however large
    its e^h is.
    """
    return n_tokens * torch.finfo(torch.float32).tiny * farthest.exp()


def second_order(change: Change, rest: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of p (e^h - 1) over the rest, the largest error that it may have, and a bound on sum of p |e^h - 1|.

    Where exponentials overflow the bounds are infinite or not a number, and the value is none.
    """
    stretch, push = change.stretch.abs(), change.push.abs()
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean = rest.effect_sum / mass
    g_square = rest.effect_squares / mass
    g_deviation = (g_square * (1 + rest.error)).sqrt_()  # about zero, so not below that about the mean
    mean = change.stretch * rest.z_mean - change.push * g_mean
    variance = (stretch * rest.z_deviation).square_() + push.square() * (g_square - g_mean.square()).clamp_min_(0)
    of_z, of_g = stretch * rest.z_deviation, push * g_deviation
    deviation = of_z + of_g
    cross = of_z * of_g
    largest = stretch * (rest.z_largest + rest.z_mean.abs()) + push * (rest.span + g_mean.abs())
    if change.lift is not None and rest.u_mean is not None and rest.u_deviation is not None:
        lift = change.lift.abs()
        of_u = lift * rest.u_deviation
        mean = mean - change.lift * rest.u_mean
        variance += of_u.square()
        cross += deviation * of_u
        deviation = deviation + of_u
        largest += lift * (rest.u_largest + rest.u_mean.abs())
    weight = rest.mass * mean.exp()
    value = rest.mass * mean.expm1() + weight * variance / 2
    steepest = largest.exp()
    remainder = deviation.square() * largest * steepest / 6
    bound = weight * (remainder + cross + push.square() * g_square * (rest.error / 2) + push * rest.first_error)
    bound += underflow(rest.n_tokens, rest.farthest(change))
    size = rest.mass * (mean.abs() + deviation) * steepest * mean.abs().exp()
    return value, bound, size
