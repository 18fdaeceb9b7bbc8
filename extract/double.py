"""Chosen pairs in float64 throughout: for what no bound in float32 can promise."""

import torch
from torch import Tensor

from extract.bound import Change
from extract.vocabulary import Vocabulary, centre, normalise

_PAIRS = 256  # at a time


def in_double(
    vocabulary: Vocabulary, residual: Tensor, target: Tensor, at: Tensor, column: Tensor, change: Change
) -> Tensor:
    """Deltas (n,) float64 of the pairs of rows `at` of `residual` (T, d) and `target` (T,) and the neurons `column`.

    `change`: (n,). Logits and effects come anew from the weights, once for every position and neuron of a set of pairs.
    """
    found = []
    for some in torch.arange(len(at), device=at.device).split(_PAIRS):
        rows, row = at[some].unique(return_inverse=True)
        found.append(_pairs(vocabulary, residual[rows], target[rows], row, column[some], change.at((some,))))
    return torch.cat(found)


def _pairs(
    vocabulary: Vocabulary, residual: Tensor, target: Tensor, row: Tensor, column: Tensor, change: Change
) -> Tensor:
    """Sums are shifted by their maximum, so that nothing overflows."""
    last = vocabulary.last
    columns, col = column.unique(return_inverse=True)
    x, scale = normalise(last, residual.double())
    unit, weight = x / scale[:, None], centre(last, last.w_out[columns].double())
    place = torch.arange(last.n_vocabulary, device=row.device)
    clean_total = torch.full((len(row),), -torch.inf, dtype=torch.float64, device=row.device)
    total = clean_total.clone()
    for part in vocabulary.parts():
        tokens = vocabulary.double(place[part])
        z = unit @ tokens.T
        clean = z if vocabulary.constant is None else z + vocabulary.constant[part]
        h = change.stretch[:, None] * z[row] - change.push[:, None] * (weight @ tokens.T)[col]
        if change.lift is not None and vocabulary.direction is not None:
            h -= change.lift[:, None] * vocabulary.direction[part]
        clean_total = torch.logaddexp(clean_total, clean.logsumexp(1)[row])
        total = torch.logaddexp(total, (clean[row] + h).logsumexp(1))
    at_target = vocabulary.place[target]
    tokens = vocabulary.double(at_target)
    own = change.stretch * torch.linalg.vecdot(unit, tokens)[row]
    own -= change.push * torch.linalg.vecdot(tokens[row], weight[col])
    if change.lift is not None and vocabulary.direction is not None:
        own -= change.lift * vocabulary.direction[at_target][row]
    delta: Tensor = total - clean_total - own
    return delta
