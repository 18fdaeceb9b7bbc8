"""Mean-ablation deltas by plain recomputation: what the closed form is checked against."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from extract.families import LastLayer


def reference_delta(
    last: LastLayer,
    residual: Tensor,
    activation: Tensor,
    mean: Tensor,
    target: Tensor,
    neurons: Sequence[int] | None = None,
    frozen: Literal["norm"] | Tensor | None = None,
) -> Tensor:
    """The same deltas (T, n) in float64 by plain recomputation: norm, unembed, and subtract the two losses.

    O(T n V d): for tests and samples. `neurons` selects columns; all by default. `frozen`: "norm" divides the ablated
    residual by the clean scale; a vector (V,) keeps the logits' projection on it, once centred and made a unit vector,
    as it was. Shares no algebra with `Ablation`.
    """
    chosen = torch.arange(last.d_mlp) if neurons is None else torch.tensor(list(neurons))
    unembed = last.unembed.double()

    def logits_of(x: Tensor, scale: Tensor | None = None) -> Tensor:
        if last.norm_kind == "layer":
            x = x - x.mean(1, keepdim=True)
        scale = torch.sqrt(x.square().mean(1, keepdim=True) + last.eps) if scale is None else scale
        y = x / scale * last.gain.double()
        y = y if last.norm_bias is None else y + last.norm_bias.double()
        logits = y @ unembed.T
        return logits if last.unembed_bias is None else logits + last.unembed_bias.double()

    def losses(logits: Tensor, token: Tensor) -> Tensor:
        return torch.logsumexp(logits, 1) - logits[:, token]

    result = torch.empty(len(residual), len(chosen), dtype=torch.float64, device=residual.device)
    step = max(1, (1 << 25) // last.n_vocabulary)
    for t, (x, a, token) in enumerate(zip(residual.double(), activation.double(), target, strict=True)):
        clean = logits_of(x[None])
        scale = None
        if isinstance(frozen, str):
            deviations = x - x.mean() if last.norm_kind == "layer" else x
            scale = torch.sqrt(deviations.square().mean() + last.eps)
        for columns in torch.arange(len(chosen)).split(step):
            picked = chosen[columns]
            difference = a[picked] - mean.to(a)[picked]
            ablated = logits_of(x - difference[:, None] * last.w_out[picked].double(), scale)
            if isinstance(frozen, Tensor):
                unit = frozen.double() - frozen.double().mean()
                unit = unit / unit.square().sum().sqrt()
                ablated = ablated + ((clean - ablated) @ unit)[:, None] * unit
            result[t, columns] = losses(ablated, token) - losses(clean, token)
    return result
