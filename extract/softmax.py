"""The passes over all logits of a block that its softmax takes: compiled on a processor, array operations elsewhere.

Shapes: T positions, V tokens, L segments. Logits are float32, in units of ln 2; the part of them that the norm does not
scale, `constant` (V,) or None, is not in them.
"""

import torch
from torch import Tensor

from extract import compiled
from extract.parallel import is_compiled
from extract.terms import arrays

# Rounding of the weights of a softmax, relative, in 2^-24: two exponentials (on a device; compiled it is one), their
# product and that with 1 / total.
WEIGHT = 8.0
_GROUP = 64  # tokens that are looked at together in search of probable ones


def exponentials(
    logits: Tensor, constant: Tensor | None, place: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill `weight` (T, V) with 2^(logit - top), off by `WEIGHT` units at most.

    Returns `top` (T,) float32, the least whole number that no logit exceeds, the sum of `weight` (T,) float64, and how
    many logits exceed that of `place`, (T,) int64.
    """
    if is_compiled(logits.device):
        n = len(logits)
        top, total, rank = torch.empty(n), torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int64)
        compiled.exponentiate(*arrays(logits, constant, place, weight, top, total, rank))
        return top, total, rank
    clean = logits if constant is None else logits + constant
    # counted in float32, which is exact so far and much faster than in bool
    rank = torch.gt(clean, clean.gather(1, place[:, None]), out=weight).sum(1).long()
    top = clean.amax(1).ceil_()
    # split first, as the difference of a logit and the top would be rounded
    whole = (clean + 0.5).floor_()
    torch.sub(clean, whole, out=weight).exp2_().mul_(whole.sub_(top[:, None]).exp2_())
    return top, weight.sum(1).double(), rank


def probable(weight: Tensor, limit: Tensor, place: Tensor, most: int) -> list[Tensor]:
    """Of each row of `weight` (T, V) the places (K,) above `limit` (T,), and `place` (T,).

    Where there are more than `most`, the `most` largest, and `place`.
    """
    find = _probable_compiled if is_compiled(weight.device) else _probable
    found = find(weight, limit.float(), place)
    for t, mine in enumerate(found):
        if len(mine) > most:
            found[t] = torch.cat([weight[t].topk(most).indices, place[t : t + 1]]).unique()
    return found


def _probable_compiled(weight: Tensor, limit: Tensor, place: Tensor) -> list[Tensor]:
    buffer = torch.empty(weight.shape[1], dtype=torch.int64)
    found = []
    for row, least, mine in zip(weight.numpy(), limit.numpy(), place.tolist(), strict=True):
        n = compiled.above(row, least, mine, buffer.numpy())
        found.append(buffer[:n].clone())
    return found


def _probable(weight: Tensor, limit: Tensor, place: Tensor) -> list[Tensor]:
    n, size = weight.shape
    # most groups of tokens have none; what is left over of the last one is looked through
    whole = size // _GROUP * _GROUP
    is_high = weight[:, :whole].unflatten(1, (whole // _GROUP, _GROUP)).amax(2) > limit[:, None]
    inside = (place < whole).nonzero()[:, 0]
    is_high[inside, place[inside] // _GROUP] = True
    row, group = is_high.nonzero(as_tuple=True)
    some, left = (torch.arange(*ends, device=weight.device) for ends in ((0, _GROUP), (whole, size)))
    rows = torch.cat([row.repeat_interleave(_GROUP), torch.arange(n, device=row.device).repeat_interleave(len(left))])
    places = torch.cat([(group[:, None] * _GROUP + some).flatten(), left.repeat(n)])
    chosen = (weight[rows, places] > limit[rows]) | (places == place[rows])
    rows, places = rows[chosen], places[chosen]
    rows, order = rows.sort(stable=True)
    return list(places[order].split(torch.bincount(rows, minlength=n).tolist()))


def sums(rest: Tensor) -> Tensor:
    """Sums (T,) float64 of the rows of `rest` (T, V), added up in float64."""
    if is_compiled(rest.device):
        found = torch.empty(len(rest), dtype=torch.float64)
        compiled.sum_rows(*arrays(rest, found))
        return found
    return rest.sum(1, dtype=torch.float64)


def scale(rest: Tensor, logits: Tensor, constant: Tensor | None, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply `rest` (T, V) by `factor` (T,) float32; its means of the logits without and with `constant`, float64."""
    if is_compiled(rest.device):
        means = torch.empty(2, len(rest), dtype=torch.float64)
        compiled.normalise(*arrays(rest, logits, constant, factor, means[0], means[1]))
        return means[0], means[1]
    rest.mul_(factor[:, None])
    z_mean = torch.linalg.vecdot(rest, logits).double()
    return z_mean, z_mean.clone() if constant is None else torch.linalg.vecdot(rest, logits + constant).double()


def centre(
    logits: Tensor, rest: Tensor, direction: Tensor | None, mean: Tensor, segments: list[slice]
) -> tuple[list[Tensor], Tensor]:
    """Subtract `mean` (T,) float32 from the `logits`; then of every segment sums of `rest` and the largest |logit|.

    Sums are (T, L) float64 each: of p, p z and p z^2 and, with `direction` (V,), of p u and p u^2.
    """
    u = None if direction is None else direction.float()
    if is_compiled(logits.device):
        ends = torch.tensor([0, *(part.stop for part in segments)])
        sums = torch.empty(3 if u is None else 5, len(mean), len(segments), dtype=torch.float64)
        largest = torch.empty(len(mean), len(segments), dtype=torch.float64)
        compiled.centre(*arrays(logits, rest, u, mean, ends, sums, largest))
        return list(sums), largest
    logits.sub_(mean[:, None])
    found: list[list[Tensor]] = [[] for _ in range(3 if u is None else 5)]
    sizes = []
    for part in segments:
        p, z = rest[:, part], logits[:, part]
        sizes.append(torch.maximum(z.amax(1), -z.amin(1)))
        mine = [p.sum(1), torch.linalg.vecdot(p, z), torch.linalg.vecdot(p, z * z)]
        if u is not None:
            mine += [p @ u[part], p @ u[part].square()]
        for sums_of, each in zip(found, mine, strict=True):
            sums_of.append(each)
    return [torch.stack(each, dim=1).double() for each in found], torch.stack(sizes, dim=1).double()
