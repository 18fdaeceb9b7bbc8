"""The closed form where it is hard: saturated, underflowing, tied, huge and tiny, against plain float64."""

import dataclasses
import math

import pytest
import torch

from extract import softmax, terms
from extract.ablation import Ablation, changes_of
from extract.bound import UNIT
from extract.compiled import TERMS
from extract.expectation import expectations
from extract.neurons import read_neurons
from extract.pairs import ABSOLUTE, RELATIVE
from extract.positions import Reader
from extract.reference import reference_delta
from extract.terms import total
from tests.extract.drawn_layers import N, T, V, drawn, excess
from warehouse.errors import ModelError


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


@pytest.mark.parametrize("scale", [30.0, 0.01])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_fifty_thousand_tokens_one_hot_or_nearly_uniform(kind, scale):
    last, residual, activation, mean, target = drawn(kind, n_vocabulary=50_000, unembed=scale)
    if last.unembed_bias is not None:
        last = dataclasses.replace(last, unembed_bias=scale * last.unembed_bias)
    found = Ablation(last, mean).run(residual, activation, target)
    if scale > 1:
        assert float(found.entropy.median()) < 0.01
        assert found.routes["delta_loss"].n_double > 100
    else:
        assert float(found.entropy.min()) > 10.8  # of at most ln 50,000 = 10.82
    assert excess(found.deltas["delta_loss"], reference_delta(last, residual, activation, mean, target)) < 1


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
    read = Reader(engine.vocabulary, 8, half).read(residual, target)
    neurons = read_neurons(engine.vocabulary, slice(0, N), half)
    names = ["delta_loss", "delta_frozen_norm", "delta_frozen_frequency"]
    changes = changes_of(last, read, neurons, activation.double() - mean, names)
    found = expectations(engine.vocabulary, read, neurons, changes)
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


def test_what_is_not_finite_is_refused():
    last, residual, activation, mean, target = drawn("rms")
    activation[4, 9] = torch.nan
    with pytest.raises(ModelError, match="position 4, neuron 9 is not finite"):
        Ablation(last, mean).delta(residual, activation, target)


def test_a_mean_of_another_width_is_refused():
    last, *_ = drawn("rms")
    with pytest.raises(ValueError, match=r"\(39,\), not \(40,\)"):
        Ablation(last, torch.zeros(39))


@pytest.mark.parametrize("half", [False, True])
def test_equal_probabilities_that_bfloat16_rounds_alike(half):
    """Where p and G^2 are the same for all tokens their roundings do not cancel: 2^-8 each in bfloat16."""
    last, *_ = drawn("rms", n_vocabulary=65281)
    n, width = len(last.w_out), last.d_model
    sign = torch.ones(65281)
    sign[1::2], sign[0] = -1, 0
    unembed, written = torch.zeros_like(last.unembed), torch.zeros_like(last.w_out)
    written[:, 1] = 1.0
    residual, target = torch.zeros(2, width), torch.zeros(2, dtype=torch.long)
    residual[:, 0] = width**0.5
    for square in (1.0038, 1.0117, 1.5):
        unembed[:, 1] = sign * square**0.5
        plain = dataclasses.replace(
            last, gain=torch.ones(width), unembed_bias=None, norm_bias=None, unembed=unembed.clone(), w_out=written
        )
        activation = (torch.linspace(0.012, 0.03, n) / square**0.5).repeat(2, 1)
        mean = torch.zeros(n, dtype=torch.float64)
        engine = Ablation(plain, mean, half=half)
        read = Reader(engine.vocabulary, 8, half).read(residual, target)
        neurons = read_neurons(engine.vocabulary, slice(0, n), half)
        changes = changes_of(plain, read, neurons, activation.double(), ["delta_loss"])
        (found,) = expectations(engine.vocabulary, read, neurons, changes)
        truth = reference_delta(plain, residual, activation, mean, target)
        assert ((found.delta - truth).abs() <= found.error)[~found.left].all()
        assert ((engine.delta(residual, activation, target) - truth).abs() <= ABSOLUTE + RELATIVE * truth.abs()).all()


def test_sums_of_many_terms_are_exact_enough():
    """A large term before many small ones: no more than so many terms are summed in float32."""
    terms = torch.full((3, 5000), 1e-5)
    terms[:, 0] = 0.1
    exact = terms.double().sum(1)
    for found in (total(terms, 1), total(terms.T.contiguous(), 0)):
        assert ((found - exact).abs() <= TERMS * UNIT * exact).all()


@pytest.mark.parametrize("bias", [-1e4, -1e5])
def test_wrong_weights_of_the_rest_are_wrong_weights_of_the_probable_tokens(bias):
    """Neurons move two probable tokens only; all others weigh a fifth, with logits that a large bias rounds alike."""
    width, n, n_vocabulary = 512, 21, 4096
    last, *_ = drawn("rms", n_vocabulary=n_vocabulary)
    axes = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))[0]
    unembed = (axes[5] / width**0.5).repeat(n_vocabulary, 1)
    unembed[0] = axes[0] * (8.3 / width**0.5) + axes[1]
    unembed[1] = axes[0] * (8.3 / width**0.5) + 0.5 * axes[1]
    biases = torch.zeros(n_vocabulary)
    biases[n_vocabulary // 2 :] = bias
    plain = dataclasses.replace(
        last, gain=torch.ones(width), norm_bias=None, unembed_bias=biases, unembed=unembed.float(),
        w_out=axes[1].float().repeat(n, 1), w_in=torch.zeros(n, width), d_model=width, d_mlp=n,
    )  # fmt: skip
    residual, target = (axes[0] * width**0.5).float()[None], torch.tensor([1])
    activation, mean = torch.linspace(-2, 2, n)[None], torch.zeros(n, dtype=torch.float64)
    truth = reference_delta(plain, residual, activation, mean, target)
    error = (Ablation(plain, mean).delta(residual, activation, target) - truth).abs()
    assert (error <= ABSOLUTE + RELATIVE * truth.abs()).all()


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize(
    ("n_vocabulary", "highest", "raised", "effect"),
    [(5_000, 7.912236579, 4.724016619, 0.0158176), (200_000, 11.201898246, 4.617028241, 0.0173498),
     (200_000, 11.160838291, 11.808004459, 0.0159375)],
)  # fmt: skip
def test_equal_logits_of_the_rest_are_rounded_alike(n_vocabulary, highest, raised, effect, is_compiled, monkeypatch):
    """All of the rest has one logit far below the top: what is rounded there is the same for all of its mass."""
    for module in (terms, softmax):
        monkeypatch.setattr(module, "is_compiled", lambda device: is_compiled)
    width, n, below = 16, 6, 4
    top = math.exp(highest)
    total = n_vocabulary + top + math.exp(highest - below)
    of_target = raised
    for _ in range(200):  # the effect on the target with which the delta is all but 0
        others = top * math.expm1(raised) + math.exp(highest - below) * math.expm1(of_target)
        of_target = math.log1p(others / total)
    unembed, written = torch.zeros(n_vocabulary, width), torch.zeros(n, width)
    unembed[0, 0], unembed[2, 0] = highest / width**0.5, (highest - below) / width**0.5
    unembed[0, 1], unembed[2, 1] = effect, effect * of_target / raised
    written[:, 1] = -1.0
    last = dataclasses.replace(
        drawn("rms", n_vocabulary=8)[0], gain=torch.ones(width), unembed_bias=None, norm_bias=None, unembed=unembed,
        w_out=written, w_in=torch.zeros(n, width), d_mlp=n, n_vocabulary=n_vocabulary,
    )  # fmt: skip
    residual, target, mean = torch.zeros(1, width), torch.tensor([2]), torch.zeros(n, dtype=torch.float64)
    residual[0, 0] = width**0.5
    activation = (raised / effect * torch.linspace(0.99999, 1.00001, n))[None]
    engine = Ablation(last, mean, frozen=True, half=False)
    read = Reader(engine.vocabulary, 1, False).read(residual, target)
    neurons = read_neurons(engine.vocabulary, slice(0, n), False)
    changes = changes_of(last, read, neurons, activation.double(), ["delta_frozen_norm"])
    (found,) = expectations(engine.vocabulary, read, neurons, changes)
    truth = reference_delta(last, residual, activation, mean, target, frozen="norm")
    assert ((found.delta - truth).abs() <= found.error + 1e-12)[~found.left].all()
    found_of_all = engine.run(residual, activation, target).deltas["delta_frozen_norm"]
    assert excess(found_of_all, truth) < 1
