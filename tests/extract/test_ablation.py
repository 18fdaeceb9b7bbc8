"""The closed form against true forward passes and against plain float64, for every pair, in bounded memory."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from extract import expectation, positions, vocabulary
from extract.ablation import Ablation
from extract.families import capture, describe
from extract.reference import reference_delta
from extract.selfcheck import hooked_delta
from tests.extract.drawn_layers import D, N, T, V, drawn, excess
from tests.extract.tiny_models import CONFIGS, VOCABULARY, tiny_model, tokens

# The most resident memory beyond what was held before, as a share of what was allowed, of one full block of positions
# and more than two of neurons. Arguments: tokens, width, neurons, bytes allowed, whether frozen, whether bfloat16.
_MEASURE = """
import dataclasses, sys, torch
from extract.ablation import Ablation
from tests.extract.drawn_layers import drawn
from tests.extract.resident import growth

size, width, n, memory, frozen, half = map(int, sys.argv[1:])
warm, residual, activation, mean, target = drawn("rms")
Ablation(warm, mean, half=bool(half)).delta(residual, activation, target)
unembed, w_out = torch.randn(size, width).mul_(0.05), torch.randn(n, width).mul_(0.1)
last = dataclasses.replace(
    warm, n_vocabulary=size, d_model=width, d_mlp=n, gain=torch.ones(width), unembed=unembed, w_out=w_out
)
residual, activation = torch.randn(1024, width), torch.randn(1024, n)
grown = growth()
log_unigram = torch.randn(size) if frozen else None
engine = Ablation(last, torch.zeros(n), memory, log_unigram=log_unigram, frozen=bool(frozen), half=bool(half))
assert 2 * engine.n_neurons < n
rows = slice(0, engine.n_positions)
engine.run(residual[rows], activation[rows], torch.arange(1024)[rows])
print(grown() / memory)
"""


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 5_000])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_pair_equals_a_true_forward_pass(name, vocabulary):
    """With 5,000 tokens a fifth to a third of the probability is in the rest, which goes by moments and in float32."""
    model, ids = tiny_model(name, vocabulary=vocabulary), tokens((7,))
    last = describe(model)
    double = tiny_model(name, vocabulary=vocabulary).double()
    residual, activation = capture(double, describe(double), ids[None])
    mean = activation[0].double().mean(0)
    found = Ablation(last, mean).run(residual[0, :-1], activation[0, :-1], ids[1:])
    closed, routes = found.deltas["delta_loss"], found.routes["delta_loss"]
    if vocabulary > VOCABULARY:
        assert min(routes.n_moments, routes.n_terms) > 50
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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_of_16_bits(name, dtype):
    model, ids = tiny_model(name, dtype=dtype, vocabulary=5_000), tokens((1, 9))
    last = describe(model)
    residual, activation = (each[0, :-1] for each in capture(model, last, ids))
    mean = activation.double().mean(0)
    closed = Ablation(last, mean).delta(residual, activation, ids[0, 1:])
    assert excess(closed, reference_delta(last, residual, activation, mean, ids[0, 1:])) < 1


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_block_sizes_change_nothing_but_rounding(kind, monkeypatch):
    last, residual, activation, mean, target = drawn(kind)
    whole = Ablation(last, mean)
    assert whole.n_neurons == N
    assert whole.n_positions >= T
    expected = whole.delta(residual, activation, target)
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


def test_shards_change_nothing_but_rounding():
    last, residual, activation, mean, target = drawn("rms", w_out=0.5)
    once = Ablation(last, mean)
    whole = once.delta(residual, activation, target)
    cuts = (slice(0, 3), slice(3, 7), slice(7, T))
    parts = [once.delta(residual[rows], activation[rows], target[rows]) for rows in cuts]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-7)


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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured from /proc, which only Linux has")
@pytest.mark.parametrize(
    "sizes",
    [
        (256_000, 64, 400, 1_000_000_000, 0, 0),
        (256_000, 64, 400, 1_000_000_000, 1, 1),
        (60_000, 512, 250, 150_000_000, 1, 1),  # the unembedding is nearly as large as what is allowed
    ],
    ids=str,
)
def test_memory_is_what_was_allowed(sizes):
    """A run in its own process keeps to its memory, be it of a vocabulary of 256k or of a wide model."""
    call = [sys.executable, "-c", _MEASURE, *map(str, sizes)]
    found = subprocess.run(call, capture_output=True, text=True, check=True)
    assert float(found.stdout) <= 1


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="needs a CUDA device; the array operations that it takes are tested on the processor",
)
@pytest.mark.parametrize("n_vocabulary", [130, 50_000])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_the_same_on_cuda(kind, n_vocabulary):
    last, *arguments = drawn(kind, n_vocabulary=n_vocabulary)
    parts = {name: value.cuda() for name, value in vars(last).items() if isinstance(value, torch.Tensor)}
    residual, activation, mean, target = arguments
    engine = Ablation(dataclasses.replace(last, **parts), mean)
    found = engine.delta(residual.cuda(), activation.cuda(), target.cuda()).cpu()
    assert excess(found, reference_delta(last, residual, activation, mean, target)) < 1


def test_threads_are_given_back():
    last, residual, activation, mean, target = drawn("rms")
    before = torch.get_num_threads()
    Ablation(last, mean).delta(residual, activation, target)
    assert torch.get_num_threads() == before
