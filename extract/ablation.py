"""The change of the loss when one neuron of the last MLP is set to its mean: exact, for every neuron at every position.

Only the final norm and the unembedding follow the last MLP, so no forward pass per neuron is needed. With x the
residual before the norm, w_i the neuron's row of W_out, D = a_i - mean_i, C the centring of LayerNorm (identity for
RMSNorm), gamma the norm's gain and s its scale:

    logits' = (A - D G_i) / s' + const,   A = (xC * gamma) U^T,   G_i = (w_i C * gamma) U^T,
    s'^2 = (|xC|^2 - 2 D xC.w_iC + D^2 |w_iC|^2) / d + eps,

where const (norm bias and unembedding bias) is not rescaled. With z = A / s, p = softmax(z + const) and
h = (s/s' - 1) z - (D/s') G_i, the change is `log E_p[e^h] - h_target`. Losses are never subtracted: two float32 losses
near 3 differ by 2.5e-5 from rounding alone, more than most neurons do. How the expectation is found, and why every pair
is within its tolerance, is in `extract.expectation`.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from extract.ablation_result import Result, Routes
from extract.bound import Change
from extract.double import in_double
from extract.expectation import Found, expectations
from extract.families import LastLayer
from extract.neurons import Neurons, read_neurons
from extract.positions import Positions, Reader
from extract.vocabulary import Vocabulary, blocks
from warehouse.errors import ModelError

MEMORY = 2 << 30
# Beyond this many positions at a time nothing gets faster.
_MOST_POSITIONS = 1024


class Ablation:
    """Losses and mean-ablation deltas from cached residuals and activations.

    `mean` (N,): the value that ablation sets. `memory`: bytes to work in, besides the arguments and results; shapes the
    blocks, not the numbers. `sample` (n, d): residuals that tell which tokens are usually probable; makes it faster.
    `frozen`: give `delta_frozen_norm` too and, with `log_unigram` (V,), the logarithm of every token's frequency,
    `delta_frozen_frequency`. `half`: take bfloat16 for the largest matrix products; by default where the processor has
    instructions for them. `neurons` (N,): what to call them, if they are not all of the layer. Runs on the device of
    `last`. For the whole process it turns TF32 products off.
    """

    def __init__(
        self,
        last: LastLayer,
        mean: Tensor,
        memory: int = MEMORY,
        sample: Tensor | None = None,
        log_unigram: Tensor | None = None,
        frozen: bool = False,
        half: bool | None = None,
        neurons: Tensor | None = None,
    ) -> None:
        if mean.shape != (last.d_mlp,):
            raise ValueError(f"mean has shape {tuple(mean.shape)}, not ({last.d_mlp},)")
        self.last = last
        device = last.w_out.device
        self.mean = mean.to(device, torch.float64)
        self.memory = memory
        self.half = has_fast_half(device) if half is None else half
        self.neurons = torch.arange(last.d_mlp) if neurons is None else neurons
        # the bound allows for no other rounding: products of float32 are not of shorter numbers (TF32), nor, on CUDA,
        # partial sums of a product of bfloat16
        torch.set_float32_matmul_precision("highest")
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        direction = _unit(log_unigram) if frozen and log_unigram is not None else None
        self.names = ["delta_loss"]
        if frozen:
            self.names.append("delta_frozen_norm")
            if direction is not None:
                self.names.append("delta_frozen_frequency")
        size, width = last.n_vocabulary, last.d_model
        held = 4 * size * width
        self.vocabulary = Vocabulary(last, sample, direction, keep=held <= memory // 8)
        # two layouts of the effects and their squares; in float64: weights and their centring
        per_neuron = 12 * size + 32 * width
        self.n_neurons = max(1, min(last.d_mlp, memory // 2 // per_neuron))
        # logits, the rest and its copy in bfloat16; the scalars of each pair
        per_position = 12 * size + 240 * self.n_neurons + 64 * width
        self.n_positions = max(1, min(_MOST_POSITIONS, memory * 3 // 8 // per_position))
        self._reader = Reader(self.vocabulary, self.n_positions, self.half)
        self._all_neurons: Neurons | None = None

    def baseline(self, residual: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each position: loss (nats), entropy (nats), both float32, and how many logits exceed the target's (int64).

        `residual` (T, d) before the final norm, `target` (T,) token ids.
        """
        found = [
            (each.loss.float(), each.entropy.float(), each.rank)
            for each in (self._reader.read(residual[rows], target[rows]) for rows in self._rows(len(residual)))
        ]
        loss, entropy, rank = (torch.cat(each) for each in zip(*found, strict=True))
        return loss, entropy, rank

    def delta(
        self,
        residual: Tensor,
        activation: Tensor,
        target: Tensor,
        progress: Callable[[int], object] | None = None,
    ) -> Tensor:
        """`deltas["delta_loss"]` of `run`."""
        return self.run(residual, activation, target, progress).deltas["delta_loss"]

    def run(
        self,
        residual: Tensor,
        activation: Tensor,
        target: Tensor,
        progress: Callable[[int], object] | None = None,
        is_plain: bool = False,
    ) -> Result:
        """Loss with the neuron at its mean minus the loss, in nats: (T, N) float32; exactly 0 where it is at its mean.

        `residual` (T, d), `activation` (T, N), `target` (T,). `progress` is told the number of pairs done after each
        block. `is_plain`: no frozen deltas here. Error at most 1e-6 + 1e-3 |delta| against float64. Raises ModelError
        if a delta is not finite.
        """
        names = self.names[:1] if is_plain else self.names
        deltas = {name: torch.empty(activation.shape, device=residual.device) for name in names}
        routes = {name: Routes() for name in names}
        baselines, left = [], _Left(names)
        for rows in self._rows(len(residual)):
            positions = self._reader.read(residual[rows], target[rows])
            baselines.append((positions.loss.float(), positions.entropy.float(), positions.rank))
            for columns in blocks(self.last.d_mlp, self.n_neurons):
                difference = activation[rows, columns].double() - self.mean[columns]
                for name, change, each in self._found(positions, columns, difference, names):
                    deltas[name][rows, columns] = each.delta.float()
                    routes[name].count(each)
                    left.add(name, each.left, change, rows.start, columns.start)
                if progress is not None:
                    progress(difference.numel())
        for name, values in deltas.items():
            pairs = left.pairs(name)
            if pairs is not None:
                at, column, change = pairs
                values[at, column] = in_double(self.vocabulary, residual, target, at, column, change).float()
            _refuse_infinite(values, self.neurons)
        loss, entropy, rank = (torch.cat(each) for each in zip(*baselines, strict=True))
        return Result(deltas, loss, entropy, rank, routes)

    def _found(
        self, positions: Positions, columns: slice, difference: Tensor, names: list[str]
    ) -> list[tuple[str, Change, Found]]:
        """Of each column the changes and what they do; the neurons, unless all fit, are gone when it returns."""
        neurons = self._neurons(columns)
        changes = changes_of(self.last, positions, neurons, difference, names)
        return list(zip(names, changes, expectations(self.vocabulary, positions, neurons, changes), strict=True))

    def _rows(self, n: int) -> Iterator[slice]:
        """Blocks of positions, all of about the same size."""
        return blocks(n, -(-n // -(-n // self.n_positions)) if n else 1)

    def _neurons(self, columns: slice) -> Neurons:
        if self.n_neurons < self.last.d_mlp:
            return read_neurons(self.vocabulary, columns, self.half)
        if self._all_neurons is None:  # they all fit: kept for the next block of positions
            self._all_neurons = read_neurons(self.vocabulary, columns, self.half)
        return self._all_neurons


class _Left:
    """By column the pairs that float64 must do: rows, neurons and changes, (n,) each, merged when they are asked for.

    They are done at the end, as float64 reads the whole unembedding however few they are.
    """

    def __init__(self, names: list[str]) -> None:
        self._found: dict[str, list[tuple[Tensor, Tensor, Change]]] = {name: [] for name in names}

    def add(self, name: str, left: Tensor, change: Change, row: int, column: int) -> None:
        """Keep the pairs `left` (T, N) of a block that begins at `row` and `column`."""
        index = left.nonzero(as_tuple=True)
        if len(index[0]):
            self._found[name].append((index[0] + row, index[1] + column, change.at(index)))

    def pairs(self, name: str) -> tuple[Tensor, Tensor, Change] | None:
        """All of a column; None where there are none."""
        found = self._found[name]
        if not found:
            return None
        lifts = [change.lift for _, _, change in found if change.lift is not None]
        change = Change(
            torch.cat([change.stretch for _, _, change in found]),
            torch.cat([change.push for _, _, change in found]),
            torch.cat(lifts) if lifts else None,
        )
        return torch.cat([at for at, _, _ in found]), torch.cat([column for _, column, _ in found]), change


def _unit(log_unigram: Tensor) -> Tensor:
    """The centred unit vector (V,) float64; zero, so that nothing is frozen, where all tokens are equally frequent."""
    centred = log_unigram.double() - log_unigram.double().mean()
    length = float(centred.square().sum()) ** 0.5
    return centred / length if length else centred


def has_fast_half(device: torch.device) -> bool:
    """Whether products of bfloat16 matrices are faster than those of float32 by design of the processor."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(torch.backends.mkldnn.is_available() and (able.get("avx512_bf16") or able.get("amx_bf16")))


def changes_of(last: LastLayer, positions: Positions, neurons: Neurons, D: Tensor, names: list[str]) -> list[Change]:
    """Of each column its stretch, push and lift, (T, N) float64. Scales are not subtracted: they cancel."""
    # minus d times the change of s^2
    drop = 2 * D * (positions.centred @ neurons.centred.T) - D.square() * neurons.square_length
    drop /= last.d_model
    scale = positions.scale[:, None]
    # rounding may take a square that is all but zero below eps, where it cannot be
    ablated = (scale.square() - drop).clamp_min_(last.eps).sqrt_()
    stretch, push = drop / (ablated * (scale + ablated)), D / ablated
    found = {
        "delta_loss": Change(stretch, push, None),
        "delta_frozen_norm": Change(torch.zeros_like(D), D / scale, None),
    }
    if positions.along is not None and neurons.along is not None:
        lift = stretch * positions.along[:, None] - push * neurons.along
        found["delta_frozen_frequency"] = Change(stretch, push, lift)
    return [found[name] for name in names]


def _refuse_infinite(delta: Tensor, neurons: Tensor) -> None:
    if not bool(torch.isfinite(delta).all()):
        where = (~torch.isfinite(delta)).nonzero()[0].tolist()
        raise ModelError(
            f"the delta of position {where[0]}, neuron {int(neurons[where[1]])} is not finite",
            hint="the model's activations or weights overflow: run it with --dtype float32",
        )
