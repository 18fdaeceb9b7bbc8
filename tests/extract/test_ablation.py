"""The closed form against true forward passes and against plain float64, for every pair, and where it is hard."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from extract import expectation, positions, vocabulary
from extract.ablation import Ablation, changes_of
from extract.expectation import expectations
from extract.families import FAMILIES, LastLayer, capture, describe
from extract.neurons import read_neurons
from extract.positions import Reader
from extract.reference import reference_delta
from extract.selfcheck import hooked_delta
from extract.vocabulary import Vocabulary
from tests.extract.tiny_models import CONFIGS, tiny_model, tokens
from warehouse.errors import ModelError

T, N, D, V = 12, 40, 16, 130

# The growth of the peak of resident memory, in bytes, by 32 positions of 200 neurons and 60,000 tokens in 120 MB.
_MEASURE = """
import dataclasses, resource, torch
from extract.ablation import Ablation
from tests.extract.test_ablation import drawn

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

last, *_ = drawn("rms", n_vocabulary=60_000, w_out=0.01)
last = dataclasses.replace(last, d_mlp=200, w_out=torch.randn(200, 16) * 0.01)
warm, residual, activation, mean, target = drawn("rms")
Ablation(warm, mean).delta(residual, activation, target)
residual, activation = torch.randn(32, 16), torch.randn(32, 200)
before = peak()
Ablation(last, activation.mean(0), memory=120_000_000).delta(residual, activation, torch.arange(32))
print(peak() - before)
"""


def drawn(
    kind: str = "layer", seed: int = 0, n_vocabulary: int = V, **scales: float
) -> tuple[LastLayer, Tensor, Tensor, Tensor, Tensor]:
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
        n_vocabulary=n_vocabulary,
        is_parallel=False,
        norm_kind="layer" if kind == "layer" else "rms",
        eps=1e-5,
        w_in=normal(N, D),
        gate=None,
        w_out=normal(N, D, scale=scales.get("w_out", 0.2)),
        gain=1 + normal(D, scale=0.3),
        norm_bias=normal(D, scale=0.5) if kind == "layer" else None,
        unembed=normal(n_vocabulary, D, scale=scales.get("unembed", 0.7)),
        unembed_bias=normal(n_vocabulary, scale=0.5) if kind == "layer" else None,
    )
    target = torch.randint(n_vocabulary, (T,), generator=generator)
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


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("scales", "n_vocabulary"),
    [
        ({"unembed": 0.7, "w_out": 0.02}, 4_000),  # p spread over hundreds of tokens
        ({"unembed": 0.02, "w_out": 0.3}, 4_000),  # near-uniform: no token is probable but the target
        ({"unembed": 30.0, "w_out": 0.01}, 4_000),  # one-hot
        ({"unembed": 0.3, "w_out": 0.3}, 50_000),
        ({"unembed": 20.0, "w_out": 0.003}, 50_000),
    ],
    ids=str,
)
def test_no_error_exceeds_its_bound(scales, n_vocabulary, half):
    """Large vocabularies, with the targets among the probable tokens and not: every bound holds, for every change."""
    last, residual, activation, mean, target = drawn("layer", n_vocabulary=n_vocabulary, **scales)
    residual, activation, target = residual[:4], activation[:4], target[:4]
    frequency = torch.linspace(0, 3, n_vocabulary)
    engine = Ablation(last, mean, sample=residual, frozen=True, log_unigram=frequency, half=half)
    target[0] = int(engine.vocabulary.order[0])
    read = Reader(engine.vocabulary, 8).read(residual, target)
    neurons = read_neurons(engine.vocabulary, slice(0, N), half)
    names = ["delta_loss", "delta_frozen_norm", "delta_frozen_frequency"]
    changes = changes_of(last, read, neurons, activation.double() - mean, names)
    found = expectations(engine.vocabulary, read, neurons, changes, half)
    n_sure = 0
    for each, frozen in zip(found, (None, "norm", frequency), strict=True):
        truth = reference_delta(last, residual, activation, mean, target, frozen=frozen)
        error, sure = (each.delta - truth).abs(), ~each.left
        # the reference itself loses digits where losses are large
        assert (error[sure] <= each.error[sure] + 1e-12).all()
        n_sure += int(sure.sum())
    assert n_sure > 0.2 * len(found) * residual.shape[0] * N


def test_ties_and_a_token_that_occurs_twice():
    """Equal rows of the unembedding, the target's too: equal logits, and no order among them."""
    last, residual, activation, mean, target = drawn("rms")
    last.unembed[40:80] = last.unembed[0:40]
    target[:6] = torch.arange(6)
    closed = Ablation(last, mean, sample=residual).delta(residual, activation, target)
    assert excess(closed, reference_delta(last, residual, activation, mean, target)) < 1


def test_a_neuron_that_raises_a_token_whose_probability_underflows():
    """A token 105 nats below the top has p = 0 in float32, but e^h of as much: no bound may take it for nothing."""
    last, _, _, _, _ = drawn("rms", n_vocabulary=500)
    T, wide = 3, last.unembed.shape[1]
    last.unembed.mul_(0.3)
    last.unembed[:, 0] = 0.0
    last.unembed[:3] = 0.0
    last.unembed[0, 0] = last.unembed[2, 0] = 105 / wide**0.5
    last.unembed[2, 3], last.unembed[1, 1] = 0.5, 10.0
    last = dataclasses.replace(last, gain=torch.ones(wide), unembed_bias=None, norm_bias=None)
    last.w_out.mul_(0.02)
    last.w_out[:, :2] = 0.0
    last.w_out[:, 1] = -torch.linspace(0.9, 1.1, len(last.w_out)) * 11.2
    last.w_out[:, 3] = -1.0
    residual = torch.zeros(T, wide)
    residual[:, 0] = wide**0.5
    activation, mean = torch.ones(T, len(last.w_out)), torch.zeros(len(last.w_out), dtype=torch.float64)
    target = torch.tensor([0, 2, 0])
    truth = reference_delta(last, residual, activation, mean, target)
    assert truth.abs().max() > 1
    assert excess(Ablation(last, mean).delta(residual, activation, target), truth) < 1


def test_a_large_common_part_of_the_bias_and_an_impossible_token():
    last, residual, activation, mean, target = drawn("layer", n_vocabulary=3_000)
    bias = torch.full((3_000,), 1e6) + torch.randn(3_000, generator=torch.Generator().manual_seed(1))
    bias[17] = -torch.inf
    target[target == 17] = 18
    last = dataclasses.replace(last, unembed_bias=bias)
    engine = Ablation(last, mean)
    finite = dataclasses.replace(last, unembed_bias=torch.where(bias.isinf(), -1e9, bias))
    truth = reference_delta(finite, residual, activation, mean, target)
    assert excess(engine.delta(residual, activation, target), truth) < 1
    assert all(each.isfinite().all() for each in engine.baseline(residual, target)[:2])


def test_one_neuron_with_a_huge_weight():
    last, residual, activation, mean, target = drawn("rms", n_vocabulary=3_000, w_out=0.02)
    last.w_out[7] *= 3e3
    closed = Ablation(last, mean).delta(residual, activation, target)
    truth = reference_delta(last, residual, activation, mean, target)
    assert excess(closed, truth) < 1
    assert float(truth[:, 7].abs().max()) > 1


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


def test_routes_are_counted():
    last, residual, activation, mean, target = drawn("rms", unembed=8.0)
    routes = Ablation(last, mean).run(residual, activation, target).routes["delta_loss"]
    assert routes.n_moments + routes.n_terms + routes.n_double == T * N
    assert min(routes.n_moments, routes.n_terms, routes.n_double) > 0
    assert 0 < routes.worst_share <= 1
    assert routes.worst_bound > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_frozen_deltas_equal_recomputed_ones(name):
    model, ids = tiny_model(name), tokens((12,))
    last = describe(model)
    residual, activation = (each[0, :-1] for each in capture(model, last, ids[None]))
    mean, target = activation.double().mean(0), ids[1:]
    frequency = torch.randn(last.n_vocabulary, generator=torch.Generator().manual_seed(3))
    engine = Ablation(last, mean, log_unigram=frequency, frozen=True)
    deltas = engine.run(residual, activation, target).deltas
    plain = reference_delta(last, residual, activation, mean, target)
    for column, frozen in (("delta_frozen_norm", "norm"), ("delta_frozen_frequency", frequency)):
        truth = reference_delta(last, residual, activation, mean, target, frozen=frozen)
        assert excess(deltas[column], truth) < 1
        assert excess(truth.float(), plain) > 1  # freezing is not nothing
    assert excess(deltas["delta_loss"], plain) < 1


def test_without_frequencies_only_the_norm_is_frozen():
    last, residual, activation, mean, target = drawn("rms")
    deltas = Ablation(last, mean, frozen=True).run(residual, activation, target).deltas
    assert list(deltas) == ["delta_loss", "delta_frozen_norm"]
    equal = Ablation(last, mean, frozen=True, log_unigram=torch.full((V,), -3.0))
    deltas = equal.run(residual, activation, target).deltas
    # all tokens are equally frequent: there is nothing to freeze
    assert torch.equal(deltas["delta_frozen_frequency"], deltas["delta_loss"])


def test_a_row_does_not_depend_on_the_others():
    last, residual, activation, mean, target = drawn("layer")
    engine = Ablation(last, mean)
    together = engine.delta(residual, activation, target)
    for t in (0, 7):
        alone = engine.delta(residual[t : t + 1], activation[t : t + 1], target[t : t + 1])
        torch.testing.assert_close(alone[0], together[t], rtol=1e-5, atol=1e-8)


def test_memory_is_bounded_for_a_large_model(monkeypatch):
    """Vocabulary 256k, 16k neurons, width 4k: the blocks of a 2 GiB budget fit into it."""
    last, _, _, _, _ = drawn("rms")
    large = dataclasses.replace(last, n_vocabulary=256_000, d_mlp=16_384, d_model=4_096)
    monkeypatch.setattr(Vocabulary, "__init__", lambda *arguments, **options: None)  # no such weights are there
    engine = Ablation(large, torch.zeros(16_384), memory=2 << 30)
    effects = 12 * 256_000 * engine.n_neurons
    softmax = 12 * 256_000 * engine.n_positions
    scalars = 240 * engine.n_positions * engine.n_neurons
    assert effects + softmax + scalars <= 2 << 30
    assert engine.n_neurons >= 256
    assert engine.n_positions >= 32


def test_memory_is_what_was_allowed():
    """A run in its own process, on a vocabulary that does not fit, keeps to its memory."""
    found = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 1.2 * 120e6


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
