"""Ablated heads, all at once beside a clean forward pass, against a hooked forward pass of the window for each."""

import pytest
import torch

from extract.families import attention_outs, describe, last_inputs
from extract.head_variants import ABLATIONS, ablate, has_path, n_heads, trace
from tests.extract.tiny_models import CONFIGS, HEADS, LAYERS, tiny_model, tokens

LENGTH, POSITIONS = 14, [3, 4, 9, 12]


def eager_model(name, dtype=torch.float64):
    """The tiny model with the plain formula of attention, as `load_model` gives it."""
    model = tiny_model(name, dtype=dtype)
    model.set_attn_implementation("eager")
    return model


def outputs_of_heads(model, last, ids, visible=None):
    """Input of every attention output projection, (L, C, H, h); with `visible`, every query attends to it alone."""
    seen = []
    hooks = [
        out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
        for out in attention_outs(model, last)
    ]
    mask = None
    if visible is not None:
        mask = torch.full((1, 1, len(ids), len(ids)), torch.finfo(torch.float64).min, dtype=torch.float64)
        mask[..., visible] = 0.0
    places = torch.arange(len(ids))[None]
    model(input_ids=ids[None], attention_mask=mask, position_ids=places, use_cache=False)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen).unflatten(2, (HEADS, -1))


def hooked(model, last, ids, layer, head, position, value):
    """(logits at the position, activations there), of a forward pass of the window with one slice replaced."""

    def edit(_module, inputs):
        changed = inputs[0].clone().unflatten(2, (HEADS, -1))
        changed[0, position, head] = value
        return (changed.flatten(2),)

    hook = attention_outs(model, last)[layer].register_forward_pre_hook(edit)
    with last_inputs(model, last) as seen:
        logits = model(input_ids=ids[None], use_cache=False).logits[0, position]
    hook.remove()
    return logits, seen["down projection"][0].reshape(len(ids), -1)[position]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_variant_is_a_hooked_forward_pass(name):
    model = eager_model(name)
    last = describe(model)
    ids = tokens((LENGTH,))
    with torch.no_grad():
        clean = trace(model, last, ids)
        heads = outputs_of_heads(model, last, ids)
        mean = heads[:, 3:].mean(1)
        positions = torch.tensor(POSITIONS)
        targets = ids[positions + 1]
        assert n_heads(model, last) == HEADS
        found = ablate(model, last, clean, positions, targets, mean, ABLATIONS, loss_rows=7)
        plain = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)
        assert found.change.shape == (len(POSITIONS), LAYERS, HEADS, len(ABLATIONS), last.d_mlp)
        for p, position in enumerate(POSITIONS):
            for layer in range(LAYERS):
                for head in range(HEADS):
                    value = clean.values[layer][0, head // (HEADS // clean.values[layer].shape[1]), 0]
                    for k, made in enumerate((mean[layer, head], value)):
                        logits, activation = hooked(model, last, ids, layer, head, position, made)
                        delta = plain[position, targets[p]] - logits.log_softmax(-1)[targets[p]]
                        assert found.delta_loss[p, layer, head, k] == pytest.approx(float(delta), abs=1e-5)
                        change = activation.float() - clean.activation[position]
                        if has_path(last, layer):
                            torch.testing.assert_close(found.change[p, layer, head, k], change, atol=1e-5, rtol=1e-5)
                        else:
                            assert found.change[p, layer, head, k].isnan().all()
                            assert change.abs().max() == 0
                            assert delta.abs() > 0


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox_parallel", "llama", "phi", "opt"])
def test_bos_is_what_a_head_gives_that_sees_position_0_alone(name):
    """Of the first layer: in the ones above, everything below would see position 0 alone too."""
    model = eager_model(name)
    last = describe(model)
    ids = tokens((LENGTH,))
    with torch.no_grad():
        clean = trace(model, last, ids)
        alone = outputs_of_heads(model, last, ids, visible=0)[0, -1]
        values = clean.values[0][0, :, 0]
        torch.testing.assert_close(alone, values.repeat_interleave(HEADS // len(values), 0))


def test_heads_of_the_last_layer_have_no_path_with_parallel_residuals():
    for name, reaches in (("gpt_neox_parallel", False), ("phi", False), ("gpt_neox_sequential", True), ("llama", True)):
        last = describe(tiny_model(name))
        assert has_path(last, LAYERS - 2)
        assert has_path(last, LAYERS - 1) is reaches


def test_more_variants_than_a_call_holds_are_cut_in_calls(monkeypatch):
    model = eager_model("llama", torch.float32)
    last = describe(model)
    ids = tokens((LENGTH,))
    clean = trace(model, last, ids)
    mean = torch.zeros(LAYERS, HEADS, 8)
    positions = torch.arange(2, 12)
    whole = ablate(model, last, clean, positions, ids[positions + 1], mean, ("mean", "bos"))
    monkeypatch.setattr("extract.head_variants.QUERIES", 7)
    monkeypatch.setattr("extract.head_variants.CALL", 3)
    cut = ablate(model, last, clean, positions, ids[positions + 1], mean, ("mean", "bos"))
    torch.testing.assert_close(cut.delta_loss, whole.delta_loss, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(cut.change, whole.change, atol=1e-5, rtol=1e-4)
