"""Which of a neuron's top contexts are alike: cosines of its embeddings of them.

A neuron's embedding of a context is its row of W_in times the input of the MLP, component by component: their sum is
the pre-activation, so it says which features of the input made the neuron fire. The inputs are read in one more forward
pass over the windows that hold a top context; cosines are all that is kept, 190 numbers for 20 contexts. Those are the
strongest of every part of the documents: a single document cannot fill the list, and each part can be left out.
Source: neuron embeddings, OpenReview Kyx1qoZHcO. Shapes: N neurons, k contexts, d = d_model, M positions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.layer_hooks import Layers, named
from extract.layer_text import Index, Text
from extract.progress import Progress

_BLOCK = 1 << 23  # values of the embeddings of a block of neurons


def read_inputs(
    layers: Layers, needed: dict[int, Index], text: Text, batch_size: int
) -> dict[int, NDArray[np.float32]]:
    """Inputs (M, d) of the MLP of each layer at the positions `needed` (M,), sorted, of it."""
    found = {layer: np.empty((len(index), layers.last.d_model), dtype=np.float32) for layer, index in needed.items()}
    windows = np.unique(np.concatenate([index // text.per_window for index in needed.values()]))
    batch = windows[:0]

    def keep(layer: int, value: Tensor) -> None:
        flat = value[:, text.skip : -1].float().cpu().numpy().reshape(-1, value.shape[-1])
        _, row, here = np.intersect1d(needed[layer], text.positions(batch), assume_unique=True, return_indices=True)
        found[layer][row] = flat[here]

    chosen = list(needed)
    title = f"contexts of {named(chosen)}"
    with Progress(title, len(windows), "windows") as bar:
        for start in range(0, len(windows), batch_size):
            batch = windows[start : start + batch_size]
            ids = torch.from_numpy(text.ids[batch]).to(layers.model.device)
            layers.read(ids, chosen, {"input": keep})
            bar.advance(len(batch))
    return found


def cosines(w_in: Tensor, inputs: NDArray[np.float32], place: Index) -> NDArray[np.float32]:
    """Cosines (N, k, k) between the embeddings of the contexts of each neuron; 0 where an embedding is 0.

    `w_in` (N, d); `place` (N, k) rows of `inputs` (M, d), -1 where the neuron has no such context.
    """
    weight = w_in.cpu()
    known = torch.from_numpy(np.append(inputs, np.zeros((1, inputs.shape[1]), dtype=np.float32), axis=0))
    index = torch.from_numpy(np.where(place < 0, len(inputs), place))
    found = []
    for block in torch.arange(len(weight)).split(max(1, _BLOCK // (place.shape[1] * weight.shape[1]))):
        embedding = known[index[block]] * weight[block][:, None]  # (n, k, d)
        length = embedding.norm(dim=2, keepdim=True)
        unit = torch.where(length > 0, embedding / length, 0.0)
        found.append(torch.bmm(unit, unit.transpose(1, 2)).clamp(-1, 1))
    return torch.cat(found).numpy()


def needed_positions(token_index: Sequence[Index]) -> list[Index]:
    """Of each layer the positions (M,) that any neuron's context is at, sorted; `token_index` (N, k) of each."""
    return [np.unique(index[index >= 0]) for index in token_index]
