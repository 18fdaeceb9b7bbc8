"""What a forward pass shows of every layer: activations, the input of the MLP, the residual stream after it.

Each value goes to a function as soon as its layer has run, so that no more than one layer's is held. Shapes: B windows
of C tokens, d = d_model, N = d_mlp.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from extract.families import Family, LastLayer, layers_of, part_of, weight_of
from warehouse.errors import ModelError

What = Literal["activation", "input", "state"]
Receive = Callable[[int, Tensor], None]


def named(layers: Sequence[int]) -> str:
    """Layers in words, for progress.

    >>> named([5]), named([0, 1, 2]), named([0, 15, 29]), named(list(range(0, 30, 2)))
    ('layer 5', 'layers 0 to 2', 'layers 0, 15, 29', '15 layers from 0 to 28')
    """
    first, last = layers[0], layers[-1]
    if len(layers) == 1:
        return f"layer {first}"
    if len(layers) == last - first + 1:
        return f"layers {first} to {last}"
    return (
        f"layers {', '.join(map(str, layers))}" if len(layers) <= 6 else f"{len(layers)} layers from {first} to {last}"
    )


class Layers:
    """The decoder layers of a model whose last one is described by `last`."""

    def __init__(self, model: Any, last: LastLayer) -> None:
        self.model, self.last = model, last
        self.parts: Family = last.parts
        self.modules: Sequence[Any] = layers_of(model, last)

    def w_in(self, layer: int) -> Tensor:
        """Rows of W_in (`up` where gated), (N, d) float32."""
        return weight_of(part_of(self.modules[layer], self.parts.up), neurons_first=not self.parts.is_transposed)

    def d_mlp(self, layer: int) -> int:
        """Neurons of a layer."""
        return len(self.w_in(layer))

    def norm_after(self, layer: int) -> Any:
        """The norm that reads the residual stream after a layer: the next layer's first, or the final one."""
        if layer + 1 < len(self.modules):
            return part_of(self.modules[layer + 1], self.parts.input_norm)
        return part_of(self.model, self.parts.norm)

    def read(self, input_ids: Tensor, layers: Sequence[int], receivers: Mapping[What, Receive]) -> None:
        """One forward pass of the body over `input_ids` (B, C): every value of `layers` to its receiver.

        A receiver gets the layer and (B, C, N) activations, or (B, C, d). Raises ModelError if a hook fired not once.
        """
        seen = dict.fromkeys(((what, layer) for what in receivers for layer in layers), 0)
        with self._hooked(input_ids.shape, receivers, seen), torch.no_grad():
            self.model.get_submodule(self.parts.body)(input_ids=input_ids, use_cache=False)
        for (what, layer), times in seen.items():
            if times != 1:
                raise ModelError(
                    f"the hook on the {what} of layer {layer} fired {times} times in one forward pass instead of once"
                )

    @contextmanager
    def _hooked(
        self, shape: torch.Size, receivers: Mapping[What, Receive], seen: dict[tuple[What, int], int]
    ) -> Iterator[None]:
        def give(what: What, layer: int, value: Any) -> None:
            seen[what, layer] += 1
            tensor = value[0] if isinstance(value, tuple) else value
            receivers[what](layer, tensor.detach().reshape(*shape, -1))

        def before(what: What, layer: int) -> Any:
            return lambda _module, inputs: give(what, layer, inputs)

        def after(layer: int) -> Any:
            return lambda _module, _inputs, output: give("state", layer, output)

        handles = []
        for what, layer in seen:
            module = self.modules[layer]
            if what == "state":
                handles.append(module.register_forward_hook(after(layer)))
            else:
                path = self.parts.down if what == "activation" else self.parts.up
                handles.append(part_of(module, path).register_forward_pre_hook(before(what, layer)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
