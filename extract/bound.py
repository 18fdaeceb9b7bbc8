"""The mean of `e^h - 1` over many improbable tokens from two or four moments of h, with a bound on what that misses.

With mean `m1 = E[h]`, `g = h - m1` under the normalised rest and M = max|g|, the exponential series gives

    E[e^h] = e^m1 (1 + E[g^2] / 2 + R),                             |R| <= E[g^2] tail(2, M),
    E[e^h] = e^m1 (1 + E[g^2] / 2 + E[g^3] / 6 + E[g^4] / 24 + R),  |R| <= E[g^4] tail(4, M),

with tail(k, M) = M / (k+1)! + M^2 / (k+2)! + ..., as no |g| is above M.

h is a sum of a stretch of the logits z, a push along the effect G of the neuron and, with a frozen direction, a lift
along u. The variances of the three are known; of some neurons also the sums of z G, z G^2, G^3 and G^4. What else
several of them have in common is not computed, but bounded by Cauchy and Schwarz, or by Hoelder and Minkowski where it
is of third or fourth order: it is far below the tolerance for nearly all pairs.
"""

import math
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
class Higher:
    """Sums over p of z G (`crosses`), z G^2 (`skews`), z in nats, of G^3 and of G^4; NaN where they are not known."""

    crosses: Tensor
    skews: Tensor
    cubes: Tensor
    fourths: Tensor

    def at(self, *index: slice | Tensor | int) -> "Higher":
        """The same of some, float64."""
        return Higher(*(each[index].double() for each in vars(self).values()))

    def padded(self) -> "Higher":
        """With one column more, of NaN: what is not known of all other neurons."""
        return Higher(*(torch.nn.functional.pad(each, (0, 1), value=torch.nan) for each in vars(self).values()))


@dataclass(frozen=True)
class Moments:
    """Of the rest of a position from a segment on, of shapes that broadcast with the change's.

    `effect_sum`, `effect_squares` and what is `higher`, None where that is not known of any, are sums over p, not
    means; `z_fourth` is not below the fourth moment of z about its mean. `first_error` is the absolute error of the
    first sum per unit of mass, `error` that of the other sums as a share of what all terms' sizes sum to.
    """

    mass: Tensor
    z_mean: Tensor
    z_deviation: Tensor
    z_fourth: Tensor
    z_largest: Tensor
    effect_sum: Tensor
    effect_squares: Tensor
    higher: Higher | None
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


def tail(order: int, largest: Tensor) -> Tensor:
    """Not below what the series of e^g leaves after the power `order`, over |g|^order, if no |g| is above `largest`.

    >>> bool((tail(2, torch.ones(1)) / (math.e - 2.5) - 1).abs() < 0.01)
    True
    """
    left = largest.exp()
    for power in range(order + 5, order + 1, -1):
        left = 1 + largest / power * left
    return largest / math.factorial(order + 1) * left


def by_moments(change: Change, rest: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of p (e^h - 1) over the rest, the largest error that it may have, and a bound on the sum of p |h|.

    By four moments where they are known, else by two. Where exponentials overflow the bound is infinite or not a
    number, and the value is none.
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
    off = deviation.square() * tail(2, largest) + cross
    if rest.higher is not None:
        known = ~rest.higher.fourths.isnan()
        more, off_more = _by_higher(change, rest, rest.higher, of_others, largest)
        series = series + torch.where(known, more, 0.0)
        off = torch.where(known, off_more, off)
    value = rest.mass * mean.expm1() + weight * series
    bound = weight * (off + of_lift + of_g.square() * (rest.error / 2) + of_mean * (1 + series.abs()))
    bound += underflow(rest.n_tokens, rest.farthest(change))
    return value, bound, rest.mass * (mean.abs() + deviation)


def _rounded_sums(factor: Tensor, square: Tensor) -> Tensor:
    """What rounding of the first two sums of `factor` times x does, with `square` the mean of x^2."""
    root = factor * square.sqrt()
    return SUMS * root * (1 + 4 * root)


def _by_higher(
    change: Change, rest: Moments, higher: Higher, of_others: Tensor, largest: Tensor
) -> tuple[Tensor, Tensor]:
    """What the higher moments add to E[g^2] / 2, and the error of the whole that they leave.

    With y the push and x all else of h, which has a deviation of at most `of_others`: `largest` bounds |x + y|.
    """
    stretch, push, error = change.stretch.abs(), change.push.abs(), rest.error
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean, g_square, cross, skew, g_cube, g_fourth = (
        each / mass
        for each in (rest.effect_sum, rest.effect_squares, higher.crosses, higher.skews, higher.cubes, higher.fourths)
    )
    z_root, z_mean = (rest.z_deviation.square() + rest.z_mean.square()).sqrt(), rest.z_mean.abs()
    # not below E[G^2]^(1/2), E|G|^3, E[G^4] and E|z| G^2
    g_deviation, g_fourth_size = (g_square / (1 - error)).sqrt(), g_fourth / (1 - error)
    g_cube_size, skew_size = g_deviation * g_fourth_size.sqrt(), z_root * g_fourth_size.sqrt()
    covariance = -change.stretch * change.push * (cross - rest.z_mean * g_mean)
    # of the stretch with the square of the push, three times of which are in the third moment of h
    skewness = change.stretch * (
        push.square() * (skew - 2 * g_mean * cross - rest.z_mean * (g_square - 2 * g_mean.square()))
    )
    third = -(change.push**3) * (g_cube - 3 * g_mean * g_square + 2 * g_mean**3)
    fourth = push**4 * (g_fourth - 4 * g_mean * g_cube + 6 * g_mean.square() * g_square - 3 * g_mean**4)
    of_covariance = error * stretch * push * z_root * g_deviation
    of_skewness = (
        error
        * stretch
        * push.square()
        * (skew_size + 2 * g_mean.abs() * z_root * g_deviation + z_mean * g_deviation.square())
    )
    of_third = push**3 * error * (g_cube_size + 3 * g_mean.abs() * g_deviation.square())
    of_fourth = push**4 * error * (g_fourth_size + 4 * g_mean.abs() * g_cube_size + 6 * (g_mean * g_deviation).square())
    # not below E[y^4]^(1/2), E[x^4]^(1/2) and E[(x + y)^4]
    y_root = (fourth.clamp_min(0) + of_fourth).sqrt()
    of_stretch, x_root = stretch * rest.z_fourth.sqrt().sqrt(), stretch.square() * rest.z_fourth.sqrt()
    of_lift = torch.zeros_like(of_others)
    if change.lift is not None and rest.u_mean is not None and rest.u_deviation is not None:
        lift = change.lift.abs()
        of_lift = lift * rest.u_deviation
        x_root = (of_stretch + lift * ((rest.u_largest + rest.u_mean.abs()) * rest.u_deviation).sqrt()).square()
    fourth_all = (y_root.sqrt() + x_root.sqrt()) ** 4
    # 3 y^2 x but for the stretch, 3 y x^2 and x^3; all of (x + y)^4 but y^4
    mixed_third = 3 * of_lift * y_root + x_root * (3 * push * g_deviation + of_others)
    mixed_fourth = fourth_all - y_root.square()
    # of E[G], by way of the covariance, the skewness, the third and the fourth moment
    of_mean = (
        push
        * rest.first_error
        * (
            stretch * (z_mean + push * (z_root * g_deviation + 2 * z_mean * g_mean.abs()))
            + 1.5 * push.square() * g_square
            + push**3 * (g_cube_size + g_mean.abs() * g_square)
        )
    )
    remainder = fourth_all * tail(4, largest)
    off = remainder + (mixed_third + of_third) / 6 + (mixed_fourth + of_fourth) / 24 + of_covariance + of_skewness / 2
    return covariance + skewness / 2 + third / 6 + fourth / 24, off + of_mean
