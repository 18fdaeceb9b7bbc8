"""`log E_p[e^h]` minus the target's h, for a block of positions and neurons, with a bound for every pair.

Three routes, each for the pairs whose bound misses the tolerance on the one before. (1) The probable tokens term by
term, all others by two moments. (2) The others term by term too, segment by segment from the most probable on, until
moments are enough for what is left. (3) Float64 throughout, in `extract.double`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from extract.bound import UNIT, Change, Moments, by_moments, underflow
from extract.effect_moments import HALF_ERROR, SINGLE_ERROR, second_moments
from extract.neurons import Neurons
from extract.pairs import Pairs, is_fine, misread, result_of, rounded, size_of
from extract.parallel import run_each
from extract.positions import LOG2E, Positions
from extract.softmax import WEIGHT
from extract.terms import sums_over_sets, sums_over_tokens
from extract.vocabulary import Vocabulary, blocks

# Rounding of E[G] by two float32 matrix products, in UNIT |w| |row|; measured: 2.1 at most.
_FIRST = 4.0
# Rounding of a float32 logit, in UNIT |x| |row|; measured in the mean over p, which is what counts unless one token
# with a very long row has nearly all of it: 0.36 at most in models, 2.8 in random ones whose lengths differ 300-fold.
_LOGIT = 4.0
_ROWS = 128  # positions that a thread works on at a time, at most
_EVEN = 4  # pieces of a block come in multiples of this, to be shared evenly; not by threads: numbers depend on it


@dataclass
class Found:
    """Deltas (T, N) float64 of a block, their bounds, and which pairs are left for float64."""

    delta: Tensor
    error: Tensor
    left: Tensor  # bool
    n_by_segment: list[int]  # pairs that needed no more than so many segments term by term


def expectations(vocabulary: Vocabulary, positions: Positions, neurons: Neurons, changes: list[Change]) -> list[Found]:
    """One `Found` for each of `changes` (T, N): the ablation itself and its variants with something frozen."""
    squares = second_moments(positions, neurons, vocabulary.segments)
    sums = torch.matmul(positions.unembedded, neurons.centred.float().T)  # (L, T, N)
    error = SINGLE_ERROR if positions.rest_half is None else HALF_ERROR
    block = _Block(vocabulary, positions, neurons, changes, squares, sums, error)
    n_positions = len(positions)
    n_pieces = _EVEN * -(-n_positions // (_EVEN * _ROWS))
    pieces = run_each(block.of, list(blocks(n_positions, -(-n_positions // n_pieces))), positions.rest.device)
    return [
        Found(
            delta=torch.cat([piece[k].delta for piece in pieces]),
            error=torch.cat([piece[k].error for piece in pieces]),
            left=torch.cat([piece[k].left for piece in pieces]),
            n_by_segment=[sum(each) for each in zip(*(piece[k].n_by_segment for piece in pieces), strict=True)],
        )
        for k in range(len(changes))
    ]


@dataclass(frozen=True)
class _Block:
    vocabulary: Vocabulary
    positions: Positions
    neurons: Neurons
    changes: list[Change]
    squares: Tensor  # (L, T, N)
    sums: Tensor  # (L, T, N)
    error: float

    def of(self, rows: slice) -> list[Found]:
        """All changes at some positions."""
        target = self.vocabulary.double(self.positions.place[rows]) @ self.neurons.centred.T
        return [self._found(k, rows, target) for k in range(len(self.changes))]

    def _probable_in_double(self, first: int, pairs: Pairs) -> Pairs:
        """`pairs` with the probable tokens' part summed in float64, of float32 probabilities, logits and effects."""
        excess, rounding = torch.zeros_like(pairs.own), torch.zeros_like(pairs.own)
        for i, (t, column) in enumerate(zip(pairs.at.tolist(), pairs.column.tolist(), strict=True)):
            mine = self.positions.sets[first + t : first + t + 1]
            places, p, z = mine.places, mine.p, mine.logits
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

    def _found(self, k: int, rows: slice, target: Tensor) -> Found:
        """Change `k` at some positions: by two moments, and what they leave open term by term.

        `target`: the effects on the targets, (T, N).
        """
        positions, neurons = self.positions, self.neurons
        direction = self.vocabulary.direction
        factors = self._factors(self.changes[k], (rows,))
        excess, size = sums_over_sets(neurons.effect_by_token, positions.sets[rows], direction, factors)
        change = self.changes[k].at((rows,))
        own = change.stretch * positions.target_logit[rows, None] - change.push * target
        if change.lift is not None and direction is not None:
            own -= change.lift * direction[positions.place[rows], None]
        push = change.push.abs()
        rest = self._moments(0, rows, None)
        farthest = change.stretch.abs() * positions.set_largest[rows, None] + push * neurons.span[:, 0]
        if change.lift is not None:
            farthest += change.lift.abs() * rest.u_largest
        rounding = rounded(farthest, size, 1 + excess)
        value, bound, spread = by_moments(change, rest)
        logit = (
            WEIGHT
            + _LOGIT * self.vocabulary.row_norm * positions.length[rows, None]
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
        known = (each[left] for each in (own, excess, rounding, lost, logit_error, farthest))
        pairs = Pairs(change.at((left,)), at, column, *known)
        counts = self._by_terms(k, rows, delta, error, pairs)
        left[at, column] = ~is_fine(delta[left], error[left])
        return Found(delta, error, left, [delta.numel() - len(at), *counts])

    def _by_terms(self, k: int, rows: slice, delta: Tensor, error: Tensor, pairs: Pairs) -> list[int]:
        """Take more tokens of `pairs`, and write to `delta` and `error` (T, N); how many needed how many segments."""
        positions, segments = self.positions, self.vocabulary.segments
        counts: list[int] = []

        def settle(value: Tensor, bound: Tensor) -> Tensor:
            """Keep the deltas of `pairs` from the improbable tokens' `value`, and say which of them are certain."""
            found, off = result_of(pairs.excess + value, bound, pairs.own)
            delta[pairs.at, pairs.column], error[pairs.at, pairs.column] = found, off
            fine = is_fine(found, off)
            counts.append(int(fine.sum()))
            return fine

        sums = torch.zeros(2, len(pairs.at), dtype=torch.float64, device=delta.device)
        for segment, part in enumerate(segments):
            sums = sums + self._segment(k, rows.start, pairs, part)
            mass = positions.mass[rows, 0][pairs.at]
            value, bound, size = (torch.zeros_like(mass) for _ in range(3))
            if segment + 1 < len(segments):
                value, bound, spread = by_moments(
                    pairs.change, self._moments(segment + 1, rows, (pairs.at, pairs.column))
                )
                size = size_of(value.abs() + bound, spread, positions.mass[rows, segment + 1][pairs.at])
            fine = settle(sums[0] + value, bound + pairs.rounded(sums, size, mass))
            pairs, sums = pairs.but(fine), sums[:, ~fine]
        # no token is left, but the bound on the rounding of the probable tokens' part may be too coarse
        pairs = self._probable_in_double(rows.start, pairs)
        mass = positions.mass[rows, 0][pairs.at]
        pairs = pairs.but(settle(sums[0], pairs.rounded(sums, torch.zeros_like(mass), mass)))
        return counts

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
        direction = self.vocabulary.direction
        return Moments(
            mass=of_position(positions.mass),
            z_mean=of_position(positions.z_mean),
            z_deviation=of_position(positions.z_deviation),
            z_largest=of_position(positions.z_largest),
            effect_sum=of_pair(self.sums),
            effect_squares=of_pair(self.squares),
            span=span,
            first_error=_FIRST * UNIT * self.vocabulary.row_norm * length,
            error=self.error,
            u_mean=None if positions.u_mean is None else of_position(positions.u_mean),
            u_deviation=None if positions.u_deviation is None else of_position(positions.u_deviation),
            u_largest=0.0 if direction is None else float(direction.abs().max()),
            n_tokens=self.vocabulary.last.n_vocabulary - self.vocabulary.segments[segment].start,
        )

    def _segment(self, k: int, first: int, pairs: Pairs, part: slice) -> Tensor:
        """Sums of p (e^h - 1) and of their sizes over the improbable tokens of a segment, (2, n) float64."""
        at, column, positions = pairs.at + first, pairs.column, self.positions
        factors = self._factors(self.changes[k], (at, column))
        arrays = self.neurons.effect, positions.logits, positions.rest, self.vocabulary.direction
        return sums_over_tokens(*arrays, part, at, column, factors)
