"""A block of neurons: the direction that each writes, and what it does to the logit of every token."""

from dataclasses import dataclass

import torch
from torch import Tensor

from extract.vocabulary import Vocabulary, centre


@dataclass(frozen=True)
class Neurons:
    """N neurons; places are in the order of the vocabulary.

    `effect`: what one unit of activation adds to the logits at scale 1, rounded from float64; in both layouts, as sums
    over few tokens of all neurons and over all tokens of few neurons each want their own. `span` (N, L): its largest
    size from segment l on.
    """

    centred: Tensor  # (N, d) float64: w_i C
    square_length: Tensor  # (N,) float64: |w_i C|^2
    effect: Tensor  # (N, V) float32
    effect_by_token: Tensor  # (V, N) float32
    squares: list[Tensor]  # per segment (V_l, N), in the format of the matrix products; empty: made when needed
    span: Tensor  # (N, L) float64
    along: Tensor | None  # (N,) float64: the projection of the effect on the direction

    def __len__(self) -> int:
        return len(self.effect)


def read_neurons(vocabulary: Vocabulary, columns: slice, half: bool) -> Neurons:
    """The neurons `columns` of the last layer; `half`: keep bfloat16 squares for the matrix products."""
    last = vocabulary.last
    centred = centre(last, last.w_out[columns].double())
    device = centred.device
    n, size = len(centred), last.n_vocabulary
    by_token = torch.empty(size, n, device=device)
    squares = torch.empty(size if half else 0, n, dtype=torch.bfloat16, device=device)
    place = torch.arange(size, device=device)
    # in float64 once, so that no bound has to allow for it at every position; the gain is in the rows already
    for part in vocabulary.parts():
        effect = (vocabulary.double(place[part]) @ centred.T).float()
        by_token[part] = effect
        if half:
            squares[part] = effect.square_()
    largest = [torch.maximum(by_token[part].amax(0), -by_token[part].amin(0)) for part in vocabulary.segments]
    span = torch.stack(largest).flip(0).cummax(0).values.flip(0).T.double()
    return Neurons(
        centred=centred,
        square_length=centred.square().sum(1),
        effect=by_token.T.contiguous(),
        effect_by_token=by_token,
        squares=[squares[part] for part in vocabulary.segments] if half else [],
        span=span,
        along=None if vocabulary.along is None else centred @ vocabulary.along,
    )
