"""The model proves the hooks of the pass over its layers: by its hidden states, its projections, the run's neurons.

Each compares what a hook sees with what the model, or the spine of the run, computed another way.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extract.families import part_of
from extract.layer_hooks import Layers
from extract.layer_moments import Moments
from extract.selfcheck import ROUNDING
from warehouse.errors import ModelError

_HINT = "this model does something that its declared family does not: its numbers would be wrong"
_DIFFERS = "the model, its library or the device differ from those that the run was made with"


def check_layers(layers: Layers, chosen: Sequence[int], input_ids: Tensor) -> dict[str, float]:
    """Largest errors, relative to the largest value, of what the hooks see on `input_ids` (B, C), by name of the check.

    States are those that the model gives as its hidden states, the last one after the final norm; MLP inputs times W_in
    give what the projection gives. Raises `ModelError` where an error is not within rounding.
    """
    body = part_of(layers.model, layers.parts.body)
    with torch.no_grad():
        own = body(input_ids=input_ids, use_cache=False, output_hidden_states=True).hidden_states
    last = len(layers.modules) - 1
    errors = {"state against the model's hidden state": 0.0, "MLP input times W_in against the projection": 0.0}
    names = list(errors)

    def state(layer: int, value: Tensor) -> None:
        found = value if layer < last else layers.norm_after(layer)(value)
        errors[names[0]] = max(errors[names[0]], _relative(found, own[layer + 1]))

    def read(layer: int, value: Tensor) -> None:
        module = part_of(layers.modules[layer], layers.parts.up)
        bias = 0.0 if module.bias is None else module.bias.float()
        found = value.float() @ layers.w_in(layer).T + bias
        errors[names[1]] = max(errors[names[1]], _relative(found, _forward(module, value)))

    def activation(layer: int, value: Tensor) -> None:
        if value.shape[-1] != layers.d_mlp(layer):
            raise ModelError(f"the hook of layer {layer} sees {value.shape[-1]} neurons, not {layers.d_mlp(layer)}")

    layers.read(input_ids, chosen, {"state": state, "input": read, "activation": activation})
    _refuse(errors, ROUNDING[next(layers.model.parameters()).dtype], _HINT)
    return errors


def _forward(module: Any, value: Tensor) -> Tensor:
    """What a projection gives, without its hooks."""
    with torch.no_grad():
        found: Tensor = type(module).forward(module, value)
    return found


def check_activations(layers: Layers, input_ids: Tensor, skip: int, stored: np.ndarray) -> dict[str, float]:
    """The last layer's activations on `input_ids` (B, C) against those that the run has there, `stored` (n, N).

    Whatever layers are read: another model, or another device's rounding, would give numbers that belong to no run.
    """
    errors = {"last layer's activations against the run": 0.0}
    (name,) = errors

    def activation(_layer: int, value: Tensor) -> None:
        found = value[:, skip:-1].float().cpu().reshape(-1, value.shape[-1])
        errors[name] = _relative(found, torch.from_numpy(np.array(stored)))

    layers.read(input_ids, [layers.last.layer], {"activation": activation})
    _refuse(errors, ROUNDING[next(layers.model.parameters()).dtype], _DIFFERS)
    return errors


def check_moments(moments: Moments, mean: np.ndarray, deviation: np.ndarray, dtype: torch.dtype) -> dict[str, float]:
    """The last layer's moments against `mean` and standard `deviation` (N,) of the run, in units of the deviation.

    Raises `ModelError` where they are not the same within rounding.
    """
    n, found = moments.total()
    spread = np.sqrt(found["sum_2"] / max(n - 1, 1))
    scale = np.maximum(np.maximum(deviation, np.abs(mean)), np.finfo(np.float32).tiny)
    errors = {
        "last layer's mean against the run": float((np.abs(found["mean"] - mean) / scale).max()),
        "last layer's deviation against the run": float((np.abs(spread - deviation) / scale).max()),
    }
    _refuse(errors, ROUNDING[dtype], _DIFFERS)
    return errors


def _refuse(errors: dict[str, float], tolerance: float, hint: str) -> None:
    for name, error in errors.items():
        if not error <= tolerance:
            raise ModelError(f"self-check `{name}` failed: error {error:.3g}, tolerance {tolerance:.3g}", hint=hint)


def _relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest value; infinite where a value is not finite."""
    error = float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
    return error if np.isfinite(error) else float("inf")
