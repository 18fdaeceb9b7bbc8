"""The model with all that follows its second last layer in float64, by its own code.

The parameters of the last decoder layer, of the final norm and of the unembedding are swapped for the call and the
layer's inputs are cast. Whatever the model's code does there (a soft-cap, a multiplier, a hook) is still done. Where
the unembedding is PyTorch's own linear layer, a few of its rows are cast at a time instead: a second one would be
larger than many a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from extract.families import LastLayer, last_layer
from extract.vocabulary import linear


class _KeepDouble(TorchFunctionMode):
    """Casts from float64 to float32 do nothing: Llama's norm computes in float32 whatever its input."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.to, torch.Tensor.float) and args[0].dtype is torch.float64:
            asked = (*args[1:], *kwargs.values())
            if func is torch.Tensor.float or torch.float32 in asked:
                return args[0]
        return func(*args, **kwargs)


def _cast(value: Any) -> Any:
    """Floating tensors in (nested) arguments as float64."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, tuple | list):
        return type(value)(_cast(each) for each in value)
    if isinstance(value, dict):
        return {name: _cast(each) for name, each in value.items()}
    return value


class DoubleTail:
    """The model with its last layer, final norm and unembedding in float64; call it with `input_ids` (B, C)."""

    def __init__(self, model: Any, last: LastLayer) -> None:
        self.model, self.last = model, last
        modules, head = [last_layer(model, last), model.get_submodule(last.parts.norm)], model.get_output_embeddings()
        self.head = head if type(head).forward is nn.Linear.forward and "forward" not in vars(head) else None
        if self.head is None:
            modules.append(head)
        names = {id(module): name for name, module in model.named_modules()}
        self.parameters = {
            f"{names[id(module)]}.{name}": tensor.detach().double()
            for module in modules
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
            if tensor.is_floating_point()
        }

    def __call__(self, input_ids: Tensor, **options: Any) -> Tensor:
        """Logits (B, C, V), or (B, K, V) with `logits_to_keep`, in float64."""
        layer = last_layer(self.model, self.last)
        handle = layer.register_forward_pre_hook(
            lambda _module, args, kwargs: (_cast(args), _cast(kwargs)), with_kwargs=True
        )
        try:
            with torch.no_grad(), _KeepDouble(), _in_double(self.head):
                # ties are not followed: a tied input embedding stays as it is
                output = torch.func.functional_call(
                    self.model,
                    self.parameters,
                    kwargs={"input_ids": input_ids, "use_cache": False, **options},
                    tie_weights=False,
                )
        finally:
            handle.remove()
        logits: Tensor = output.logits
        return logits.double()


@contextmanager
def _in_double(head: Any) -> Iterator[None]:
    """Within the block a linear layer (or None) gives what it would in float64, a few of its rows cast at a time."""
    if head is None:
        yield
        return

    def forward(x: Tensor) -> Tensor:
        logits = linear(x, head.weight)
        return logits if head.bias is None else logits + head.bias.double()

    head.forward = forward
    try:
        yield
    finally:
        del head.forward
