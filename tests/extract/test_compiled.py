"""The compiled loops against float64, and against the array operations that other devices use."""

import numpy as np
import pytest
import torch
from numba import config

from extract import compiled, parallel, softmax, terms, vocabulary
from extract.ablation import Ablation
from extract.bound import UNIT
from extract.reference import reference_delta
from tests.extract.drawn_layers import drawn, excess

LN2 = np.log(2.0)


def floats(exponent):
    """Every eleventh float of an exponent, of both signs."""
    bits = np.arange(0, 1 << 23, 11, dtype=np.uint32) | np.uint32((exponent + 127) << 23)
    return np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)


@pytest.mark.parametrize("exponent", [-126, -60, *range(-26, 7)])
def test_exponentials_are_as_accurate_as_the_bounds_take_them_to_be(exponent):
    x = floats(exponent)
    x = x[x < 127.49]
    found = np.empty_like(x)
    compiled.expm1(x, found)
    truth = np.expm1(x.astype(np.float64) * LN2)
    assert (np.abs(found - truth) <= compiled.EXPM1 * UNIT * np.abs(truth) + 2.0**-149).all()


def test_what_overflows_or_is_no_number_is_never_a_number():
    x = np.array([127.6, 128, 129, 200, 1e9, 3e38, np.inf, -np.inf, np.nan], np.float32)
    found = np.empty_like(x)
    compiled.expm1(x, found)
    assert not np.isfinite(found).any()
    x = np.array([0.0, -0.0, -127.2, -150, -1e9, -3e38], np.float32)
    found = np.empty_like(x)
    compiled.expm1(x, found)
    assert found.tolist() == [0, 0, -1, -1, -1, -1]


@pytest.mark.parametrize(
    ("chosen", "host", "expected"),
    [
        (None, "+avx2,+avx512f", "+avx2,+avx512f,-prefer-256-bit"),
        (None, "+avx2,-avx512f", None),
        ("+avx2", "+avx2,+avx512f", "+avx2"),
    ],
)
def test_long_registers_are_filled_unless_the_user_chose(chosen, host, expected, monkeypatch):
    monkeypatch.setattr(config, "CPU_FEATURES", chosen)
    monkeypatch.setattr(compiled, "get_host_cpu_features", lambda: host)
    compiled._fill_registers()
    assert expected == config.CPU_FEATURES


@pytest.mark.parametrize("is_nan", [False, True])
def test_a_logit_that_overflows_is_refused_not_left_out(is_nan):
    logits = torch.zeros(2, 300)
    logits[1, 77] = torch.nan if is_nan else torch.inf
    weight = torch.empty_like(logits)
    _, total, _ = softmax.exponentials(logits, None, torch.tensor([0, 0]), weight)
    assert total[0] == 300
    assert not torch.isfinite(total[1])


@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("tokens", [slice(0, 64), slice(3, 60), slice(100, 5000), slice(0, 8192)])
def test_sums_over_tokens(tokens, is_lifted, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    effects, logits = torch.randn(30, 8192, generator=generator), torch.randn(7, 8192, generator=generator)
    rest = torch.rand(7, 8192, generator=generator) * 1e-4
    u = torch.randn(8192, generator=generator).double() if is_lifted else None
    at, column = torch.randint(7, (50,), generator=generator), torch.randint(30, (50,), generator=generator)
    factors = *torch.randn(2, 50, generator=generator), torch.randn(50, generator=generator) if is_lifted else None
    found = terms.sums_over_tokens(effects, logits, rest, u, tokens, at, column, factors)
    h = factors[0].double()[:, None] * logits[at, tokens] + factors[1].double()[:, None] * effects[column, tokens]
    if u is not None:
        h += factors[2].double()[:, None] * u[tokens]
    each = rest[at, tokens] * torch.expm1(h * LN2)
    off = (terms.TERM + compiled.TERMS) * UNIT * each.abs().sum(1)
    off += terms.POWER * UNIT * (h.abs() * rest[at, tokens] * torch.exp2(h)).sum(1) * 3
    assert ((found[0] - each.sum(1)).abs() <= off).all()
    assert ((found[1] - each.abs().sum(1)).abs() <= off).all()
    monkeypatch.setattr(terms, "is_compiled", lambda device: False)
    other = terms.sums_over_tokens(effects, logits, rest, u, tokens, at, column, factors)
    assert ((other[0] - each.sum(1)).abs() <= off).all()
    assert ((other[1] - each.abs().sum(1)).abs() <= off).all()


@pytest.mark.parametrize("n_vocabulary", [130, 5000])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_array_operations_give_the_same(kind, n_vocabulary, monkeypatch):
    """What runs on a device, run on the processor: both within the tolerance, and equal but for rounding."""
    last, residual, activation, mean, target = drawn(kind, n_vocabulary=n_vocabulary)
    frequency = torch.linspace(0, 3, n_vocabulary)
    found = []
    for is_compiled in (True, False):
        for module in (terms, softmax, vocabulary, parallel):
            monkeypatch.setattr(module, "is_compiled", lambda device, answer=is_compiled: answer)
        engine = Ablation(last, mean, sample=residual, frozen=True, log_unigram=frequency)
        found.append(engine.run(residual, activation, target))
        for name, frozen in (
            ("delta_loss", None),
            ("delta_frozen_norm", "norm"),
            ("delta_frozen_frequency", frequency),
        ):
            truth = reference_delta(last, residual, activation, mean, target, frozen=frozen)
            assert excess(found[-1].deltas[name], truth) < 1
    one, other = found
    for name, values in one.deltas.items():
        torch.testing.assert_close(values, other.deltas[name], rtol=2e-3, atol=2e-6)
    torch.testing.assert_close(one.loss, other.loss)
    torch.testing.assert_close(one.entropy, other.entropy)
    assert torch.equal(one.rank, other.rank)
