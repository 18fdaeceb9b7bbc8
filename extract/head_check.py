"""The ablation of heads proves itself on the model at hand: some variants against forward passes of the window."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from extract.families import LastLayer, attention_outs, capture
from extract.head_variants import ablate, has_path, replacement, trace
from extract.selfcheck import ROUNDING, passed, relative

CHECKS = 6  # variants that are held against a forward pass of the whole window


@contextmanager
def ablated_head(out: torch.nn.Module, position: int, head: int, value: Tensor) -> Iterator[None]:
    """Within the block, one head (its part of the input of the projection `out`) puts out `value` (h,) there."""

    def edit(_module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        changed = inputs[0].clone()  # (1, C, H h)
        changed[0, position, head * len(value) : (head + 1) * len(value)] = value.to(changed)
        return (changed, *inputs[1:])

    handle = out.register_forward_pre_hook(edit)
    try:
        yield
    finally:
        handle.remove()


def check_heads(
    model: torch.nn.Module,
    last: LastLayer,
    ids: Tensor,
    position: int,
    mean: Tensor,
    ablations: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Compare variants at `position` of the window `ids` (C,) with hooked forward passes; the errors by name.

    One head of the last layer, others drawn. Raises ModelError if losses or activations differ by more than rounding.
    """
    clean, where = trace(model, last, ids), torch.tensor([position], device=ids.device)
    target = ids[where + 1]
    found = ablate(model, last, clean, where, target, mean, ablations)
    n_layers, n_heads, _ = mean.shape
    base = _loss(model, ids, position)
    worst = {"loss with a head ablated": 0.0, "activations with a head ablated": 0.0}
    rounding = ROUNDING[next(model.parameters()).dtype]
    for layer in (n_layers - 1, *rng.integers(n_layers, size=CHECKS - 1)):
        head, kind = int(rng.integers(n_heads)), int(rng.integers(len(ablations)))
        value = replacement(clean, int(layer), mean, ablations)[head, kind]
        with ablated_head(attention_outs(model, last)[layer], position, head, value):
            loss, activation = _loss(model, ids, position), capture(model, last, ids[None])[1][0, position]
        change = found.change[0, layer, head, kind]
        if not has_path(last, int(layer)):
            change = torch.zeros_like(change)  # that it changes nothing is what is checked
        pairs = (
            (base + found.delta_loss[0, layer, head, kind], loss),
            (clean.activation[position] + change, activation),
        )
        for name, (ours, theirs) in zip(worst, pairs, strict=True):
            worst[name] = max(worst[name], passed(name, relative(ours, theirs), rounding)[name])
    return worst


def _loss(model: torch.nn.Module, ids: Tensor, position: int) -> Tensor:
    """Loss () of the token after `position` by a plain forward pass of the window."""
    with torch.no_grad():
        logits = model(input_ids=ids[None], use_cache=False).logits[0, position].float()
    loss: Tensor = torch.logsumexp(logits, 0) - logits[ids[position + 1]]
    return loss
