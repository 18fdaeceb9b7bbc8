"""Mean-ablation deltas by plain recomputation: what the closed form is checked against."""

from collections.abc import Sequence

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
) -> Tensor:
    """The same deltas (T, n) in float64 by plain recomputation: norm, unembed, and subtract the two losses.

    O(T n V d): for tests and samples. `neurons` selects columns; all by default. Shares no algebra with `Ablation`.
    """
    chosen = torch.arange(last.d_mlp) if neurons is None else torch.tensor(list(neurons))
    unembed = last.unembed.double()

    def losses(x: Tensor, token: Tensor) -> Tensor:
        if last.norm_kind == "layer":
            x = x - x.mean(1, keepdim=True)
        y = x / torch.sqrt(x.square().mean(1, keepdim=True) + last.eps) * last.gain.double()
        y = y if last.norm_bias is None else y + last.norm_bias.double()
        logits = y @ unembed.T
        logits = logits if last.unembed_bias is None else logits + last.unembed_bias.double()
        return torch.logsumexp(logits, 1) - logits[:, token]

    result = torch.empty(len(residual), len(chosen), dtype=torch.float64, device=residual.device)
    step = max(1, (1 << 25) // last.n_vocabulary)
    for t, (x, a, token) in enumerate(zip(residual.double(), activation.double(), target, strict=True)):
        clean = losses(x[None], token)
        for columns in torch.arange(len(chosen)).split(step):
            picked = chosen[columns]
            difference = a[picked] - mean.to(a)[picked]
            ablated = x - difference[:, None] * last.w_out[picked].double()
            result[t, columns] = losses(ablated, token) - clean
    return result
