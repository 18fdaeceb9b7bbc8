"""The unembedding as the ablation reads it: tokens in falling order of how probable they usually are.

A softmax does not see a vector that is added to every row of the unembedding, so the mean row is taken off: logits and
effects stay small. The gain of the final norm is folded in. The order puts the tokens that matter into the first
segments, so that a sum over the vocabulary can stop early with a bound on what is left.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from extract import compiled
from extract.families import LastLayer
from extract.parallel import is_compiled

# Ends of the segments, as shares of the vocabulary. Past each of them the rest is bounded anew.
CUTS = (1 / 12, 1 / 6, 1 / 3, 1 / 2, 3 / 4, 1.0)
# Elements of the unembedding that are turned into float64 at a time: 4 MB, which the allocator keeps, unless what was
# made of them stays between: so results are added up, or go into one array.
DOUBLE_ELEMENTS = 1 << 19
# A constant part of a logit below this makes its token impossible.
LEAST_LOGIT = -1e6


class Vocabulary:
    """The rows of the unembedding minus their mean, times the gain, in `order` (V,).

    `sample` (n, d): residuals before the final norm that tell which tokens are usually probable; without it, the order
    is that of the token ids. `direction` (V,): a unit vector over the vocabulary that sums to zero, by token id.
    `keep`: whether a float32 copy may be held.
    """

    def __init__(self, last: LastLayer, sample: Tensor | None, direction: Tensor | None, keep: bool) -> None:
        self.last = last
        n = last.n_vocabulary
        ends = sorted({max(1, round(share * n)) for share in CUTS})
        self.segments = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self.order = torch.arange(n, device=last.unembed.device)
        # any row may be taken off, so one that float32 and float64 agree on
        total = torch.zeros(last.d_model, dtype=torch.float64, device=self.order.device)
        for part in self.parts():
            total += last.unembed[part].sum(0, dtype=torch.float64)
        self._mean = (total / n).float().double()
        self._held: Tensor | None = None
        self.constant = _constant(last)
        if sample is not None:
            self.order = self._mean_probability(sample).argsort(descending=True, stable=True)
        self.place = torch.empty_like(self.order)  # where a token id is in the order
        self.place[self.order] = torch.arange(n, device=self.order.device)
        if self.constant is not None:
            self.constant = self.constant[self.order]
        self._held = self.rows(slice(0, n)) if keep else None
        self.direction = None if direction is None else direction.double().to(self.order.device)[self.order]
        # of a vector of the residual stream: how far it moves the logits along `direction`
        self.along = None if self.direction is None else self._along(self.direction)
        squares = sum(float(self.rows(part).square().sum(dtype=torch.float64)) for part in self.parts())
        self.row_norm = (squares / n) ** 0.5  # root mean square length of a row

    def rows(self, tokens: slice) -> Tensor:
        """Rows of a range of places, (n, d) float32."""
        if self._held is not None:
            return self._held[tokens]
        return (self.last.unembed.index_select(0, self.order[tokens]) - self._mean.float()) * self.last.gain

    def double(self, places: Tensor) -> Tensor:
        """Rows at `places` (n,), (n, d) float64: from the weights, without rounding between."""
        rows = self.last.unembed.index_select(0, self.order[places]).double()
        return rows.sub_(self._mean).mul_(self.last.gain.double())

    def products(self, places: Tensor, ends: Tensor, units: Tensor) -> Tensor:
        """Logits (K,) float64 at `places` (K,), of the normalised residual t of `units` (T, d) from `ends[t]` on.

        As from `double`, with less work.
        """
        gained, unembed, ids = units * self.last.gain.double(), self.last.unembed, self.order[places]
        if is_compiled(unembed.device):
            found = torch.empty(len(places), dtype=torch.float64)
            compiled.products(unembed.detach().numpy(), ids.numpy(), ends.numpy(), gained.numpy(), found.numpy())
        else:
            parts = pairwise(ends.tolist())
            found = torch.cat(
                [unembed.index_select(0, ids[a:b]).double() @ gained[t] for t, (a, b) in enumerate(parts)]
            )
        return found - (gained @ self._mean).repeat_interleave(ends.diff())

    def parts(self) -> Iterator[slice]:
        """Ranges of places that are small enough for a float64 copy."""
        return blocks(len(self.last.unembed), max(1, DOUBLE_ELEMENTS // self.last.d_model))

    def pieces(self, segment: slice) -> Iterator[slice]:
        """A segment in ranges whose float32 rows are small, unless all of them are held anyway."""
        step = segment.stop if self._held is not None else max(1, DOUBLE_ELEMENTS // self.last.d_model)
        for piece in blocks(segment.stop - segment.start, step):
            yield slice(segment.start + piece.start, segment.start + piece.stop)

    def _mean_probability(self, sample: Tensor) -> Tensor:
        """(V,): the mean over `sample` (n, d) of the softmax."""
        total = torch.zeros(self.last.n_vocabulary, device=self.order.device)
        centred, scale = normalise(self.last, sample.double())
        unembed = self.last.unembed  # about any row: a softmax does not see its mean
        for block in (centred / scale[:, None] * self.last.gain.double()).float().split(64):
            logits = torch.cat([block @ unembed[part].float().T for part in self.parts()], dim=1)
            logits = logits if self.constant is None else logits + self.constant.float()
            total += logits.softmax(1).sum(0)
        return total

    def _along(self, direction: Tensor) -> Tensor:
        """(d,) float64: `direction` through the unembedding."""
        place, total = torch.arange(len(direction), device=direction.device), torch.zeros_like(self._mean)
        for part in self.parts():
            total += direction[part] @ self.double(place[part])
        return total


def _constant(last: LastLayer) -> Tensor | None:
    """The part of the logits (V,) float64, by token id, that the norm does not scale; None where there is none.

    About its mean, as a softmax does not see what all tokens have in common, and not below -1e6: an impossible token
    (a bias of minus infinity) has probability 0 either way, and its logit stays a number.
    """
    found = None if last.unembed_bias is None else last.unembed_bias.double()
    if last.norm_bias is not None:
        through = linear(last.norm_bias.double()[None], last.unembed)[0]
        found = through if found is None else through + found
    if found is None:
        return None
    possible = found[found > LEAST_LOGIT]
    return (found - possible.mean() if len(possible) else found).clamp_min(LEAST_LOGIT)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """`x` (..., d) float64 times the rows of `weight` (V, d) in float64: (..., V). Without gradients."""
    found = x.new_empty(*x.shape[:-1], len(weight))
    for rows in blocks(len(weight), max(1, DOUBLE_ELEMENTS // weight.shape[1])):
        torch.matmul(x, weight[rows].double().T, out=found[..., rows])
    return found


def centre(last: LastLayer, rows: Tensor) -> Tensor:
    """`rows` times the centring C of LayerNorm; as they are for RMSNorm."""
    return rows - rows.mean(1, keepdim=True) if last.norm_kind == "layer" else rows


def normalise(last: LastLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """`xC` (T, d) and the scale s (T,) of the final norm, eps inside the mean square."""
    centred = centre(last, x)
    return centred, (centred.square().mean(1) + last.eps).sqrt()


def blocks(length: int, step: int) -> Iterator[slice]:
    """The range 0 to `length` in slices of `step`."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
