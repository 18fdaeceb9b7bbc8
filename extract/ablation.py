"""The change of the loss when one neuron of the last MLP is set to its mean: exact, for every neuron at every position.

Only the final norm and the unembedding follow the last MLP, so no forward pass per neuron is needed. With x the
residual before the norm, w_i the neuron's row of W_out, D = a_i - mean_i, C the centring of LayerNorm (identity for
RMSNorm), gamma the norm's gain and s its scale:

    logits' = (A - D G_i) / s' + const,   A = (xC * gamma) U^T,   G_i = (w_i C * gamma) U^T,
    s'^2 = (|xC|^2 - 2 D xC.w_iC + D^2 |w_iC|^2) / d + eps,

where const (norm bias and unembedding bias) is not rescaled. With z = A / s, p = softmax(z + const) and
h = (s/s' - 1) z - (D/s') G_i, the change is `log E_p[e^h] - h_target`. Losses are never subtracted: two float32 losses
near 3 differ by 2.5e-5 from rounding alone, more than most neurons do. Any constant may be taken from h, so z and G_i
are centred to keep h small. All that is (positions x neurons) is float64; only the sums over the vocabulary are
float32, and pairs with |h| too large for that are done again in float64.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from extract.families import LastLayer
from warehouse.errors import ModelError

MEMORY = 2 << 30
# Where the bound on |h| is above this, float32 may err by 1e-6 nats (measured: 9e-7 at most below it), and the pair is
# done in float64.
LIMIT = 2.0
# Neurons x tokens of one step on the CPU: half a megabyte, for a core's cache. Longer sums in float32 lose their many
# small terms: with 2,048 tokens the error is three times larger.
_CPU_TILE = (256, 512)
_CPU_POSITIONS = 64
_CUDA_ELEMENTS = 1 << 26
# Elements of the unembedding that are turned into float64 at a time.
_DOUBLE_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class _Positions:
    """A block of positions (T): what the unembedding makes of them."""

    centred: Tensor  # (T, d) float64: xC
    scale: Tensor  # (T,) float64: s
    logits: Tensor  # (T, V) float64: z, without const, minus its mean under p
    logits32: Tensor  # (T, V) the same in float32
    probability: Tensor  # (T, V) float32
    log_total: Tensor  # (T,) float64: log sum of e^(logits + const)
    target: Tensor  # (T,)


@dataclass(frozen=True)
class _Neurons:
    """A block of neurons (N): their directions in the residual stream and in the vocabulary."""

    centred: Tensor  # (N, d) float64: w_i C
    effect: Tensor  # (N, V) float32: G_i, minus its mean over the vocabulary
    offset: Tensor  # (N,) float64: that mean
    span: Tensor  # (N,) float64: max |effect|


class Ablation:
    """Losses and mean-ablation deltas from cached residuals and activations.

    `mean` (N,): the value that ablation sets. `memory`: bytes to work in, besides the arguments and results; shapes the
    blocks, not the numbers. Runs on the device of `last`.
    """

    def __init__(self, last: LastLayer, mean: Tensor, memory: int = MEMORY) -> None:
        if mean.shape != (last.d_mlp,):
            raise ValueError(f"mean has shape {tuple(mean.shape)}, not ({last.d_mlp},)")
        self.last = last
        self.mean = mean.to(last.w_out.device, torch.float64)
        half = memory // 2
        vocabulary = last.n_vocabulary
        # float32 effects; in float64: weights, their centring and their products
        self.n_neurons = max(1, min(last.d_mlp, half // (4 * vocabulary + 32 * last.d_model)))
        # z in both formats, p, and two float64 intermediates; then the scalars of each pair
        self.n_positions = max(1, half // (32 * vocabulary + 96 * self.n_neurons + 32 * last.d_model))
        self._constant = _constant(last)
        self._all_neurons: _Neurons | None = None

    def baseline(self, residual: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each position: loss (nats), entropy (nats), both float32, and how many logits exceed the target's (int64).

        `residual` (T, d) before the final norm, `target` (T,) token ids.
        """
        losses, entropies, ranks = [], [], []
        for rows in _blocks(len(residual), self.n_positions):
            centred, scale = _normalise(self.last, residual[rows].double())
            logits = self._logits(centred / scale[:, None])
            if self._constant is not None:
                logits += self._constant
            logits -= logits.amax(1, keepdim=True)
            of_target = logits.gather(1, target[rows, None])
            ranks.append((logits > of_target).sum(1))
            weight = logits.exp()
            total = weight.sum(1)
            log_total = total.log()
            losses.append(log_total - of_target[:, 0])
            entropies.append(log_total - weight.mul_(logits).sum(1) / total)
        return torch.cat(losses).float(), torch.cat(entropies).float(), torch.cat(ranks)

    def delta(
        self,
        residual: Tensor,
        activation: Tensor,
        target: Tensor,
        progress: Callable[[int], object] | None = None,
    ) -> Tensor:
        """Loss with the neuron at its mean minus the loss, in nats: (T, N) float32; exactly 0 where it is at its mean.

        `residual` (T, d), `activation` (T, N), `target` (T,). `progress` is told the number of pairs done after each
        block. Error at most 1e-6 + 1e-3 |delta| against float64. Raises ModelError if a delta is not finite.
        """
        result = torch.empty(activation.shape, dtype=torch.float32, device=residual.device)
        for rows in _blocks(len(residual), self.n_positions):
            positions = self._positions(residual[rows], target[rows])
            for columns in _blocks(self.last.d_mlp, self.n_neurons):
                difference = activation[rows, columns].double() - self.mean[columns]
                block = self._block(positions, self._neurons(columns), difference, columns)
                result[rows, columns] = block.float()
                if progress is not None:
                    progress(block.numel())
        if not bool(torch.isfinite(result).all()):
            where = (~torch.isfinite(result)).nonzero()[0].tolist()
            raise ModelError(
                f"the delta of position {where[0]}, neuron {where[1]} is not finite",
                hint="the model's activations or weights overflow: run it with --dtype float32",
            )
        return result

    def _block(self, positions: _Positions, neurons: _Neurons, difference: Tensor, columns: slice) -> Tensor:
        """Deltas (T, N) float64 of a block; `difference` (T, N) is a - mean."""
        stretch, push = _coefficients(self.last, positions, neurons, difference)
        target_row = self.last.unembed[positions.target].double() * self.last.gain.double()  # (T, d)
        effect = target_row @ neurons.centred.T - neurons.offset  # (T, N), of the target
        own = positions.logits.gather(1, positions.target[:, None])  # (T, 1)
        of_target = stretch * own - push * effect
        bound = stretch.abs() * positions.logits32.abs().amax(1).double()[:, None] + push.abs() * neurons.span
        excess = _expectation(positions, neurons, stretch.float(), (-push).float())
        # where the bound is too large this is replaced below, so its overflow is no matter
        delta = torch.log1p(excess) - of_target
        for column in (bound > LIMIT).any(0).nonzero()[:, 0].split(16):
            self._in_double(delta, positions, columns.start + column, column, bound > LIMIT, stretch, push)
        return delta

    def _in_double(
        self,
        delta: Tensor,
        positions: _Positions,
        neuron: Tensor,
        column: Tensor,
        chosen: Tensor,
        stretch: Tensor,
        push: Tensor,
    ) -> None:
        """Set the `chosen` pairs of some columns of `delta`: everything in float64, sums shifted by their maximum."""
        directions = _centre(self.last, self.last.w_out[neuron].double()) * self.last.gain.double()
        effects = self._unembed(directions)  # (n, V)
        for effect, c in zip(effects, column.tolist(), strict=True):
            for rows in chosen[:, c].nonzero()[:, 0].split(8):
                z = positions.logits[rows]
                h = stretch[rows, c, None] * z - push[rows, c, None] * effect
                clean = z if self._constant is None else z + self._constant
                change = torch.logsumexp(clean + h, 1) - positions.log_total[rows]
                delta[rows, c] = change - h.gather(1, positions.target[rows, None])[:, 0]

    def _positions(self, residual: Tensor, target: Tensor) -> _Positions:
        centred, scale = _normalise(self.last, residual.double())
        z = self._logits(centred / scale[:, None])
        clean = z if self._constant is None else z + self._constant
        log_total = torch.logsumexp(clean, 1)
        p = torch.exp(clean - log_total[:, None])
        mean = torch.linalg.vecdot(p, z)
        z -= mean[:, None]
        return _Positions(centred, scale, z, z.float(), p.float(), log_total - mean, target)

    def _neurons(self, columns: slice) -> _Neurons:
        if self._all_neurons is not None:
            return self._all_neurons
        centred = _centre(self.last, self.last.w_out[columns].double())
        effect = (centred * self.last.gain.double()).float() @ self.last.unembed.T
        offset = effect.mean(1)
        effect -= offset[:, None]
        span = torch.maximum(effect.amax(1), -effect.amin(1))
        neurons = _Neurons(centred, effect, offset.double(), span.double())
        if self.n_neurons == self.last.d_mlp:  # they all fit: keep them for the next block of positions
            self._all_neurons = neurons
        return neurons

    def _logits(self, normalised: Tensor) -> Tensor:
        return self._unembed(normalised * self.last.gain.double())

    def _unembed(self, rows: Tensor) -> Tensor:
        """`rows` (n, d) float64 times the unembedding, (n, V) float64, without a float64 copy of all of it."""
        result = torch.empty(len(rows), self.last.n_vocabulary, dtype=torch.float64, device=rows.device)
        for tokens in _blocks(self.last.n_vocabulary, max(1, _DOUBLE_ELEMENTS // self.last.d_model)):
            torch.matmul(rows, self.last.unembed[tokens].double().T, out=result[:, tokens])
        return result


def _coefficients(last: LastLayer, positions: _Positions, neurons: _Neurons, D: Tensor) -> tuple[Tensor, Tensor]:
    """`s/s' - 1` and `D/s'` (T, N) float64; the first without subtracting scales, which cancel where D is small."""
    # minus d times the change of s^2
    drop = 2 * D * (positions.centred @ neurons.centred.T) - D.square() * neurons.centred.square().sum(1)
    drop /= last.d_model
    scale = positions.scale[:, None]
    # rounding may take a square that is all but zero below eps, where it cannot be
    ablated = (scale.square() - drop).clamp_min_(last.eps).sqrt_()
    return drop / (ablated * (scale + ablated)), D / ablated


def _expectation(positions: _Positions, neurons: _Neurons, stretch: Tensor, push: Tensor) -> Tensor:
    """`E_p[e^h - 1]` (T, N) float64 for `h = stretch z + push G`: all the time is spent here."""
    z, p, effect = positions.logits32, positions.probability, neurons.effect
    result = torch.zeros(stretch.shape, dtype=torch.float64, device=stretch.device)
    on_cpu = result.device.type == "cpu"
    n_vocabulary = z.shape[1]
    tile = _CPU_TILE if on_cpu else (max(1, _CUDA_ELEMENTS // n_vocabulary), n_vocabulary)

    def add(job: tuple[slice, slice]) -> None:
        rows, columns = job
        stretches, pushes = stretch[rows, columns].unbind(), push[rows, columns, None].unbind()
        partial = torch.empty(len(stretches), len(effect[columns]), device=z.device)
        for tokens in _blocks(n_vocabulary, tile[1]):
            own = effect[columns, tokens]
            h = torch.empty_like(own, memory_format=torch.contiguous_format)
            of_position = zip(z[rows, tokens], p[rows, tokens], stretches, pushes, partial, strict=True)
            for z_row, p_row, stretch_row, push_row, total in of_position:
                torch.mul(own, push_row, out=h)
                h.addr_(stretch_row, z_row).expm1_()
                torch.mv(h, p_row, out=total)
            result[rows, columns] += partial

    jobs = list(product(_blocks(len(z), _CPU_POSITIONS if on_cpu else len(z)), _blocks(len(effect), tile[0])))
    if not on_cpu:
        for job in jobs:
            add(job)
        return result
    # Each tile stays in the cache of one core from first to last operation; torch releases the GIL meanwhile.
    with _one_thread_each() as n_threads, ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(add, jobs))
    return result


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Within the block, torch's operations run on one thread; yields how many they had. It is set for the process."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)


def _constant(last: LastLayer) -> Tensor | None:
    """The part of the logits (V,) float64 that the norm does not scale; None where there is none."""
    bias = None if last.unembed_bias is None else last.unembed_bias.double()
    if last.norm_bias is None:
        return bias
    step = max(1, _DOUBLE_ELEMENTS // last.d_model)
    through = torch.cat([part.double() @ last.norm_bias.double() for part in last.unembed.split(step)])
    return through if bias is None else through + bias


def _centre(last: LastLayer, rows: Tensor) -> Tensor:
    return rows - rows.mean(1, keepdim=True) if last.norm_kind == "layer" else rows


def _normalise(last: LastLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """`xC` (T, d) and the scale s (T,) of the final norm, eps inside the mean square."""
    centred = _centre(last, x)
    return centred, (centred.square().mean(1) + last.eps).sqrt()


def _blocks(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
