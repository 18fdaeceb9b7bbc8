"""Where neurons write, seen through the unembedding: spread over tokens, and the part that hardly reaches the logits.

An entropy neuron writes with a large weight into directions that the unembedding all but cancels: it moves few logits,
but it changes the scale of the final norm. Both numbers come from d x d matrices, so no table of neurons by tokens is
made. Source: Stolfo et al. (2024), arXiv 2406.16254, sections 3 and 4.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extract.families import LastLayer
from extract.vocabulary import Vocabulary, centre

# Of the d directions of the residual stream, one in so many is counted as the null space: 12 of GPT-2's 768.
NULL_SPACE = 64


@dataclass(frozen=True)
class Directions:
    """Per neuron (N,): variance over tokens of the cosine with their unembedding rows; share in the null space."""

    logit_variance: np.ndarray
    null_space_share: np.ndarray


def directions(last: LastLayer) -> Directions:
    """Both numbers for every neuron, with the gain of the final norm folded in and the mean token taken off.

    `logit_variance` is Var_v cos(w_i, U_v). `null_space_share` is |V0 V0^T w_i| / |w_i| with V0 the max(1, d // 64)
    directions that the unembedding shrinks most; by chance it is sqrt(k / d). NaN for a neuron with a zero row.
    """
    rows = _Moments.of(last)
    written = centre(last, last.w_out.double())
    unit = written / written.norm(dim=1, keepdim=True)
    spread = ((unit @ rows.cosine_square) * unit).sum(1) - (unit @ rows.cosine_mean).square()
    # of a LayerNorm the direction of the mean does not exist: it is neither written nor read
    vectors = torch.linalg.eigh(rows.square).eigenvectors  # from the smallest eigenvalue up
    first = 1 if last.norm_kind == "layer" else 0
    bottom = vectors[:, first : first + max(1, last.d_model // NULL_SPACE)]
    return Directions(spread.clamp_min(0).cpu().numpy(), (unit @ bottom).norm(dim=1).cpu().numpy())


@dataclass(frozen=True)
class _Moments:
    """Sums over the rows u of the unembedding: `square` u u^T, and of their unit vectors mean and mean square."""

    square: Tensor  # (d, d)
    cosine_mean: Tensor  # (d,)
    cosine_square: Tensor  # (d, d)

    @classmethod
    def of(cls, last: LastLayer) -> "_Moments":
        vocabulary = Vocabulary(last, None, None, keep=False)
        place = torch.arange(last.n_vocabulary, device=last.unembed.device)
        d = last.d_model
        square, cosine = (torch.zeros(d, d, dtype=torch.float64, device=place.device) for _ in range(2))
        mean = torch.zeros(d, dtype=torch.float64, device=place.device)
        for part in vocabulary.parts():
            rows = centre(last, vocabulary.double(place[part]))
            square += rows.T @ rows
            unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
            cosine += unit.T @ unit
            mean += unit.sum(0)
        return cls(square, mean / last.n_vocabulary, cosine / last.n_vocabulary)
