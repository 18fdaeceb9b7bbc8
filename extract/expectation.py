"""`log E_p[e^h]` minus the target's h, for a block of positions and neurons, with a bound for every pair.

Three routes, each for the pairs whose bound misses the tolerance on the one before. (1) The probable tokens term by
term, all others by two moments, or by four of the neurons that often need it. (2) The others term by term too, segment
by segment from the most probable on, until moments are enough for what is left. (3) Float64 throughout, in
`extract.double`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from extract.bound import UNIT, Change, Higher, Moments, by_moments, underflow
from extract.effect_moments import HALF_ERROR, SINGLE_ERROR, Powers, higher_moments, second_moments
from extract.neurons import Neurons
from extract.pairs import TERMS, Pairs, is_fine, misread, result_of, size_of, total
from extract.parallel import run_each
from extract.positions import LOG2E, Positions
from extract.vocabulary import Vocabulary, blocks

# Rounding of E[G] by two float32 matrix products, in UNIT |w| |row|; measured: 2.1 at most.
_FIRST = 4.0
# Rounding of a float32 logit, in UNIT |x| |row|; measured in the mean over p, which is what counts unless one token
# with a very long row has nearly all of it: 0.36 at most in models, 2.8 in random ones whose lengths differ 300-fold.
_LOGIT = 4.0
# Elements of one step on the CPU, two megabytes, and tokens of a step that has several pairs: smaller steps cost more
# in calls, above all with several threads, than caches save.
_TILE = 1 << 19
_WIDTH = 4096
_ON_DEVICE = 1 << 26  # elements of one step elsewhere
_ROWS = 64  # positions that a thread works on at a time, at most
_EVEN = 4  # pieces of a block come in multiples of this, to be shared evenly; not by threads: numbers depend on it


@dataclass
class Found:
    """Deltas (T, N) float64 of a block, their bounds, and which pairs are left for float64."""

    delta: Tensor
    error: Tensor
    left: Tensor  # bool
    n_by_segment: list[int]  # pairs that needed no more than so many segments term by term


def expectations(
    vocabulary: Vocabulary, positions: Positions, neurons: Neurons, changes: list[Change], powers: Powers
) -> list[Found]:
    """One `Found` for each of `changes` (T, N): the ablation itself and its variants with something frozen.

    Of the neurons of `powers` higher moments are used, too.
    """
    block = _Block.of(vocabulary, positions, neurons, changes)
    begun = block.begun()
    if len(powers):
        block = block.with_higher(powers.columns, higher_moments(positions, powers))
    pieces = run_each(block.end, begun, positions.rest.device)
    return [
        Found(
            delta=torch.cat([piece[k].delta for piece in pieces]),
            error=torch.cat([piece[k].error for piece in pieces]),
            left=torch.cat([piece[k].left for piece in pieces]),
            n_by_segment=[sum(each) for each in zip(*(piece[k].n_by_segment for piece in pieces), strict=True)],
        )
        for k in range(len(changes))
    ]


def n_open(vocabulary: Vocabulary, positions: Positions, neurons: Neurons, change: Change) -> Tensor:
    """Of each neuron (N,) the positions at which two moments are not enough."""
    begun = _Block.of(vocabulary, positions, neurons, [change]).begun()
    return torch.bincount(torch.cat([piece[0].pairs.column for piece in begun]), minlength=len(neurons))


@dataclass(frozen=True)
class _Block:
    vocabulary: Vocabulary
    positions: Positions
    neurons: Neurons
    changes: list[Change]
    squares: Tensor  # (L, T, N)
    sums: Tensor  # (L, T, N)
    error: float
    higher: Higher | None = None  # (L, T, n + 1) of some neurons, NaN in the last column
    higher_of: Tensor | None = None  # (N,) the column of a neuron in `higher`

    @classmethod
    def of(cls, vocabulary: Vocabulary, positions: Positions, neurons: Neurons, changes: list[Change]) -> "_Block":
        """With the moments that all neurons have."""
        squares = second_moments(positions, neurons, vocabulary.segments)
        sums = torch.matmul(positions.unembedded, neurons.centred.float().T)  # (L, T, N)
        error = SINGLE_ERROR if positions.rest_half is None else HALF_ERROR
        return cls(vocabulary, positions, neurons, changes, squares, sums, error)

    def begun(self) -> list[list["_Open"]]:
        """What two moments leave open: of each piece of the positions, of each change."""
        n_positions = len(self.positions)
        n_pieces = _EVEN * -(-n_positions // (_EVEN * _ROWS))
        pieces = list(blocks(n_positions, -(-n_positions // n_pieces)))
        return run_each(self.begin, pieces, self.positions.rest.device)

    def with_higher(self, columns: Tensor, higher: Higher) -> "_Block":
        """With the higher moments (L, T, n) of the neurons `columns` (n,)."""
        higher_of = torch.full((len(self.neurons),), len(columns), device=columns.device)
        higher_of[columns] = torch.arange(len(columns), device=columns.device)
        return replace(self, higher=higher.padded(), higher_of=higher_of)

    def begin(self, rows: slice) -> list["_Open"]:
        """All changes at some positions, by two moments of all but the probable tokens."""
        near = self._probable(rows)
        target = self.vocabulary.double(self.positions.place[rows]) @ self.neurons.centred.T
        return [self._begin(k, rows, target, *sums) for k, sums in enumerate(near)]

    def end(self, begun: list["_Open"]) -> list[Found]:
        """All pairs of some positions."""
        return [self._end(each) for each in begun]

    def _probable(self, rows: slice) -> list[tuple[Tensor, Tensor]]:
        """Over the probable tokens, for each change: sum p (e^h - 1) and sum p |e^h - 1|, (T, N) float64 each."""
        shape = (rows.stop - rows.start, len(self.neurons))
        device = self.positions.rest.device
        found = [torch.zeros(2, *shape, device=device, dtype=torch.float64) for _ in self.changes]
        factors = [self._factors(change, (rows,)) for change in self.changes]
        step = max(1, _TILE // len(self.neurons)) if device.type == "cpu" else 1 << 30
        for t in range(shape[0]):
            places, p, z = self.positions.sets[rows.start + t]
            for some, weight, logit in zip(places.split(step), p[:, None].split(step), z.split(step), strict=True):
                effect = self.neurons.effect_by_token.index_select(0, some)  # (K, N)
                u = None if self.vocabulary.direction is None else self.vocabulary.direction[some].float()
                for (excess, size), (stretch, push, lift) in zip(found, factors, strict=True):
                    h = effect * push[t]
                    h.addr_(logit, stretch[t])
                    if lift is not None and u is not None:
                        h.addr_(u, lift[t])
                    torch.addcmul(-weight, h.exp2_(), weight, out=h)
                    excess[t] += total(h, 0)
                    size[t] += total(h.abs_(), 0)
        return [(excess, size) for excess, size in found]

    def _probable_in_double(self, first: int, pairs: Pairs) -> Pairs:
        """`pairs` with the probable tokens' part summed in float64, of float32 probabilities, logits and effects."""
        excess, rounding = torch.zeros_like(pairs.own), torch.zeros_like(pairs.own)
        for i, (t, column) in enumerate(zip(pairs.at.tolist(), pairs.column.tolist(), strict=True)):
            places, p, z = self.positions.sets[first + t]
            change = pairs.change.at((torch.tensor(i),))  # of one pair
            of_z, of_effect = (
                change.stretch * (z.double() / LOG2E),
                change.push * self.neurons.effect[column, places].double(),
            )
            h = of_z - of_effect
            if change.lift is not None and self.vocabulary.direction is not None:
                h -= change.lift * self.vocabulary.direction[places]
            terms = p.double() * h.expm1()
            excess[i] = terms.sum()
            farthest = (of_z.abs() + of_effect.abs()).max()
            rounding[i] = 1.01 * UNIT * (terms.abs().sum() + farthest * (1 + excess[i]))
        return replace(pairs, excess=excess, rounding=rounding)

    def _factors(self, change: Change, index: tuple[slice | Tensor, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Float32 factors of the logits (which are in units of ln 2), the effects and the direction."""
        lift = None if change.lift is None else (-LOG2E * change.lift[index]).float()
        return change.stretch[index].float(), (-LOG2E * change.push[index]).float(), lift

    def _begin(self, k: int, rows: slice, target: Tensor, excess: Tensor, size: Tensor) -> "_Open":
        """Add the rest by two moments to the probable tokens' part of change `k`, (T, N) each."""
        positions, neurons = self.positions, self.neurons
        change = self.changes[k].at((rows,))
        own = change.stretch * positions.target_logit[rows, None] - change.push * target
        if change.lift is not None and self.vocabulary.direction is not None:
            own -= change.lift * self.vocabulary.direction[positions.place[rows], None]
        push = change.push.abs()
        rest = self._moments(0, rows, None)
        farthest = change.stretch.abs() * positions.set_largest[rows, None] + push * neurons.span[:, 0]
        if change.lift is not None:
            farthest += change.lift.abs() * rest.u_largest
        # of exp2, of the operations that give h, and of the sum
        rounding = UNIT * ((3 + 5 * farthest) * (1 + excess) + (2 + TERMS) * size)
        value, bound, spread = by_moments(change, rest)
        logit = (
            _LOGIT * self.vocabulary.row_norm * positions.length[rows, None]
            + 2 * positions.constant_largest[rows, None]  # rounded to float32, and where it is added
        )
        logit_error = (UNIT * logit).expand_as(push)
        mass = positions.mass[rows, 0, None]
        whole = (excess + value).abs() + bound
        off = misread(logit_error, change, size_of(value.abs() + bound, spread, mass), mass, whole)
        delta, error = result_of(excess + value, bound + rounding + off, own)
        left = ~is_fine(delta, error)
        farthest = rest.farthest(change)
        lost = underflow(rest.n_tokens, farthest)
        at, column = left.nonzero(as_tuple=True)
        unknown = torch.full_like(own, torch.inf)
        known = (each[left] for each in (own, excess, rounding, lost, unknown, spread, logit_error, 3 + 5 * farthest))
        return _Open(k, rows, delta, error, Pairs(change.at((left,)), at, column, *known))

    def _end(self, begun: "_Open") -> Found:
        """Do the pairs that are left by four moments, or term by term, by as many segments as it takes."""
        positions, segments = self.positions, self.vocabulary.segments
        k, rows, delta, error, pairs = begun.k, begun.rows, begun.delta, begun.error, begun.pairs
        counts = [delta.numel() - len(pairs.at)]

        def settle(value: Tensor, bound: Tensor) -> Tensor:
            """Keep the deltas of `pairs` from the improbable tokens' `value`, and say which of them are certain."""
            found, off = result_of(pairs.excess + value, bound, pairs.own)
            delta[pairs.at, pairs.column], error[pairs.at, pairs.column] = found, off
            fine = is_fine(found, off)
            counts.append(int(fine.sum()))
            return fine

        if self.higher is not None:
            value, bound, spread = by_moments(pairs.change, self._moments(0, rows, (pairs.at, pairs.column)))
            mass = positions.mass[rows, 0][pairs.at]
            size, whole = size_of(value.abs() + bound, spread, mass), (pairs.excess + value).abs() + bound
            off = misread(pairs.logit_error, pairs.change, size, mass, whole)
            pairs = pairs.but(settle(value, bound + pairs.rounding + off))
            counts = [sum(counts)]
        exact = torch.zeros_like(pairs.own)
        for segment, part in enumerate(segments):
            exact = exact + self._segment(k, rows.start, pairs, part)
            value, bound = torch.zeros_like(exact), torch.zeros_like(exact)
            if segment + 1 < len(segments):
                value, bound, _ = by_moments(pairs.change, self._moments(segment + 1, rows, (pairs.at, pairs.column)))
            mass = positions.mass[rows, 0][pairs.at]
            fine = settle(exact + value, bound + pairs.rounded(exact, mass, value.abs() + bound))
            pairs, exact = pairs.but(fine), exact[~fine]
        # no token is left, but bounds on rounding may be too coarse: first that of the probable tokens' part, then that
        # of the others', where the size of what was summed is summed, too
        pairs = self._probable_in_double(rows.start, pairs)
        fine = settle(exact, pairs.rounded(exact, positions.mass[rows, 0][pairs.at]))
        pairs, exact = pairs.but(fine), exact[~fine]
        mass = positions.mass[rows, 0][pairs.at]
        sizes = [self._segment(k, rows.start, pairs, part, is_size=True) for part in segments]
        pairs = pairs.sized(torch.stack(sizes).sum(0), mass)
        pairs = pairs.but(settle(exact, pairs.rounded(exact, mass)))
        left = torch.zeros_like(delta, dtype=torch.bool)
        left[pairs.at, pairs.column] = True
        return Found(delta, error, left, counts)

    def _moments(self, segment: int, rows: slice, pairs: tuple[Tensor, Tensor] | None) -> Moments:
        """From `segment` on, of all pairs of some positions or of the given ones."""
        positions, neurons = self.positions, self.neurons

        def of_position(values: Tensor) -> Tensor:
            mine = values[rows, segment]
            return mine[:, None] if pairs is None else mine[pairs[0]]

        def of_pair(values: Tensor) -> Tensor:
            mine = values[segment, rows]
            return (mine if pairs is None else mine[pairs]).double()

        span, length = neurons.span[:, segment], neurons.square_length.sqrt()
        if pairs is not None:
            span, length = span[pairs[1]], length[pairs[1]]
        higher = None
        if pairs is not None and self.higher is not None and self.higher_of is not None:
            higher = self.higher.at(segment, rows).at(pairs[0], self.higher_of[pairs[1]])
        direction = self.vocabulary.direction
        return Moments(
            mass=of_position(positions.mass),
            z_mean=of_position(positions.z_mean),
            z_deviation=of_position(positions.z_deviation),
            z_fourth=of_position(positions.z_fourth),
            z_largest=of_position(positions.z_largest),
            effect_sum=of_pair(self.sums),
            effect_squares=of_pair(self.squares),
            higher=higher,
            span=span,
            first_error=_FIRST * UNIT * self.vocabulary.row_norm * length,
            error=self.error,
            u_mean=None if positions.u_mean is None else of_position(positions.u_mean),
            u_deviation=None if positions.u_deviation is None else of_position(positions.u_deviation),
            u_largest=0.0 if direction is None else float(direction.abs().max()),
            n_tokens=self.vocabulary.last.n_vocabulary - self.vocabulary.segments[segment].start,
        )

    def _segment(self, k: int, first: int, pairs: Pairs, part: slice, is_size: bool = False) -> Tensor:
        """Sum of p (e^h - 1), or of its size, over the improbable tokens of a segment, (n,) float64, for `pairs`."""
        change, at, column = self.changes[k], pairs.at + first, pairs.column
        found = torch.zeros_like(pairs.own)
        u = None if self.vocabulary.direction is None else self.vocabulary.direction[part].float()
        stretch, push, lift = self._factors(change, (at, column))
        width = min(_WIDTH, part.stop - part.start)
        step = max(1, (_TILE if at.device.type == "cpu" else _ON_DEVICE) // width)
        for tile in blocks(part.stop - part.start, width):
            tokens = slice(part.start + tile.start, part.start + tile.stop)
            each = self.neurons.effect, self.positions.logits, self.positions.rest
            effects, logits, rest = (values[:, tokens] for values in each)
            for some in blocks(len(at), step):
                h = effects.index_select(0, column[some]).mul_(push[some, None])
                h.addcmul_(logits.index_select(0, at[some]), stretch[some, None])
                if lift is not None and u is not None:
                    h.addr_(lift[some], u[tile])
                p = rest.index_select(0, at[some])
                torch.addcmul(p, h.exp2_(), p, value=-1, out=h)
                found[some] -= total(h.abs_().neg_() if is_size else h, 1)
        return found


@dataclass(frozen=True)
class _Open:
    """Change `k` at some positions: delta and error (T, N) by two moments, and the pairs that need more."""

    k: int
    rows: slice
    delta: Tensor
    error: Tensor
    pairs: Pairs
