"""The bound on what two moments miss, against the sums that they stand for."""

import dataclasses
import itertools

import pytest
import torch

from extract.bound import Change, Moments, by_moments, tail
from extract.pairs import size_of

V, N = 3000, 40


def moments_of(p, z, effects, u=None):
    """Exact moments of the rest `p` (V,), of logits `z` (V,), effects (V, N) and a direction `u` (V,)."""
    mass = p.sum()

    def mean_and_deviation(x):
        mean = (p * x).sum() / mass
        return mean, ((p * (x - mean) ** 2).sum() / mass).sqrt()

    of_z, of_u = mean_and_deviation(z), (None, None) if u is None else mean_and_deviation(u)
    return Moments(
        mass=mass, z_mean=of_z[0], z_deviation=of_z[1], z_largest=z.abs().max(), effect_sum=p @ effects,
        effect_squares=p @ effects**2, span=effects.abs().amax(0),
        first_error=torch.tensor(0.0), error=0.0, u_mean=of_u[0], u_deviation=of_u[1],
        u_largest=0.0 if u is None else float(u.abs().max()), n_tokens=V,
    )  # fmt: skip


@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("size", [0.003, 0.03, 0.3, 1.0])
def test_no_sum_is_further_off_than_its_bound(size, is_lifted):
    """Heavy tails, skewed effects, effects that go with the logits: the bound holds."""
    torch.manual_seed(0)
    z = torch.randn(V, dtype=torch.float64) * 2
    p = z.exp() / z.exp().sum() * 0.07
    effects = torch.randn(V, N, dtype=torch.float64) ** 3 + 0.3 * z[:, None] * torch.linspace(-1, 1, N)
    u = torch.randn(V, dtype=torch.float64) if is_lifted else None
    rest = moments_of(p, z, effects, u)
    push = size * torch.linspace(-1, 1, N, dtype=torch.float64) / effects.abs().amax(0)
    stretch = torch.full((N,), 0.05 * size, dtype=torch.float64)
    change = Change(stretch, push, 0.02 * size * torch.ones(N, dtype=torch.float64) if is_lifted else None)
    h = stretch * z[:, None] - push * effects
    if change.lift is not None and u is not None:
        h -= change.lift * u[:, None]
    truth, spread = p @ h.expm1(), p @ h.abs()
    value, bound, largest = by_moments(change, rest)
    assert ((value - truth).abs() <= bound + 1e-15).all()
    assert (largest >= spread).all()
    assert (size_of(truth, spread, p.sum()) >= p @ h.expm1().abs()).all()


def test_the_tail_of_the_series_is_bounded_and_not_much_too_large():
    x = torch.linspace(-2.5, 2.5, 501, dtype=torch.float64)
    left = x.exp() - 1 - x - x**2 / 2
    bound = tail(x.abs())
    assert (left.abs() <= x**2 * bound + 1e-13).all()
    assert (bound[x > 0.1] < 1.5 * (left / x**2)[x > 0.1]).all()


def test_rounding_of_the_moments_is_within_the_bound():
    """Every sum off by as much as is allowed for, up or down: the bound still holds, and is not far above."""
    torch.manual_seed(2)
    z = torch.randn(V, dtype=torch.float64)
    p = z.exp() / z.exp().sum() * 0.2
    effects = torch.randn(V, N, dtype=torch.float64) + 0.5 * z[:, None]
    push = torch.linspace(-0.2, 0.2, N, dtype=torch.float64)
    stretch = torch.full((N,), 0.02, dtype=torch.float64)
    exact = dataclasses.replace(moments_of(p, z, effects), error=0.01, first_error=torch.tensor(1e-4).double())
    truth = p @ (stretch * z[:, None] - push * effects).expm1()
    closest = 0.0
    for first, square in itertools.product((-0.01, 0.01), repeat=2):
        sums, squares = exact.effect_sum + 0.01 * first * p.sum(), exact.effect_squares * (1 + square)
        rounded = dataclasses.replace(exact, effect_sum=sums, effect_squares=squares)
        value, bound, _ = by_moments(Change(stretch, push, None), rounded)
        assert ((value - truth).abs() <= bound).all()
        closest = max(closest, float(((value - truth).abs() / bound).max()))
    assert closest > 0.2


def test_what_overflows_is_not_certain():
    rest = moments_of(
        torch.full((V,), 1e-5, dtype=torch.float64), torch.zeros(V, dtype=torch.float64), torch.ones(V, N).double()
    )
    one = torch.ones(N, dtype=torch.float64)
    value, bound, _ = by_moments(Change(0 * one, 800 * one, None), rest)
    assert not (value.isfinite() & bound.isfinite()).any()
