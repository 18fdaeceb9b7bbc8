"""Which models the closed form of mean ablation holds for, and where their parts are.

The closed form needs an MLP whose output is added as it is to the residual stream of the last layer, then only a final
norm and a linear unembedding. A family declares where these parts are; everything else is refused with its reason,
because a model that merely looks similar would give plausible, wrong numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from extract.refusals import refusal
from warehouse.errors import ModelError


@dataclass(frozen=True)
class Family:
    """Where the parts of a model are: dotted paths, those of one layer relative to it.

    The input of `down` is the value a_i that multiplies a neuron's row of W_out (`act(gate) * up` where gated).
    `attention_out` is the projection after the attention: its input is the outputs of the heads, one after the other.
    `input_norm` is the first norm of a layer: it reads the residual stream after the layer before. `mlp_norm` is the
    norm whose output the MLP reads; with a `parallel` residual it reads the layer's input, else the layer's input plus
    the attention. `parallel` may name the config field that says which. `is_transposed`: weights are stored (in, out),
    as in GPT-2's Conv1D, so that the rows of `down` are neurons.
    """

    name: str
    model_types: tuple[str, ...]
    body: str
    layers: str
    norm: str
    norm_kind: Literal["rms", "layer"]
    attention: str
    attention_out: str
    input_norm: str
    mlp_norm: str
    up: str
    down: str
    gate: str | None = None
    parallel: bool | str = False
    is_transposed: bool = False


FAMILIES: tuple[Family, ...] = (
    Family(
        name="gpt2",
        model_types=("gpt2",),
        body="transformer",
        layers="transformer.h",
        norm="transformer.ln_f",
        norm_kind="layer",
        attention="attn",
        attention_out="attn.c_proj",
        input_norm="ln_1",
        mlp_norm="ln_2",
        up="mlp.c_fc",
        down="mlp.c_proj",
        is_transposed=True,
    ),
    Family(
        name="gpt_neox",
        model_types=("gpt_neox",),
        body="gpt_neox",
        layers="gpt_neox.layers",
        norm="gpt_neox.final_layer_norm",
        norm_kind="layer",
        attention="attention",
        attention_out="attention.dense",
        input_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        up="mlp.dense_h_to_4h",
        down="mlp.dense_4h_to_h",
        parallel="use_parallel_residual",
    ),
    Family(
        name="llama",
        model_types=("llama", "mistral", "qwen2", "qwen3"),
        body="model",
        layers="model.layers",
        norm="model.norm",
        norm_kind="rms",
        attention="self_attn",
        attention_out="self_attn.o_proj",
        input_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        up="mlp.up_proj",
        down="mlp.down_proj",
        gate="mlp.gate_proj",
    ),
    Family(
        name="phi",
        model_types=("phi",),
        body="model",
        layers="model.layers",
        norm="model.final_layernorm",
        norm_kind="layer",
        attention="self_attn",
        attention_out="self_attn.dense",
        input_norm="input_layernorm",
        mlp_norm="input_layernorm",
        up="mlp.fc1",
        down="mlp.fc2",
        parallel=True,
    ),
    Family(
        name="opt",
        model_types=("opt",),
        body="model.decoder",
        layers="model.decoder.layers",
        norm="model.decoder.final_layer_norm",
        norm_kind="layer",
        attention="self_attn",
        attention_out="self_attn.out_proj",
        input_norm="self_attn_layer_norm",
        mlp_norm="final_layer_norm",
        up="fc1",
        down="fc2",
    ),
)


@dataclass(frozen=True)
class LastLayer:
    """All that follows the activations of the last layer: weights in float32, detached, on the model's device.

    `family` is the name of the entry `parts`. `w_in`, `gate`, `w_out` (N, d): one row per neuron; `gain` and
    `norm_bias` (d,) and `eps` of the final norm; `unembed` (V, d), `unembed_bias` (V,). Views of the model's parameters
    where those are float32.
    """

    family: str
    parts: Family
    layer: int
    n_layers: int
    d_model: int
    d_mlp: int
    n_vocabulary: int
    is_parallel: bool
    norm_kind: Literal["rms", "layer"]
    eps: float
    w_in: Tensor
    gate: Tensor | None
    w_out: Tensor
    gain: Tensor
    norm_bias: Tensor | None
    unembed: Tensor
    unembed_bias: Tensor | None


def supported() -> list[str]:
    """The `model_type`s that have a declared family."""
    return [model_type for family in FAMILIES for model_type in family.model_types]


def family_of(config: Any) -> Family:
    """The family of a transformers config; ModelError names the reason where there is none. Reads no weights."""
    model_type, declared = getattr(config, "model_type", None), f"supported: {', '.join(supported())}"
    reason = refusal(config)
    if reason is not None:
        raise ModelError(f"model_type `{model_type}` is not supported: {reason}", hint=declared)
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    raise ModelError(f"no declared family for model_type `{model_type}`; {declared}", hint="take one of those")


def describe(model: Any) -> LastLayer:
    """The last layer, final norm and unembedding of a transformers causal language model.

    Raises ModelError where no family is declared, or where a part is missing, quantised or wrapped.
    """
    family = family_of(model.config)
    layers, norm = part_of(model, family.layers), part_of(model, family.norm)
    last = layers[-1]
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        raise ModelError(
            f"the model has no linear unembedding, but `{type(head).__name__}`",
            hint="load it as a causal language model",
        )
    transposed = family.is_transposed
    w_out = weight_of(part_of(last, family.down), neurons_first=transposed)
    w_in = weight_of(part_of(last, family.up), neurons_first=not transposed)
    gate = None if family.gate is None else weight_of(part_of(last, family.gate), neurons_first=True)
    unembed = weight_of(head, neurons_first=True)
    d_mlp, d_model = w_out.shape
    parallel = family.parallel if isinstance(family.parallel, bool) else bool(getattr(model.config, family.parallel))
    gain = getattr(norm, "weight", None)  # None: a LayerNorm without elementwise affine
    return LastLayer(
        family=family.name,
        parts=family,
        layer=len(layers) - 1,
        n_layers=len(layers),
        d_model=d_model,
        d_mlp=d_mlp,
        n_vocabulary=len(unembed),
        is_parallel=parallel,
        norm_kind=family.norm_kind,
        eps=float(norm.eps if family.norm_kind == "layer" else norm.variance_epsilon),
        w_in=w_in,
        gate=gate,
        w_out=w_out,
        gain=torch.ones(d_model, device=w_out.device) if gain is None else gain.detach().float(),
        norm_bias=_bias(norm),
        unembed=unembed,
        unembed_bias=_bias(head),
    )


def capture(model: Any, last: LastLayer, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """One forward pass of the model's body (no unembedding) over `input_ids` (B, C): no padding, no mask.

    Returns the residual before the final norm (B, C, d) and the last layer's activations (B, C, N), both float32.
    Raises ModelError if a hook did not fire exactly once.
    """
    with last_inputs(model, last) as seen, torch.no_grad():
        model.get_submodule(last.parts.body)(input_ids=input_ids, use_cache=False)
    for part, values in seen.items():
        if len(values) != 1:
            raise ModelError(f"the hook on the {part} fired {len(values)} times in one forward pass instead of once")
    shape = tuple(input_ids.shape)
    residual, activation = seen["final norm"][0], seen["down projection"][0]
    return residual.reshape(*shape, -1).float(), activation.reshape(*shape, -1).float()


@contextmanager
def last_inputs(model: Any, last: LastLayer) -> Iterator[dict[str, list[Tensor]]]:
    """Within the block, every input of the final norm and of the last down projection, by the name of the part."""
    parts = {"final norm": part_of(model, last.parts.norm), "down projection": down_projection(model, last)}
    seen: dict[str, list[Tensor]] = {name: [] for name in parts}

    def keep(name: str) -> Any:
        return lambda _module, inputs: seen[name].append(inputs[0].detach())

    handles = [part.register_forward_pre_hook(keep(name)) for name, part in parts.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def layers_of(model: Any, last: LastLayer) -> list[Any]:
    """The modules of all decoder layers."""
    return list(part_of(model, last.parts.layers))


def attention_outs(model: Any, last: LastLayer) -> list[Any]:
    """Of every layer, the projection whose input is the outputs of the attention heads."""
    return [part_of(layer, last.parts.attention_out) for layer in layers_of(model, last)]


def last_layer(model: Any, last: LastLayer) -> Any:
    """The module of the last decoder layer."""
    return layers_of(model, last)[-1]


def down_projection(model: Any, last: LastLayer) -> Any:
    """The module whose input is the last layer's activations."""
    return part_of(last_layer(model, last), last.parts.down)


def part_of(module: Any, path: str) -> Any:
    """The submodule at a dotted path. Raises ModelError where there is none."""
    try:
        part = module.get_submodule(path)
    except AttributeError as missing:
        raise ModelError(
            f"the model has no `{path}`: {missing}", hint="load it as a causal language model"
        ) from missing
    return part


def weight_of(module: Any, neurons_first: bool) -> Tensor:
    """The weight of a linear map as float32, transposed (a view) unless its rows are already the ones wanted."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        raise ModelError(
            f"`{type(module).__name__}` has no plain weight matrix",
            hint="load the model without quantisation or adapters",
        )
    matrix = weight.detach().float()
    return matrix if neurons_first else matrix.T


def _bias(module: Any) -> Tensor | None:
    bias = getattr(module, "bias", None)
    return None if bias is None else bias.detach().float()
