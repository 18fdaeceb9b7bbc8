"""The mean of `e^h - 1` over many improbable tokens from two moments of h, with a bound on what that misses.

With mean `m1 = E[h]`, `g = h - m1` under the normalised rest and M = max|g|, the exponential series gives

    E[e^h] = e^m1 (1 + E[g^2] / 2 + R),     |R| <= E[g^2] tail(M),     tail(M) = M / 3! + M^2 / 4! + ...

as no |g| is above M.

h is a sum of a stretch of the logits z, a push along the effect G of the neuron and, with a frozen direction, a lift
along u. The variances of the three are known; what they have in common is not computed, but bounded by Cauchy and
Schwarz: it is far below the tolerance for nearly all pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Half a unit in the last place of float32, relative.
UNIT = 2.0**-24
# Rounding of a float32 sum, as a share of what its terms' sizes sum to.
SUMS = 64 * UNIT


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

    `effect_sum` and `effect_squares` are sums over p, not means. `first_error` is the absolute error of the first per
    unit of mass, `error` that of the second as a share of it.
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


def tail(largest: Tensor) -> Tensor:
    """Not below what the series of e^g leaves after the square, over g^2, if no |g| is above `largest`.

    >>> bool((tail(torch.ones(1)) / (torch.e - 2.5) - 1).abs() < 0.01)
    True
    """
    left = largest.exp()
    for power in range(7, 3, -1):
        left = 1 + largest / power * left
    return largest / 6 * left


def by_moments(change: Change, rest: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of p (e^h - 1) over the rest, the largest error that it may have, and a bound on the sum of p |h|.

    Where exponentials overflow the bound is infinite or not a number, and the value is none.
    """
    stretch, push = change.stretch.abs(), change.push.abs()
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean = rest.effect_sum / mass
    g_square = rest.effect_squares / mass
    z_square = rest.z_deviation.square() + rest.z_mean.square()
    g_deviation = (g_square / (1 - rest.error)).sqrt_()  # about zero, so not below that about the mean
    mean = change.stretch * rest.z_mean - change.push * g_mean
    of_z, of_g = stretch * (rest.z_deviation.square() + 4 * SUMS * z_square).sqrt(), push * g_deviation
    of_sums = _rounded_sums(stretch, z_square)
    variance = of_z.square() + push.square() * (g_square - g_mean.square()).clamp_min_(0)
    cross = of_z * of_g
    of_others = of_z
    largest_others = stretch * (rest.z_largest + rest.z_mean.abs())
    of_lift = torch.zeros_like(cross)  # what the lift has in common with the rest of h
    if change.lift is not None and rest.u_mean is not None and rest.u_deviation is not None:
        lift = change.lift.abs()
        u_square = rest.u_deviation.square() + rest.u_mean.square()
        of_u = lift * (rest.u_deviation.square() + 4 * SUMS * u_square).sqrt()
        of_sums = of_sums + _rounded_sums(lift, u_square)
        mean = mean - change.lift * rest.u_mean
        variance += of_u.square()
        of_lift = (of_z + of_g) * of_u
        of_others = of_z + of_u
        largest_others = largest_others + lift * (rest.u_largest + rest.u_mean.abs())
    deviation, largest = of_others + of_g, largest_others + push * (rest.span + g_mean.abs())
    weight = rest.mass * mean.exp()
    # of the means, and with them of the variance about them
    of_mean = push * rest.first_error * (1 + push * g_mean.abs()) + of_sums * (1 + push * g_deviation).square()
    series = variance / 2
    off = deviation.square() * tail(largest) + cross
    value = rest.mass * mean.expm1() + weight * series
    bound = weight * (off + of_lift + of_g.square() * (rest.error / 2) + of_mean * (1 + series.abs()))
    bound += underflow(rest.n_tokens, rest.farthest(change))
    return value, bound, rest.mass * (mean.abs() + deviation)


def _rounded_sums(factor: Tensor, square: Tensor) -> Tensor:
    """What rounding of the first two sums of `factor` times x does, with `square` the mean of x^2."""
    root = factor * square.sqrt()
    return SUMS * root * (1 + 4 * root)
