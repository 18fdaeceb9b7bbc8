"""The self-check passes on every family and fails on every way of being wrong that we could think of."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from extract.families import capture, describe, down_projection
from extract.selfcheck import hooked_delta, hooked_deltas, self_check
from tests.extract.tiny_models import CONFIGS, tiny_model, tokens
from warehouse.errors import ModelError

# By how much the most resident memory exceeds what a model of 256,000 tokens and width 1,024 takes, in 16 bits.
_MEASURE = """
import numpy as np, torch, transformers
from extract.families import capture, describe
from extract.selfcheck import self_check
from tests.extract.resident import growth

config = transformers.LlamaConfig(
    hidden_size=1024, intermediate_size=256, vocab_size=256_000, num_hidden_layers=1, num_attention_heads=8,
    tie_word_embeddings=True, dtype="bfloat16",
)
model = transformers.AutoModelForCausalLM.from_config(config).eval()
last, ids = describe(model), torch.arange(3, 67)[None]
mean = capture(model, last, ids)[1].flatten(0, 1).double().mean(0)
grown = growth()
self_check(model, last, ids, mean, np.random.default_rng(0), n_pairs=48, memory=1_000_000_000)
print(grown())
"""


def prepared(name, **options):
    model, ids = tiny_model(name, **options), tokens((3, 20))
    last = describe(model)
    return model, last, ids, capture(model, last, ids)[1].flatten(0, 1).double().mean(0)


def check(model, last, ids, mean, n_pairs=48):
    return self_check(model, last, ids, mean, np.random.default_rng(0), n_pairs=n_pairs)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_sound_model_passes_and_reports_its_errors(name, dtype):
    errors = check(*prepared(name, dtype=dtype))
    assert all(np.isfinite(error) and error >= 0 for error in errors.values())
    assert errors["closed form, as a share of its tolerance"] < 0.5
    assert errors["logits from the residual"] < 1e-12
    assert errors["pairs"] > 0


def test_more_pairs_read_more_text():
    model, last, ids, mean = prepared("llama")
    assert check(model, last, ids, mean, n_pairs=5)["pairs"] == 5
    assert check(model, last, ids, mean, n_pairs=1000)["pairs"] == 3 * 19


def test_the_model_is_left_as_it_was():
    model, last, ids, mean = prepared("llama_tied")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check(model, last, ids, mean)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["gpt2", "llama_tied", "gpt_neox_parallel"])
def test_hooked_delta_is_the_plain_difference_of_two_forward_passes(name):
    """A float64 model differenced by hand, without anything of this project but the place of the hook."""
    model, _, ids, mean = prepared(name, dtype=torch.float64)
    last = describe(model)
    position, neuron, target = 6, 11, 42

    def loss():
        with torch.no_grad():
            return -model(ids[:1]).logits[0, position].double().log_softmax(0)[target]

    def to_mean(_module, inputs):
        inputs[0][0, position, neuron] = mean[neuron]

    clean = loss()
    with torch.no_grad():
        down_projection(model, last).register_forward_pre_hook(to_mean)
        expected = loss() - clean
        down_projection(model, last)._forward_pre_hooks.clear()
    found = hooked_delta(model, last, ids[0], position, [neuron, 3], mean, target)
    assert found.dtype == torch.float64
    assert float(found[0]) == pytest.approx(float(expected), abs=1e-6)


def test_a_wrong_gain_fails():
    model, last, ids, mean = prepared("llama")
    with pytest.raises(ModelError, match=r"`logits from the residual` failed: error .*, tolerance 1e-08"):
        check(model, dataclasses.replace(last, gain=last.gain * 1.001), ids, mean)


@pytest.mark.parametrize("change", [{"eps": 0.1}, {"norm_kind": "rms"}, {"norm_bias": None}, {"unembed_bias": None}])
def test_a_wrong_norm_or_bias_fails(change):
    model, last, ids, mean = prepared("phi")
    with pytest.raises(ModelError, match="logits from the residual"):
        check(model, dataclasses.replace(last, **change), ids, mean)


def test_soft_capped_logits_fail():
    model, last, ids, mean = prepared("llama")
    model.lm_head.register_forward_hook(lambda _module, _inputs, logits: 30 * torch.tanh(logits / 30))
    with pytest.raises(ModelError, match="logits from the residual"):
        check(model, last, ids, mean)


def test_a_scaled_down_projection_fails():
    model, last, ids, mean = prepared("llama")
    down_projection(model, last).register_forward_hook(lambda _module, _inputs, output: 0.9 * output)
    with pytest.raises(ModelError, match="MLP output from the activations"):
        check(model, last, ids, mean)


def test_a_norm_after_the_mlp_fails():
    model, last, ids, mean = prepared("llama")
    model.model.layers[-1].mlp.register_forward_hook(lambda _module, _inputs, output: output / output.norm())
    with pytest.raises(ModelError, match=r"residual is input \+ attention \+ MLP"):
        check(model, last, ids, mean)


def test_another_layer_fails():
    model, last, ids, mean = prepared("llama")
    other = dataclasses.replace(last, w_out=model.model.layers[0].mlp.down_proj.weight.detach().T)
    with pytest.raises(ModelError, match="MLP output from the activations"):
        check(model, other, ids, mean)


def test_shuffled_neurons_fail():
    model, last, ids, mean = prepared("gpt2")
    with pytest.raises(ModelError, match="MLP output from the activations"):
        check(model, dataclasses.replace(last, w_out=last.w_out.flip(0)), ids, mean)


@pytest.mark.parametrize("name", ["gpt_neox_parallel", "gpt_neox_sequential", "phi"])
def test_the_wrong_kind_of_residual_fails(name):
    model, last, ids, mean = prepared(name)
    with pytest.raises(ModelError, match="what the MLP's norm reads"):
        check(model, dataclasses.replace(last, is_parallel=not last.is_parallel), ids, mean)


def test_a_hook_in_the_wrong_place_fails():
    model, last, ids, mean = prepared("llama")
    wrong = dataclasses.replace(last, parts=dataclasses.replace(last.parts, down="mlp.up_proj"))
    with pytest.raises(ModelError, match=r"`d_mlp` failed: the hook sees 32 columns, the weights have 48"):
        check(model, wrong, ids, mean)


def test_a_head_that_reads_other_positions_fails():
    """Only the hooked forward passes can show it, or the logits: here each position also sees the one before."""
    model, last, ids, mean = prepared("llama")
    model.lm_head.register_forward_pre_hook(lambda _module, inputs: (inputs[0] + inputs[0].roll(1, dims=1),))
    with pytest.raises(ModelError, match="self-check"):
        check(model, last, ids, mean)


def test_a_norm_that_forgets_its_scale_fails():
    model, last, ids, mean = prepared("llama")
    model.model.norm.register_forward_hook(lambda _module, inputs, _output: inputs[0] * model.model.norm.weight)
    with pytest.raises(ModelError, match="logits from the residual"):
        check(model, last, ids, mean)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_neuron_per_position_in_one_pass_is_each_of_them_alone(name):
    model, last, ids, mean = prepared(name)
    positions, neurons = torch.tensor([3, 4, 9, 17]), torch.tensor([5, 5, 0, 40])
    targets = ids[0, positions + 1]
    together = hooked_deltas(model, last, ids[0], positions, neurons, mean, targets)
    alone = [
        hooked_delta(model, last, ids[0], int(position), [int(neuron)], mean, int(target))[0]
        for position, neuron, target in zip(positions, neurons, targets, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-7)  # the layers before are float32
    with pytest.raises(ValueError, match="more than one neuron at a position"):
        hooked_deltas(model, last, ids[0], torch.tensor([3, 3]), neurons[:2], mean, targets[:2])


def test_a_delta_that_is_not_finite_names_the_neuron_of_the_layer():
    model, last, ids, mean = prepared("llama")
    mean[30] = torch.nan
    with pytest.raises(ModelError, match="neuron 30 is not finite"):
        check(model, last, ids, mean)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured from /proc, which only Linux has")
def test_a_large_vocabulary_takes_no_second_unembedding():
    """In float64 it would take 2.1 GB, the effects of neurons that are not checked 0.4; logits 0.1 an array."""
    found = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 0.8e9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("is_subclass", [True, False])
def test_an_unembedding_that_does_more_than_a_linear_layer_is_refused(is_subclass, dtype):
    class Scaled(torch.nn.Linear):
        def forward(self, x):
            return 1.05 * super().forward(x)

    model, last, ids, mean = prepared("llama", dtype=dtype)
    head = model.get_output_embeddings()
    if is_subclass:
        head.__class__ = Scaled
    else:
        head.forward = lambda x: 1.05 * torch.nn.functional.linear(x, head.weight)
    with pytest.raises(ModelError, match="logits from the residual"):
        check(model, last, ids, mean)
