"""Every declared family is read correctly; everything else is refused with its reason."""

import pytest
import torch
import transformers

from extract.families import capture, describe, down_projection, family_of, supported
from tests.extract.tiny_models import CONFIGS, D_MLP, LAYERS, VOCABULARY, WIDTH, tiny_model, tokens
from warehouse.errors import ModelError

_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "vocab_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_parts_have_the_declared_shapes(name):
    model = tiny_model(name)
    last = describe(model)
    assert (last.layer, last.n_layers) == (LAYERS - 1, LAYERS)
    assert (last.d_model, last.d_mlp, last.n_vocabulary) == (WIDTH, D_MLP, VOCABULARY)
    assert last.w_in.shape == last.w_out.shape == (D_MLP, WIDTH)
    assert last.unembed.shape == (VOCABULARY, WIDTH)
    assert (last.gate is None) == (last.norm_kind == "layer")
    assert (last.norm_bias is not None) == (last.norm_kind == "layer")
    assert (last.unembed_bias is not None) == (name == "phi")
    assert last.is_parallel == (name in {"phi", "gpt_neox_parallel"})
    assert last.unembed.data_ptr() == model.get_output_embeddings().weight.data_ptr()  # a view, not a copy
    assert not last.unembed.requires_grad


@pytest.mark.parametrize("name", CONFIGS)
def test_neurons_are_the_rows_of_w_in_and_w_out(name):
    model, ids = tiny_model(name), tokens((1, 5))
    last = describe(model)
    _, activation = capture(model, last, ids)
    seen = []
    down = down_projection(model, last)
    with torch.no_grad():
        down.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        model(ids)
    bias = 0 if down.bias is None else down.bias.detach()
    torch.testing.assert_close(activation[0] @ last.w_out + bias, seen[0].reshape(5, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_capture_does_not_depend_on_the_batch(name):
    model, ids = tiny_model(name), tokens((3, 6))
    last = describe(model)
    together = capture(model, last, ids)
    for b in range(3):
        for whole, alone in zip(together, capture(model, last, ids[b : b + 1]), strict=True):
            torch.testing.assert_close(whole[b], alone[0], rtol=1e-4, atol=1e-5)


def test_capture_leaves_no_hook():
    model = tiny_model("llama")
    last = describe(model)
    capture(model, last, tokens((1, 4)))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_capture_in_bfloat16_gives_float32():
    model = tiny_model("llama", dtype=torch.bfloat16)
    last = describe(model)
    residual, activation = capture(model, last, tokens((2, 4)))
    assert residual.shape == (2, 4, WIDTH)
    assert activation.shape == (2, 4, D_MLP)
    assert {each.dtype for each in (residual, activation, last.unembed, last.w_out, last.gain)} == {torch.float32}


def test_capture_refuses_a_body_that_runs_its_layer_twice():
    model = tiny_model("llama")
    last = describe(model)
    model.model.layers.append(model.model.layers[-1])
    model.config.num_hidden_layers += 1
    with pytest.raises(ModelError, match="down projection fired 2 times"):
        capture(model, last, tokens((1, 4)))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (transformers.Gemma2Config(**_SMALL, head_dim=8), "a norm follows the MLP.*soft-capped"),
        (transformers.Gemma3TextConfig(**_SMALL, head_dim=8), r"a norm follows the MLP.*1 \+ gain"),
        (transformers.Olmo2Config(**_SMALL), "a norm follows the MLP"),
        (transformers.GraniteConfig(**_SMALL, residual_multiplier=0.5), "multipliers"),
        (transformers.MixtralConfig(**_SMALL, num_local_experts=2), "mixture of experts"),
        (transformers.Qwen2MoeConfig(**_SMALL), "mixture of experts"),
        (transformers.CohereConfig(**_SMALL), "logit_scale"),
        (transformers.BertConfig(), "not a causal language model"),
        (transformers.T5Config(), "not a causal language model"),
        (transformers.FalconConfig(), "no declared family for model_type `falcon`; supported: gpt2, gpt_neox, llama"),
        (transformers.OPTConfig(do_layer_norm_before=False), "post-norm.*do_layer_norm_before = False"),
        (transformers.OPTConfig(hidden_size=32, word_embed_proj_dim=16), "projection from 32 to 16"),
        (transformers.GPT2Config(add_cross_attention=True), "attends to an encoder"),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_what_breaks_the_algebra_is_refused_with_its_reason(config, reason):
    with pytest.raises(ModelError, match=reason) as raised:
        family_of(config)
    assert config.model_type in raised.value.message
    if "no declared" not in raised.value.message:
        assert "supported: " in raised.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [("final_logit_softcapping", 30.0), ("logit_scale", 0.1), ("residual_multiplier", 0.2), ("num_experts", 8)],
)
def test_a_known_type_with_a_foreign_field_is_refused(field, value):
    config = CONFIGS["llama"]()
    setattr(config, field, value)
    with pytest.raises(ModelError, match=f"{field} = {value}"):
        family_of(config)


def test_a_whole_tiny_gemma2_is_refused():
    model = transformers.AutoModelForCausalLM.from_config(transformers.Gemma2Config(**_SMALL, head_dim=8))
    with pytest.raises(ModelError, match="gemma2"):
        describe(model)


def test_a_model_without_unembedding_is_refused():
    with pytest.raises(ModelError, match=r"causal language model|no `model") as raised:
        describe(transformers.AutoModel.from_config(CONFIGS["llama"]()))
    assert "causal language model" in raised.value.hint


def test_quantised_weights_are_refused():
    model = tiny_model("llama")
    down = down_projection(model, describe(model))
    down.weight = torch.nn.Parameter(down.weight.detach().to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match="no plain weight matrix"):
        describe(model)


def test_supported_names_every_type():
    assert supported() == ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "phi", "opt"]
