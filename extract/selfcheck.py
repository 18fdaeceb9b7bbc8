"""The model proves itself before a number of it is written: its own forward pass against every step of the algebra.

A float32 forward pass cannot show that a delta of 1e-6 nats is right, as two losses differ by 2.5e-5 from rounding
alone. So the checks run the whole model with its own code, but from the last decoder layer on (that layer, the final
norm and the unembedding) in float64 (`extract.double_tail`). That this forward is the model's own is one of the checks:
its logits agree with those of a plain forward pass within what the model's number format allows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extract.ablation import MEMORY, Ablation
from extract.double_tail import DoubleTail
from extract.families import LastLayer, capture, down_projection, last_inputs, last_layer
from extract.pairs import ABSOLUTE, RELATIVE
from extract.vocabulary import linear
from warehouse.errors import ModelError

# Largest difference that counts as rounding between a plain forward and the float64 one, relative to the largest value.
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 8e-2}
# The same between two float64 computations: weights are exact, but the order of sums differs.
EXACT = 1e-8
# Prefix of the windows that is read: the algebra knows no position, and logits are kept for all of it.
_PREFIX = 48


@contextmanager
def _ablated(model: Any, last: LastLayer, where: tuple[Tensor, Tensor, Tensor], value: Tensor) -> Iterator[None]:
    """Within the block the down projection reads `value` (n,) at `where`: rows, positions and neurons, (n,) each."""
    row, position, neuron = where

    def edit(_module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shape = (int(row.max()) + 1, -1, last.d_mlp)  # OPT's MLP reads (B C, N)
        changed = inputs[0].clone()
        changed.view(shape)[row, position, neuron] = value.to(changed)
        return (changed, *inputs[1:])

    handle = down_projection(model, last).register_forward_pre_hook(edit)
    try:
        yield
    finally:
        handle.remove()


def hooked_delta(
    model: Any,
    last: LastLayer,
    input_ids: Tensor,
    position: int,
    neurons: Sequence[int],
    mean: Tensor,
    target: int,
    batch: int = 8,
) -> Tensor:
    """Deltas (n,) float64 in nats by true forward passes: each of `neurons` in turn set to its mean at `position`.

    `input_ids` (C,), `mean` (N,), `target` the token id whose loss is asked. The text after `position` is not read.
    `batch` forward passes are made at a time, from the last layer on in float64 (see the module).
    """
    device = last.unembed.device
    tail = DoubleTail(model, last)
    ids = input_ids[: position + 1].to(device)

    def losses(rows: Tensor) -> Tensor:
        return -tail(rows, logits_to_keep=1)[:, -1].log_softmax(1)[:, target]

    clean = losses(ids[None])
    result = []
    for chosen in torch.as_tensor(list(neurons), device=device).split(batch):
        row = torch.arange(len(chosen), device=device)
        where = (row, torch.full_like(row, position), chosen)
        with _ablated(model, last, where, mean.to(device)[chosen]):
            result.append(losses(ids.expand(len(chosen), -1)) - clean)
    return torch.cat(result)


def hooked_deltas(
    model: Any, last: LastLayer, input_ids: Tensor, positions: Tensor, neurons: Tensor, mean: Tensor, targets: Tensor
) -> Tensor:
    """Deltas (n,) float64 in nats by one true forward pass of the window `input_ids` (C,), one neuron per position.

    `neurons` (n,) are set to their mean at `positions` (n,), all different: the last MLP acts on its own position only,
    so they do not meet. `targets` (n,) token ids whose loss is asked.
    """
    if len(positions.unique()) != len(positions):
        raise ValueError("more than one neuron at a position: their ablations would add up")
    device = last.unembed.device
    tail = DoubleTail(model, last)
    ids = input_ids[None].to(device)
    place, chosen, target = (each.to(device) for each in (positions, neurons, targets))
    clean = _losses(tail(ids)[0, place], target)
    with _ablated(model, last, (torch.zeros_like(place), place, chosen), mean.to(device)[chosen]):
        return _losses(tail(ids)[0, place], target) - clean


def self_check(
    model: Any,
    last: LastLayer,
    input_ids: Tensor,
    mean: Tensor,
    rng: np.random.Generator,
    n_pairs: int = 128,
    memory: int = MEMORY,
) -> dict[str, float]:
    """Prove on `input_ids` (B, C) that `last` describes `model`; the measured errors by the name of the check.

    `mean` (N,) is what ablation sets, `memory` that of `Ablation`. `n_pairs` (token, neuron) pairs, half of them drawn
    and half those with the largest |a - mean| of their position, go through a hooked forward pass: one neuron per
    position in one pass, as the last MLP acts on its own position only. Raises ModelError naming the check that failed,
    the error and the tolerance.
    """
    device = last.unembed.device
    n_rows = max(1, n_pairs // _PREFIX)
    ids = input_ids[:n_rows, : min(_PREFIX + 1, n_pairs // n_rows + 1)].to(device)
    ids, target = ids[:, :-1], ids[:, 1:].flatten()
    tail = DoubleTail(model, last)
    errors = _check_hooks(model, last, ids)
    with last_inputs(model, last) as seen, _branches(model, last) as branch:
        logits = tail(ids).flatten(0, 1)
    residual, activation = (_rows(seen[name][0]) for name in ("final norm", "down projection"))
    errors |= _check_tail(model, last, ids, residual, logits)
    errors |= _check_algebra(model, last, residual, activation, branch, logits)
    neuron = _choose(activation - mean.to(activation), rng)
    n_windows, length = ids.shape
    place = torch.arange(len(neuron), device=device)
    with _ablated(model, last, (place // length, place % length, neuron), mean.to(device)[neuron]):
        hooked = tail(ids).flatten(0, 1)
    truth = _losses(hooked, target) - _losses(logits, target)
    some, column = neuron.unique(return_inverse=True)
    chosen = replace(last, w_out=last.w_out[some], d_mlp=len(some))
    engine = Ablation(chosen, mean.to(device)[some], memory, neurons=some)
    closed = engine.delta(residual.float(), activation[:, some].float(), target)
    error = (closed[place, column].double() - truth).abs()
    errors |= passed("closed form, as a share of its tolerance", error / (ABSOLUTE + RELATIVE * truth.abs()), 1.0)
    return errors | {"closed form, nats": float(error.max()), "pairs": float(n_windows * length)}


def _check_hooks(model: Any, last: LastLayer, ids: Tensor) -> dict[str, float]:
    """Each hook fires once, on tensors as wide as declared; raised by `capture` or here."""
    residual, activation = capture(model, last, ids)
    for name, found, declared in (
        ("d_model", residual.shape[2], last.d_model),
        ("d_mlp", activation.shape[2], last.d_mlp),
    ):
        if found != declared:
            raise ModelError(f"self-check `{name}` failed: the hook sees {found} columns, the weights have {declared}")
    return {"hook calls per forward, beyond one": 0.0, "hook width, beyond d_mlp": 0.0}


def _check_tail(model: Any, last: LastLayer, ids: Tensor, residual: Tensor, logits: Tensor) -> dict[str, float]:
    """What the float64 forward gives is what a plain forward of the model gives, and what `capture` keeps."""
    with torch.no_grad():
        own = model(input_ids=ids, use_cache=False).logits.flatten(0, 1).double()
    captured = _rows(capture(model, last, ids)[0]).double()
    rounding = ROUNDING[next(model.parameters()).dtype]
    return passed("float64 logits against the model's own", relative(logits, own), rounding) | passed(
        "float64 residual against the captured one", relative(residual, captured), rounding
    )


def _check_algebra(
    model: Any, last: LastLayer, residual: Tensor, activation: Tensor, branch: dict[str, Tensor], logits: Tensor
) -> dict[str, float]:
    """The residual is a sum, W_out makes the MLP's part of it, the norm and the unembedding make the logits of it."""
    start, attention, mlp = branch["layer"], branch["attention"], branch["mlp"]
    read = start if last.is_parallel else start + attention
    bias = down_projection(model, last).bias
    output = activation @ last.w_out.double() + (0.0 if bias is None else bias.detach().double())
    centred = residual - residual.mean(1, keepdim=True) if last.norm_kind == "layer" else residual
    y = centred * (centred.square().mean(1, keepdim=True) + last.eps).rsqrt() * last.gain.double()
    y = y if last.norm_bias is None else y + last.norm_bias.double()
    recomputed = linear(y, last.unembed)
    recomputed = recomputed if last.unembed_bias is None else recomputed + last.unembed_bias.double()
    return (
        passed("residual is input + attention + MLP", relative(start + attention + mlp, residual), EXACT)
        | passed("what the MLP's norm reads", relative(read, branch["mlp norm"]), EXACT)
        | passed("MLP output from the activations", relative(output, mlp), EXACT)
        | passed("logits from the residual", relative(recomputed, logits), EXACT)
    )


@contextmanager
def _branches(model: Any, last: LastLayer) -> Iterator[dict[str, Tensor]]:
    """Within the block: what the last layer and the MLP's norm read, and what attention and MLP add, (B C, d) each."""
    layer, seen = last_layer(model, last), {}
    norm, attention = (layer.get_submodule(path) for path in (last.parts.mlp_norm, last.parts.attention))

    def output(name: str) -> Any:
        def keep(_module: Any, _inputs: Any, found: Any) -> None:
            seen[name] = _rows(found[0] if isinstance(found, tuple) else found)

        return keep

    def keep_input(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen["layer"] = _rows(args[0] if args else kwargs["hidden_states"])

    handles = [
        layer.register_forward_pre_hook(keep_input, with_kwargs=True),
        norm.register_forward_pre_hook(lambda _module, args: seen.update({"mlp norm": _rows(args[0])})),
        attention.register_forward_hook(output("attention")),
        down_projection(model, last).register_forward_hook(output("mlp")),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _rows(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1, tensor.shape[-1])


def _choose(difference: Tensor, rng: np.random.Generator) -> Tensor:
    """One neuron per row of `difference` (T, N): the largest in even rows, drawn from `rng` in odd ones."""
    n_rows, n_neurons = difference.shape
    drawn = torch.from_numpy(rng.integers(n_neurons, size=n_rows)).to(difference.device)
    even = torch.arange(n_rows, device=difference.device) % 2 == 0
    return torch.where(even, difference.abs().argmax(1), drawn)


def _losses(logits: Tensor, target: Tensor) -> Tensor:
    return torch.logsumexp(logits, 1) - logits.gather(1, target[:, None])[:, 0]


def relative(found: Tensor, expected: Tensor) -> Tensor:
    """Largest difference over the largest value; infinite where a value is not finite."""
    error = (found.double() - expected.double()).abs().max() / expected.double().abs().max()
    return torch.where(torch.isfinite(error), error, torch.inf)


def passed(name: str, error: Tensor, tolerance: float) -> dict[str, float]:
    """The largest error under its name; ModelError if it, or any of them, is not within the tolerance."""
    largest = float(torch.where(torch.isnan(error), torch.inf, error).max())
    if not largest <= tolerance:
        raise ModelError(
            f"self-check `{name}` failed: error {largest:.3g}, tolerance {tolerance:.3g}",
            hint="this model does something that its declared family does not: its deltas would be wrong",
        )
    return {name: largest}
