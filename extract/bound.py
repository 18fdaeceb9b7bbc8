"""The mean of `e^h - 1` over many improbable tokens from two or three moments of h, with a bound on what that misses.

With mean `m1 = E[h]` and `g = h - m1` under the normalised rest, Taylor's theorem gives

    E[e^h] = e^m1 (1 + E[g^2] / 2 + R3),               |R3| <= E[|g|^3 e^max(g,0)] / 6 <= E[g^2] M e^M / 6,
    E[e^h] = e^m1 (1 + E[g^2] / 2 + E[g^3] / 6 + R4),  |R4| <= E[g^2] M^2 e^M / 24,     M = max|g|.

h is a sum of a stretch of the logits z, a push along the effect G of the neuron and, with a frozen direction, a lift
along u. The variances of the three are known, and of G the third moment, of some neurons; what several of them have in
common is not computed, but bounded by Cauchy and Schwarz: it is far below the tolerance for nearly all pairs, and costs
as much as everything else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Half a unit in the last place of float32, relative.
UNIT = 2.0**-24


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

    `effect_sum`, `effect_squares` and `effect_cubes` are sums over p, not means. `first_error` is the absolute error of
    the first per unit of mass, `error` that of the others as a share of what all terms' sizes sum to. The cubes are NaN
    where they are not known, None if nowhere.
    """

    mass: Tensor
    z_mean: Tensor
    z_deviation: Tensor
    z_largest: Tensor
    effect_sum: Tensor
    effect_squares: Tensor
    effect_cubes: Tensor | None
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


def by_moments(change: Change, rest: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of p (e^h - 1) over the rest, the largest error that it may have, and a bound on sum of p |e^h - 1|.

    By three moments where the cubes are known, else by two. Where exponentials overflow the bounds are infinite or not
    a number, and the value is none.
    """
    stretch, push = change.stretch.abs(), change.push.abs()
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean = rest.effect_sum / mass
    g_square = rest.effect_squares / mass
    g_deviation = (g_square / (1 - rest.error)).sqrt_()  # about zero, so not below that about the mean
    mean = change.stretch * rest.z_mean - change.push * g_mean
    variance = (stretch * rest.z_deviation).square_() + push.square() * (g_square - g_mean.square()).clamp_min_(0)
    of_others, of_g = stretch * rest.z_deviation, push * g_deviation
    cross = of_others * of_g
    largest_others, largest_g = stretch * (rest.z_largest + rest.z_mean.abs()), push * (rest.span + g_mean.abs())
    if change.lift is not None and rest.u_mean is not None and rest.u_deviation is not None:
        lift = change.lift.abs()
        of_u = lift * rest.u_deviation
        mean = mean - change.lift * rest.u_mean
        variance += of_u.square()
        cross += (of_others + of_g) * of_u
        of_others = of_others + of_u
        largest_others += lift * (rest.u_largest + rest.u_mean.abs())
    deviation, largest = of_others + of_g, largest_others + largest_g
    weight = rest.mass * mean.exp()
    steepest = largest.exp()
    remainder = deviation.square() * largest * steepest / 6
    half_variance = variance / 2
    if rest.effect_cubes is not None:
        g_cube = rest.effect_cubes / mass - 3 * g_mean * g_square + 2 * g_mean**3
        # what is not the cube of the push: 3 y^2 x + 3 y x^2 + x^3 with y that of the push and x all else
        mixed = 3 * largest_g * of_others * deviation + largest_others * of_others.square()
        rounded = push**3 * g_square * (rest.span + 3 * g_mean.abs()) * (rest.error / (1 - rest.error))
        of_third = deviation.square() * largest.square() * steepest / 24 + (mixed + rounded) / 6
        unknown = rest.effect_cubes.isnan()
        remainder = torch.where(unknown, remainder, of_third)
        half_variance = half_variance - torch.where(unknown, 0.0, change.push**3 * g_cube / 6)
    value = rest.mass * mean.expm1() + weight * half_variance
    # of the mean, and with it of the variance and of the cube about the mean
    of_mean = push * rest.first_error * (1 + push * g_mean.abs() + 1.5 * push.square() * g_square)
    bound = weight * (remainder + cross + push.square() * g_square * (rest.error / 2) + of_mean)
    bound += underflow(rest.n_tokens, rest.farthest(change))
    size = rest.mass * (mean.abs() + deviation) * steepest * mean.abs().exp()
    return value, bound, size
