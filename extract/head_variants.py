"""What a model does when one attention head is ablated at one position: the layers above it, for that position alone.

Only the position's own column of the computation changes, as later positions are not asked for. So all variants of a
window (heads x ablations x positions) are extra queries beside its clean forward pass: each reads the clean keys and
values of the positions before its own, and itself. Layer by layer, the variants of the layers below go on, and those of
this layer's heads begin as copies of the clean state. The layers are the model's own modules; what is made here are
their arguments: a mask, the positions, and a cache. Shapes: C context, P positions, L layers, H heads of a layer, K
ablations, R rows (variants), d = d_model, h width of a head, N = d_mlp.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extract.families import LastLayer, attention_outs, last_inputs, layers_of
from warehouse.errors import ModelError

ABLATIONS = ("mean", "bos")
QUERIES = 64  # variants of a sequence: each masks the others out, so many of them are wasted work
CALL = 8  # sequences of a call: what fits the caches


@dataclass(frozen=True)
class Trace:
    """The clean forward pass of one window.

    `hidden` (L, C, d): the input of every layer; `keys` and `values`, per layer (1, heads of keys, C, h); `calls`: the
    arguments of every layer; `residual` (C, d) before the final norm; `activation` (C, N) of the last MLP.
    """

    hidden: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    calls: list[dict[str, Any]]
    cache: Any
    residual: Tensor
    activation: Tensor


@dataclass(frozen=True)
class Variants:
    """What the ablations did, in the order position, layer, head, ablation: (P, L, H, K) and, of N, (P, L, H, K, N)."""

    delta_loss: Tensor  # nats, float32
    change: Tensor  # of the last MLP's activations, float32; NaN without a path


def n_heads(model: Any, last: LastLayer) -> int:
    """Query heads of a layer. Raises `ModelError` if the projection's input is not that many parts of equal width."""
    found = int(model.config.num_attention_heads)
    for out in attention_outs(model, last):
        width = out.weight.shape[0 if last.parts.is_transposed else 1]
        if width % found:
            raise ModelError(f"{width} columns of the attention's output are not those of {found} heads")
    return found


def has_path(last: LastLayer, layer: int) -> bool:
    """Whether a head of `layer` can change what the last MLP reads: with parallel residuals, not in the last layer."""
    return layer < last.layer or not last.is_parallel


def trace(model: Any, last: LastLayer, input_ids: Tensor) -> Trace:
    """Run the model's body over `input_ids` (C,) and keep what the variants start from."""
    from transformers import DynamicCache

    calls: list[dict[str, Any]] = []

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        calls.append({**bound.arguments, **bound.arguments.get("kwargs", {})})
        calls[-1].pop("kwargs", None)

    cache: Any = DynamicCache()
    layers = layers_of(model, last)
    with last_inputs(model, last) as seen, ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(keep, with_kwargs=True).remove)
        body = model.get_submodule(last.parts.body)
        body(input_ids=input_ids[None], past_key_values=cache, use_cache=True)
    if len(calls) != len(layers) or len(cache.layers) != len(layers):
        raise ModelError(f"{len(layers)} layers were called {len(calls)} times and cached {len(cache.layers)} times")
    return Trace(
        hidden=torch.stack([call.pop("hidden_states")[0] for call in calls]),
        keys=[layer.keys for layer in cache.layers],
        values=[layer.values for layer in cache.layers],
        calls=calls,
        cache=cache,
        residual=seen["final norm"][0].reshape(len(input_ids), -1),
        activation=seen["down projection"][0].reshape(len(input_ids), -1).float(),
    )


class _Prefix:
    """In place of the cache of a layer: the clean keys and values before those of the variants; keeps nothing."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values  # (1, heads of keys, C, h)

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """(B, heads of keys, C + Q, h) of each."""
        n = len(keys)
        return (
            torch.cat([self.keys.expand(n, -1, -1, -1), keys], dim=2),
            torch.cat([self.values.expand(n, -1, -1, -1), values], dim=2),
        )


def ablate(
    model: Any,
    last: LastLayer,
    clean: Trace,
    positions: Tensor,
    targets: Tensor,
    mean: Tensor,
    ablations: Sequence[str],
    loss_rows: int = 1024,
) -> Variants:
    """Ablate every head at each of `positions` (P,), whose next tokens are `targets` (P,), in each way of `ablations`.

    `mean` (L, H, h): the mean output of every head. `loss_rows` variants are unembedded at a time.
    """
    layers, outs = layers_of(model, last), attention_outs(model, last)
    n_layers, heads, _ = mean.shape
    per_layer = heads * len(ablations)
    place = positions.repeat_interleave(per_layer)  # (P H K,): of the variants that begin in a layer
    head = torch.arange(heads, device=place.device).repeat_interleave(len(ablations)).repeat(len(positions))
    state = clean.hidden.new_empty(0, last.d_model)
    with last_inputs(model, last) as seen, torch.no_grad():
        for index, (layer, out) in enumerate(zip(layers, outs, strict=True)):
            value = replacement(clean, index, mean, ablations).flatten(0, 1).repeat(len(positions), 1)  # (P H K, h)
            state = torch.cat([state, clean.hidden[index, place]])
            where = place.repeat(index + 1)
            state = _through(layer, out, clean, index, state, where, _Edit(len(state) - len(place), head, value))
        # only the last sequence was filled up
        activation = torch.cat([rows.reshape(-1, last.d_mlp) for rows in seen["down projection"]])[: len(state)]
    shape = (n_layers, len(positions), heads, len(ablations))
    change = (activation.float() - clean.activation[place.repeat(n_layers)]).reshape(*shape, -1)
    for index in range(n_layers):
        if not has_path(last, index):
            change[index] = torch.nan
    row = torch.arange(len(positions), device=place.device).repeat_interleave(per_layer).repeat(n_layers)
    delta = _losses(model, last, state, targets[row], loss_rows)
    delta -= _losses(model, last, clean.residual[positions], targets, loss_rows)[row]
    return Variants(delta.reshape(shape).transpose(0, 1), change.transpose(0, 1))


@dataclass(frozen=True)
class _Edit:
    """From row `first` on, a variant begins here: its `head` (n,) puts out `value` (n, h)."""

    first: int
    head: Tensor
    value: Tensor

    def hook(self, start: int, stop: int) -> Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]] | None:
        """A pre-hook of the output projection for a call with the rows `start` to `stop`; None if none begins there."""
        begin = max(start, self.first)
        if begin >= stop:
            return None
        chosen = slice(begin - self.first, stop - self.first)

        def overwrite(_module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            changed = inputs[0].clone()
            row = torch.arange(begin - start, stop - start, device=changed.device)
            parts = changed.view(-1, changed.shape[-1] // self.value.shape[1], self.value.shape[1])
            parts[row, self.head[chosen]] = self.value[chosen].to(changed)
            return (changed, *inputs[1:])

        return overwrite


def replacement(clean: Trace, index: int, mean: Tensor, ablations: Sequence[str]) -> Tensor:
    """What each head of a layer puts out when it is ablated in each way, (H, K, h).

    A head that attends to position 0 alone puts out the value there, of the key-value head that its group shares.
    """
    heads = mean.shape[1]
    first = clean.values[index][0, :, 0]  # (heads of keys, h)
    made = {"mean": mean[index].to(first), "bos": first.repeat_interleave(heads // len(first), dim=0)}
    return torch.stack([made[name] for name in ablations], dim=1)


def _through(layer: Any, out: Any, clean: Trace, index: int, state: Tensor, where: Tensor, edit: _Edit) -> Tensor:
    """The rows (R, d) at the positions `where` (R,) after a layer."""
    found = []
    for start in range(0, len(state), QUERIES * CALL):
        stop = min(start + QUERIES * CALL, len(state))
        hook = edit.hook(start, stop)
        handle = out.register_forward_pre_hook(hook) if hook else None
        try:
            found.append(_call(layer, clean, index, state[start:stop], where[start:stop]))
        finally:
            if handle:
                handle.remove()
    return torch.cat(found)


def _call(layer: Any, clean: Trace, index: int, rows: Tensor, where: Tensor) -> Tensor:
    """One call of a layer's own module with rows (R, d) as queries, `QUERIES` a sequence; the last one is filled up."""
    n = len(rows)
    filled = torch.arange(-(-n // QUERIES) * QUERIES, device=rows.device).clamp_max(n - 1)
    place = where[filled].reshape(-1, QUERIES)  # (B, Q)
    arguments = {name: _gathered(name, value, clean, index, place) for name, value in clean.calls[index].items()}
    output = layer(rows[filled].reshape(*place.shape, -1), **arguments)
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden.reshape(len(filled), -1)[:n]


def _gathered(name: str, value: Any, clean: Trace, index: int, place: Tensor) -> Any:
    """An argument of a layer in the clean pass, for queries at the positions `place` (B, Q)."""
    if value is clean.cache:
        return _Prefix(clean.keys[index], clean.values[index])
    if name == "attention_mask":
        return _mask(value, place)
    if name == "position_ids" and value is not None:
        return value[0][place]
    if name == "position_embeddings" and value is not None:
        return tuple(each[0][place] for each in value)
    return value


def _mask(clean: Tensor | None, place: Tensor) -> Tensor:
    """(B, 1, Q, C + Q), added to the scores: a query sees what its position sees, but of itself the variant."""
    if not isinstance(clean, Tensor) or not clean.is_floating_point() or clean.ndim != 4:
        raise ModelError("the layers get no mask that is added to the scores", hint="use eager attention")
    size, queries = clean.shape[-1], place.shape[1]
    least = torch.finfo(clean.dtype).min
    rows = clean[0, 0].masked_fill(torch.eye(size, dtype=torch.bool, device=clean.device), least)  # (C, C)
    own = torch.full((queries, queries), least, dtype=clean.dtype, device=clean.device).fill_diagonal_(0.0)
    return torch.cat([rows[place], own.expand(len(place), -1, -1)], dim=-1)[:, None]


def _losses(model: Any, last: LastLayer, residual: Tensor, target: Tensor, step: int) -> Tensor:
    """Cross entropy (R,) of `target` (R,) after the final norm and the unembedding; `step` rows at a time."""
    norm, head = model.get_submodule(last.parts.norm), model.get_output_embeddings()
    found = []
    with torch.no_grad():
        for rows, wanted in zip(residual.split(step), target.split(step), strict=True):
            logits = head(norm(rows)).float()
            found.append(torch.logsumexp(logits, 1) - logits.gather(1, wanted[:, None])[:, 0])
    return torch.cat(found)
