"""The mean of `e^h - 1` over many improbable tokens from two or four moments of h, with a bound on what that misses.

With mean `m1 = E[h]`, `g = h - m1` under the normalised rest and M = max|g|, Taylor's theorem gives

    E[e^h] = e^m1 (1 + E[g^2] / 2 + R3),                             |R3| <= E[g^2] M e^M / 6,
    E[e^h] = e^m1 (1 + E[g^2] / 2 + E[g^3] / 6 + E[g^4] / 24 + R5),  |R5| <= E[g^4] M e^M / 120.

h is a sum of a stretch of the logits z, a push along the effect G of the neuron and, with a frozen direction, a lift
along u. The variances of the three are known; of some neurons also the covariance of z and G and the third and fourth
moments of G. What else several of them have in common is not computed, but bounded by Cauchy and Schwarz, or by Hoelder
and Minkowski where it is of third or fourth order: it is far below the tolerance for nearly all pairs.
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
class Higher:
    """Sums over p of z G (`crosses`, z in nats), of G^3 and of G^4; NaN where they are not known."""

    crosses: Tensor
    cubes: Tensor
    fourths: Tensor

    def at(self, *index: slice | Tensor | int) -> "Higher":
        """The same of some, float64."""
        return Higher(self.crosses[index].double(), self.cubes[index].double(), self.fourths[index].double())

    def padded(self) -> "Higher":
        """With one column more, of NaN: what is not known of all other neurons."""
        return Higher(*(torch.nn.functional.pad(each, (0, 1), value=torch.nan) for each in vars(self).values()))


@dataclass(frozen=True)
class Moments:
    """Of the rest of a position from a segment on, of shapes that broadcast with the change's.

    `effect_sum`, `effect_squares` and what is `higher`, None where that is not known of any, are sums over p, not
    means. `first_error` is the absolute error of the first per unit of mass, `error` that of the others as a share of
    what all terms' sizes sum to.
    """

    mass: Tensor
    z_mean: Tensor
    z_deviation: Tensor
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


def by_moments(change: Change, rest: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of p (e^h - 1) over the rest, the largest error that it may have, and a bound on sum of p |e^h - 1|.

    By four moments where they are known, else by two. Where exponentials overflow the bounds are infinite or not a
    number, and the value is none.
    """
    stretch, push = change.stretch.abs(), change.push.abs()
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean = rest.effect_sum / mass
    g_square = rest.effect_squares / mass
    g_deviation = (g_square / (1 - rest.error)).sqrt_()  # about zero, so not below that about the mean
    mean = change.stretch * rest.z_mean - change.push * g_mean
    of_z, of_g = stretch * rest.z_deviation, push * g_deviation
    variance = of_z.square() + push.square() * (g_square - g_mean.square()).clamp_min_(0)
    cross = of_z * of_g
    of_others = of_z
    largest = stretch * (rest.z_largest + rest.z_mean.abs())
    largest_others, largest_g = largest, push * (rest.span + g_mean.abs())
    of_lift = torch.zeros_like(cross)  # what the lift has in common with the rest of h
    if change.lift is not None and rest.u_mean is not None and rest.u_deviation is not None:
        lift = change.lift.abs()
        of_u = lift * rest.u_deviation
        mean = mean - change.lift * rest.u_mean
        variance += of_u.square()
        of_lift = (of_z + of_g) * of_u
        of_others = of_z + of_u
        largest_others = largest + lift * (rest.u_largest + rest.u_mean.abs())
    deviation, largest = of_others + of_g, largest_others + largest_g
    weight = rest.mass * mean.exp()
    steepest = largest.exp()
    # of the mean, and with it of the variance about the mean
    of_mean = push * rest.first_error * (1 + push * g_mean.abs())
    series = variance / 2
    off = deviation.square() * largest * steepest / 6 + cross
    if rest.higher is not None:
        known = ~rest.higher.fourths.isnan()
        more, off_more = _by_higher(change, rest, rest.higher, of_others, largest_others, largest)
        series = series + torch.where(known, more, 0.0)
        off = torch.where(known, off_more, off)
    value = rest.mass * mean.expm1() + weight * series
    bound = weight * (off + of_lift + push.square() * g_square * (rest.error / 2) + of_mean)
    bound += underflow(rest.n_tokens, rest.farthest(change))
    size = rest.mass * (mean.abs() + deviation) * steepest * mean.abs().exp()
    return value, bound, size


def _by_higher(
    change: Change, rest: Moments, higher: Higher, of_others: Tensor, largest_others: Tensor, largest: Tensor
) -> tuple[Tensor, Tensor]:
    """What covariance, third and fourth moment add to E[g^2] / 2, and the error of the whole that they leave.

    With x all of h but the push, which has a deviation of at most `of_others` and is never above `largest_others`, and
    y the push: `largest` bounds |x + y|.
    """
    stretch, push, error = change.stretch.abs(), change.push.abs(), rest.error
    mass = rest.mass.clamp_min(torch.finfo(torch.float32).tiny)
    g_mean, g_square, g_cube, g_fourth = (
        each / mass for each in (rest.effect_sum, rest.effect_squares, higher.cubes, higher.fourths)
    )
    # not below E[G^2]^(1/2), E|G|^3 and E[G^4]
    g_deviation, g_fourth_size = (g_square / (1 - error)).sqrt(), g_fourth / (1 - error)
    g_cube_size = g_deviation * g_fourth_size.sqrt()
    covariance = -change.stretch * change.push * (higher.crosses / mass - rest.z_mean * g_mean)
    third = -(change.push**3) * (g_cube - 3 * g_mean * g_square + 2 * g_mean**3)
    fourth = push**4 * (g_fourth - 4 * g_mean * g_cube + 6 * g_mean.square() * g_square - 3 * g_mean**4)
    of_covariance = error * stretch * push * (rest.z_deviation.square() + rest.z_mean.square()).sqrt() * g_deviation
    of_third = push**3 * error * (g_cube_size + 3 * g_mean.abs() * g_deviation.square())
    of_fourth = push**4 * error * (g_fourth_size + 4 * g_mean.abs() * g_cube_size + 6 * (g_mean * g_deviation).square())
    # not below E[y^4] and E[x^4]
    y_fourth, x_fourth = fourth.clamp_min(0) + of_fourth, (largest_others * of_others).square()
    g_all = (y_fourth.sqrt().sqrt() + x_fourth.sqrt().sqrt()) ** 4
    # 3 y^2 x + 3 y x^2 + x^3, and all of (x + y)^4 but y^4
    mixed_third = of_others * (3 * y_fourth.sqrt() + largest_others * (3 * push * g_deviation + of_others))
    mixed_fourth = g_all - y_fourth
    # of E[G], by way of the covariance, the third and the fourth moment
    of_mean = (
        push
        * rest.first_error
        * (
            stretch * rest.z_mean.abs()
            + 1.5 * push.square() * g_square
            + push**3 * (g_cube_size + g_mean.abs() * g_square)
        )
    )
    remainder = g_all * largest * largest.exp() / 120
    off = remainder + (mixed_third + of_third) / 6 + (mixed_fourth + of_fourth) / 24 + of_covariance + of_mean
    return covariance + third / 6 + fourth / 24, off
