"""The closed form against true forward passes and against plain float64, for every pair, and where it is hard."""

import dataclasses

import pytest
import torch
from torch import Tensor

from extract import expectation, positions, vocabulary
from extract.ablation import Ablation
from extract.families import FAMILIES, LastLayer, capture, describe
from extract.reference import reference_delta
from extract.selfcheck import hooked_delta
from tests.extract.tiny_models import CONFIGS, tiny_model, tokens
from warehouse.errors import ModelError

T, N, D, V = 12, 40, 16, 130


def drawn(kind: str = "layer", seed: int = 0, **scales: float) -> tuple[LastLayer, Tensor, Tensor, Tensor, Tensor]:
    """A last layer with residuals (T, d), activations (T, N), means and targets, all random."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    last = LastLayer(
        family="drawn",
        parts=FAMILIES[0],
        layer=0,
        n_layers=1,
        d_model=D,
        d_mlp=N,
        n_vocabulary=V,
        is_parallel=False,
        norm_kind="layer" if kind == "layer" else "rms",
        eps=1e-5,
        w_in=normal(N, D),
        gate=None,
        w_out=normal(N, D, scale=scales.get("w_out", 0.2)),
        gain=1 + normal(D, scale=0.3),
        norm_bias=normal(D, scale=0.5) if kind == "layer" else None,
        unembed=normal(V, D, scale=scales.get("unembed", 0.7)),
        unembed_bias=normal(V, scale=0.5) if kind == "layer" else None,
    )
    target = torch.randint(V, (T,), generator=generator)
    activation = normal(T, N)
    return last, normal(T, D, scale=2.0), activation, activation.double().mean(0), target


def excess(found: Tensor, truth: Tensor) -> float:
    """Largest error as a share of what is allowed: 1e-6 + 1e-3 |delta|."""
    return float(((found.double() - truth).abs() / (1e-6 + 1e-3 * truth.abs())).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_pair_equals_a_true_forward_pass(name):
    model, ids = tiny_model(name), tokens((7,))
    last = describe(model)
    double = tiny_model(name).double()
    residual, activation = capture(double, describe(double), ids[None])
    mean = activation[0].double().mean(0)
    closed = Ablation(last, mean).delta(residual[0, :-1], activation[0, :-1], ids[1:])
    truth = torch.stack(
        [hooked_delta(double, last, ids, t, range(last.d_mlp), mean, int(ids[t + 1]), batch=64) for t in range(6)]
    )
    assert excess(closed, truth) < 1
    assert float(truth.abs().max()) > 0.1  # the models are not trivial
    assert excess(reference_delta(last, residual[0, :-1], activation[0, :-1], mean, ids[1:]), truth) < 1


@pytest.mark.parametrize("name", CONFIGS)
def test_baseline_is_the_models_own_loss(name):
    model, ids = tiny_model(name), tokens((2, 6))
    last = describe(model)
    residual, activation = capture(model, last, ids)
    target = ids[:, 1:].flatten()
    engine = Ablation(last, activation.flatten(0, 1).mean(0))
    loss, entropy, rank = engine.baseline(residual[:, :-1].flatten(0, 1), target)
    with torch.no_grad():
        logits = model(ids).logits[:, :-1].flatten(0, 1).double()
    p = logits.softmax(1)
    expected = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    # the model's own logits are float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(entropy.double(), -(p * p.log()).sum(1), rtol=1e-6, atol=1e-5)
    assert rank.tolist() == (logits > logits.gather(1, target[:, None])).sum(1).tolist()
    assert (loss.dtype, entropy.dtype, rank.dtype) == (torch.float32, torch.float32, torch.int64)


@pytest.mark.parametrize("name", ["llama", "gpt2", "phi"])
def test_a_bfloat16_model(name):
    model, ids = tiny_model(name, dtype=torch.bfloat16), tokens((1, 9))
    last = describe(model)
    residual, activation = (each[0, :-1] for each in capture(model, last, ids))
    mean = activation.double().mean(0)
    closed = Ablation(last, mean).delta(residual, activation, ids[0, 1:])
    assert excess(closed, reference_delta(last, residual, activation, mean, ids[0, 1:])) < 1


@pytest.mark.parametrize("kind", ["rms", "layer"])
@pytest.mark.parametrize(
    "scales",
    [
        {},
        {"unembed": 60.0},  # softmax saturated: p is one-hot
        {"unembed": 1e-4},  # nearly uniform
        {"w_out": 100.0},  # e^h overflows in float32
        {"w_out": 100.0, "unembed": 60.0},
        {"w_out": 1e-4},  # deltas of 1e-5 and less
        {"w_out": 1e-4, "unembed": 60.0},
    ],
    ids=str,
)
def test_hard_scales(kind, scales):
    for seed in range(3):
        last, *arguments = drawn(kind, seed, **scales)
        residual, activation, mean, target = arguments
        closed = Ablation(last, mean).delta(residual, activation, target)
        assert excess(closed, reference_delta(last, *arguments)) < 1


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_confident_and_right(kind):
    """p of the target near one: the delta is the small difference of two large terms."""
    last, residual, activation, mean, _ = drawn(kind, unembed=8.0)
    engine = Ablation(last, mean)
    ranks = torch.stack([engine.baseline(residual, torch.full((T,), v))[2] for v in range(V)])
    target = ranks.argmin(0)
    closed = engine.delta(residual, activation, target)
    assert excess(closed, reference_delta(last, residual, activation, mean, target)) < 1


def test_a_neuron_that_is_nearly_all_of_the_residual():
    """The ablated scale is the small difference of large squares, and eps is part of what is left."""
    for kind in ("rms", "layer"):
        last, residual, activation, mean, target = drawn(kind)
        difference = activation[:, 3].double() - mean[3]
        residual = (difference[:, None] * last.w_out[3].double() + 1e-3 * residual.double()).float()
        closed = Ablation(last, mean).delta(residual, activation, target)
        assert excess(closed, reference_delta(last, residual, activation, mean, target)) < 1


def test_a_shift_of_all_logits_changes_nothing():
    """A large common part of the neuron's effects on all tokens cancels in the softmax."""
    last, residual, activation, mean, target = drawn("rms")
    common = dataclasses.replace(last, unembed=last.unembed + 30.0)
    closed = Ablation(common, mean).delta(residual, activation, target)
    assert excess(closed, reference_delta(common, residual, activation, mean, target)) < 1


def test_a_neuron_at_its_mean_changes_exactly_nothing():
    last, residual, activation, mean, target = drawn("layer")
    mean = mean.float().double()
    activation[:, 5] = mean[5].float()
    activation[2] = mean.float()
    delta = Ablation(last, mean).delta(residual, activation, target)
    assert (delta[:, 5] == 0).all()
    assert (delta[2] == 0).all()
    assert (delta[3, 6:] != 0).any()


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_block_sizes_change_nothing_but_rounding(kind, monkeypatch):
    last, residual, activation, mean, target = drawn(kind)
    whole = Ablation(last, mean)
    assert whole.n_neurons == N
    assert whole.n_positions >= T
    expected = whole.delta(residual, activation, target)
    monkeypatch.setattr(expectation, "_TILE", 70)
    monkeypatch.setattr(expectation, "_NARROWEST", 7)
    monkeypatch.setattr(expectation, "_ROWS", 5)
    monkeypatch.setattr(positions, "_ROWS", 3)
    monkeypatch.setattr(vocabulary, "DOUBLE_ELEMENTS", 17 * D)
    for memory in (1, 40_000, 100_000):
        parts = Ablation(last, mean, memory=memory)
        assert parts.n_positions < T
        done = []
        found = parts.delta(residual, activation, target, progress=done.append)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
        assert sum(done) == T * N
        for one, other in zip(parts.baseline(residual, target), whole.baseline(residual, target), strict=True):
            torch.testing.assert_close(one, other)


def test_a_row_does_not_depend_on_the_others():
    last, residual, activation, mean, target = drawn("layer")
    engine = Ablation(last, mean)
    together = engine.delta(residual, activation, target)
    for t in (0, 7):
        alone = engine.delta(residual[t : t + 1], activation[t : t + 1], target[t : t + 1])
        torch.testing.assert_close(alone[0], together[t], rtol=1e-5, atol=1e-8)


def test_memory_is_bounded_for_a_large_model():
    """Vocabulary 256k, 16k neurons, width 4k: the blocks of a 2 GiB budget fit into it."""
    last, _, _, _, _ = drawn("rms")
    large = dataclasses.replace(last, n_vocabulary=256_000, d_mlp=16_384, d_model=4_096)
    engine = Ablation(large, torch.zeros(16_384), memory=2 << 30)
    effects = 4 * 256_000 * engine.n_neurons
    unembedded = (8 + 4 + 4 + 16) * 256_000 * engine.n_positions
    assert effects + unembedded <= 2 << 30
    assert engine.n_neurons >= 256
    assert engine.n_positions >= 32


def test_threads_are_given_back():
    last, residual, activation, mean, target = drawn("rms")
    before = torch.get_num_threads()
    Ablation(last, mean).delta(residual, activation, target)
    assert torch.get_num_threads() == before


def test_what_is_not_finite_is_refused():
    last, residual, activation, mean, target = drawn("rms")
    activation[4, 9] = torch.nan
    with pytest.raises(ModelError, match="position 4, neuron 9 is not finite"):
        Ablation(last, mean).delta(residual, activation, target)


def test_a_mean_of_another_width_is_refused():
    last, *_ = drawn("rms")
    with pytest.raises(ValueError, match=r"\(39,\), not \(40,\)"):
        Ablation(last, torch.zeros(39))
