"""What the pass over layers is checked by: hooks of every family, the run's moments and activations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from extract.families import describe
from extract.layer_check import check_activations, check_layers, check_moments
from extract.layer_hooks import Layers
from extract.layer_moments import Moments
from extract.layer_pass import LayersPass
from extract.run import extract
from tests.extract.tiny_models import CONFIGS, tiny_model, tokens
from tests.extract.tiny_runs import quiet
from warehouse.errors import ModelError
from warehouse.lake import find_run


@pytest.mark.parametrize("name", CONFIGS)
def test_hooks_hold_for_every_family(name):
    model = tiny_model(name)
    layers = Layers(model, describe(model))
    errors = check_layers(layers, [0, 1], tokens((2, 12)))
    assert max(errors.values()) < 1e-5


def test_a_hook_at_the_wrong_place_is_found():
    model = tiny_model("llama")
    layers = Layers(model, describe(model))
    model.model.layers[0].register_forward_hook(lambda _module, _inputs, output: output * 1.01)
    layers.modules = [*layers.modules]
    assert max(check_layers(layers, [0, 1], tokens((1, 8))).values()) < 1e-5
    layers.modules = layers.modules[::-1]
    with pytest.raises(ModelError, match="self-check `state against the model's hidden state` failed"):
        check_layers(layers, [0], tokens((1, 8)))


def test_moments_that_are_not_the_runs_are_refused():
    moments = Moments(10, 3)
    values = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    moments.update(0, values)
    mean, deviation = values.mean(0), values.std(0, ddof=1)
    assert max(check_moments(moments, mean, deviation, torch.float32).values()) < 1e-6
    with pytest.raises(ModelError, match="last layer's mean against the run"):
        check_moments(moments, mean + 0.01, deviation, torch.float32)


def test_another_model_is_found_whatever_layers_are_read(settings, run, lake, monkeypatch):
    extract(replace(settings, lake=lake), quiet, [LayersPass(layers="0", state_tokens=0)])
    found = find_run(lake, next((lake / "runs").iterdir()).name[4:]).passes["layers"]["self_check"]
    assert found["last layer's activations against the run"] < 1e-5
    model = tiny_model("llama")
    layers = Layers(model, describe(model))
    ids = tokens((2, 12))
    seen = {}
    layers.read(ids, [1], {"activation": lambda _layer, value: seen.update({"value": value})})
    stored = seen["value"][:, 3:-1].reshape(-1, layers.d_mlp(1)).numpy()
    assert check_activations(layers, ids, 3, stored)["last layer's activations against the run"] == 0
    with pytest.raises(ModelError, match="last layer's activations against the run"):
        check_activations(layers, ids, 3, stored * 1.01)
