"""What an ablation gives: deltas and baselines of positions, and by which routes the deltas were found."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from extract.expectation import Found
from extract.pairs import ABSOLUTE, RELATIVE


@dataclass
class Routes:
    """How the deltas of a run were found: pairs by route, and the worst bound on an error.

    `n_moments`: moments of all but the most probable tokens; `n_terms`: more tokens term by term; `n_double`: float64.
    `worst_bound` (nats) and `worst_share` (of the tolerance) are over the pairs of the first two.
    """

    n_moments: int = 0
    n_terms: int = 0
    n_double: int = 0
    worst_bound: float = 0.0
    worst_share: float = 0.0

    def count(self, found: Found) -> None:
        """Add the pairs of a block."""
        sure = ~found.left
        self.n_moments += found.n_by_segment[0]
        self.n_terms += sum(found.n_by_segment[1:])
        self.n_double += int(found.left.sum())
        error = found.error[sure]
        if len(error):
            share = error / (ABSOLUTE + RELATIVE * found.delta[sure].abs())
            self.worst_bound = max(self.worst_bound, float(error.max()))
            self.worst_share = max(self.worst_share, float(share.max()))

    def add(self, other: "Routes") -> None:
        """Add the pairs of other positions."""
        for name in ("n_moments", "n_terms", "n_double"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst_bound = max(self.worst_bound, other.worst_bound)
        self.worst_share = max(self.worst_share, other.worst_share)


@dataclass(frozen=True)
class Result:
    """Of T positions and N neurons: `deltas` by column name (T, N), losses and entropies (T,), all float32, ranks (T,).

    Deltas and losses are in nats; a rank is how many logits exceed the target's.
    """

    deltas: dict[str, Tensor]
    loss: Tensor
    entropy: Tensor
    rank: Tensor
    routes: dict[str, Routes] = field(default_factory=dict)


def joined(parts: list[Result], order: Tensor) -> Result:
    """One result of positions that were done in `parts`: row i is row `order[i]` (T,) of all together.

    A delta that a part lacks is NaN there.
    """
    n_neurons = next(iter(parts[0].deltas.values())).shape[1]
    nothing = [torch.full((len(part.loss), n_neurons), torch.nan, device=part.loss.device) for part in parts]
    deltas: dict[str, Tensor] = {}
    routes: dict[str, Routes] = {}
    for name in max((part.deltas for part in parts), key=len):
        found = [part.deltas.get(name, none) for part, none in zip(parts, nothing, strict=True)]
        deltas[name] = torch.cat(found)[order]
        routes[name] = Routes()
        for part in parts:
            routes[name].add(part.routes.get(name, Routes()))
    loss, entropy, rank = (
        torch.cat([getattr(part, name) for part in parts])[order] for name in ("loss", "entropy", "rank")
    )
    return Result(deltas, loss, entropy, rank, routes)
