"""The two passes over the windows, and the merge: one forward, every neuron's ablation, neuron-major files.

Work goes in shards of whole windows whose cut does not depend on the batch size. Shapes: C context, S windows of a
shard, P analysed positions of a window, T = S * P positions of a shard, d = d_model, N = d_mlp.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from extract.ablation import Ablation
from extract.ablation_result import Result, Routes, joined
from extract.families import LastLayer, capture
from extract.merge import STAGED_NEURONS, gather_rows, merge_pairs
from extract.progress import Progress
from extract.settings import Settings
from extract.staging import Stage, beside_the_caller
from extract.windows import Window, positions_per_window, spread
from warehouse.errors import ModelError
from warehouse.schema import TABLES
from warehouse.shards import ShardWriter, write_shard

PAIRS = 3_000_000  # (token, neuron) pairs of a shard, about: what a kill can lose
SAMPLE = 256  # residuals that tell which tokens are usually probable
DELTAS = ("delta_loss", "delta_frozen_norm", "delta_frozen_frequency")
_FORWARD = pa.schema(
    [("token_index", pa.int32()), ("residual", pa.list_(pa.float32())), ("activation", pa.list_(pa.float32()))]
)


class Passes:
    """The work of one run: settings, the stage it goes into, the model's last layer, and the windows."""

    def __init__(
        self, settings: Settings, stage: Stage, last: LastLayer, windows: list[Window], log_unigram: np.ndarray
    ) -> None:
        self.settings, self.stage, self.last, self.windows = settings, stage, last, windows
        self.log_unigram = log_unigram  # (V,)
        self.deltas = DELTAS if settings.frozen_tokens else DELTAS[:1]
        self.per_window = positions_per_window(settings.context, settings.skip)
        self.per_shard = max(1, PAIRS // (self.per_window * last.d_mlp))
        self.n_shards = -(-len(windows) // self.per_shard)
        self.n_positions = len(windows) * self.per_window
        self.is_frozen = spread(len(windows), -(-settings.frozen_tokens // self.per_window))  # (windows,)

    def _shard(self, index: int) -> list[Window]:
        return self.windows[index * self.per_shard : (index + 1) * self.per_shard]

    def _ids(self, windows: list[Window]) -> torch.Tensor:
        return torch.from_numpy(np.stack([window.token_ids for window in windows]).astype(np.int64))  # (S, C)

    def _first_token(self, index: int) -> int:
        return index * self.per_shard * self.per_window

    # -- pass 1 ---------------------------------------------------------------------------------------------------

    def forward(self, model: Any) -> None:
        """Run the body once over every window; keep the residual before the final norm and the activations."""
        todo = [i for i in range(self.n_shards) if not self.stage.has(_forward_file(i))]
        done = self.n_positions - sum(len(self._shard(i)) for i in todo) * self.per_window
        progress = Progress("forward pass", self.n_positions, "positions", done)
        with self.stage.timed("forward"), beside_the_caller() as beside, progress as bar:
            for index in todo:
                residual, activation = self._capture(model, self._ids(self._shard(index)))
                beside(self._write_forward, index, residual, activation)
                bar.advance(len(residual))

    def _write_forward(self, index: int, residual: np.ndarray, activation: np.ndarray) -> None:
        first = self._first_token(index)
        token = pa.array(np.arange(first, first + len(residual), dtype=np.int32))
        data = pa.table([token, list_column(residual), list_column(activation)], schema=_FORWARD)
        path = self.stage.folder / _forward_file(index)
        with ShardWriter(path, TABLES["residuals"], self.stage.folder, _FORWARD, compression="none") as writer:
            writer.write(data)
        self._record(writer)

    def _record(self, writer: ShardWriter) -> None:
        assert writer.shard is not None
        self.stage.record(writer.shard)

    def _capture(self, model: Any, ids: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(T, d) and (T, N) of the analysed positions of the windows `ids` (S, C)."""
        part = slice(self.settings.skip, self.settings.context - 1)
        parts: dict[str, list[np.ndarray]] = {"residuals": [], "activations": []}
        for batch in ids.split(self.settings.batch_size):
            for name, values in zip(parts, capture(model, self.last, batch.to(model.device)), strict=True):
                parts[name].append(values[:, part].flatten(0, 1).cpu().numpy())
        residual, activation = (np.concatenate(values) for values in parts.values())
        for name, array in (("residuals", residual), ("activations", activation)):
            if not np.isfinite(array).all():
                raise ModelError(
                    f"the model gives {name} that are not finite in {self.settings.dtype}",
                    hint="use --dtype float32; if it happens there too, the weights are broken",
                )
        return residual, activation

    def _read_forward(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(T, d) and (T, N) of a shard, as pass 1 kept them."""
        data = pq.read_table(self.stage.folder / _forward_file(index))
        return _matrix(data, "residual"), _matrix(data, "activation")

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (ddof 1) of every neuron over all analysed positions, (N,) float64 each.

        Shards are merged in their order by Chan's update, so that a resumed run finds the same values.
        """
        n, mean, squares = 0, np.zeros(self.last.d_mlp), np.zeros(self.last.d_mlp)
        for index in range(self.n_shards):
            part = self._read_forward(index)[1].astype(np.float64)
            here, gap = part.mean(axis=0), len(part)
            step = here - mean
            squares += ((part - here) ** 2).sum(axis=0) + step**2 * n * gap / (n + gap)
            mean += step * gap / (n + gap)
            n += gap
        return mean, np.sqrt(squares / max(n - 1, 1))

    # -- pass 2 ---------------------------------------------------------------------------------------------------

    def ablate(self, mean: np.ndarray) -> None:
        """Unembed every position once and set every neuron to its mean (N,) there, in closed form."""
        device = self.last.unembed.device
        todo = [i for i in range(self.n_shards) if not self.stage.has(_pairs_file(i))]
        if not todo:
            return
        done = self.n_positions - sum(len(self._shard(i)) for i in todo) * self.per_window
        with self.stage.timed("ablation"), beside_the_caller() as beside:
            engine = Ablation(
                self.last,
                torch.from_numpy(mean).to(device),
                memory=self.settings.memory_bytes,
                sample=torch.from_numpy(self._sample()).to(device),
                log_unigram=torch.from_numpy(self.log_unigram).to(device),
                frozen=self.settings.frozen_tokens > 0,
            )
            with Progress("ablation", self.n_positions, "positions", done) as bar:
                for index in todo:
                    residual, activation = self._read_forward(index)
                    target = self._targets(index)
                    x, a = torch.from_numpy(residual).to(device), torch.from_numpy(activation).to(device)
                    found = self._ablated(engine, index, x, a, target.to(device))
                    beside(self._write_ablation, index, target.numpy(), activation, found)
                    bar.advance(len(residual))

    def _ablated(
        self, engine: Ablation, index: int, residual: torch.Tensor, activation: torch.Tensor, target: torch.Tensor
    ) -> Result:
        """The deltas of a shard; NaN for the frozen ones of windows that do not get them."""
        chosen = self.is_frozen[index * self.per_shard : (index + 1) * self.per_shard]
        if chosen.all() or not chosen.any():
            return engine.run(residual, activation, target, is_plain=not chosen.any())
        is_frozen = torch.from_numpy(np.repeat(chosen, self.per_window)).to(residual.device)
        rows = [torch.nonzero(~is_frozen).flatten(), torch.nonzero(is_frozen).flatten()]
        parts = [
            engine.run(residual[each], activation[each], target[each], is_plain=is_plain)
            for each, is_plain in zip(rows, (True, False), strict=True)
        ]
        return joined(parts, torch.cat(rows).argsort())

    def _sample(self) -> np.ndarray:
        """Residuals (n, d) from all over the run: the same ones however often it was interrupted."""
        shards = sorted({round(i) for i in np.linspace(0, self.n_shards - 1, 8)})
        parts = []
        for index in shards:
            part = pq.read_table(self.stage.folder / _forward_file(index), columns=["residual"])
            parts.append(_matrix(part, "residual")[:: -(-part.num_rows * len(shards) // SAMPLE)])
        return np.concatenate(parts)

    def _write_ablation(self, index: int, target: np.ndarray, activation: np.ndarray, found: Result) -> None:
        """`tokens` and `neuron_tokens` of a shard; the latter last, as it tells whether the shard is done."""
        loss, entropy, rank = (each.cpu().numpy() for each in (found.loss, found.entropy, found.rank))
        if not np.isfinite(loss).all():
            raise ModelError("a loss is not finite", hint="use --dtype float32")
        self._write_tokens(index, target, loss, entropy, rank)
        routes = {name: asdict(routes) for name, routes in found.routes.items()}
        self.stage.note(routes={**self.stage.facts.get("routes", {}), str(index): routes})
        nothing = np.full(activation.shape, np.nan, dtype=np.float32)
        deltas = [found.deltas[name].cpu().numpy() if name in found.deltas else nothing for name in self.deltas]
        self._write_pairs(index, activation, deltas)

    def _targets(self, index: int) -> torch.Tensor:
        return self._ids(self._shard(index))[:, self.settings.skip + 1 :].flatten()  # (T,)

    def _write_tokens(
        self, index: int, target: np.ndarray, loss: np.ndarray, entropy: np.ndarray, rank: np.ndarray
    ) -> None:
        windows = self._shard(index)
        first = self._first_token(index)
        skip, context = self.settings.skip, self.settings.context
        data = pa.table(
            {
                "token_index": np.arange(first, first + len(target), dtype=np.int32),
                "document": np.repeat([window.document for window in windows], self.per_window),
                "window": index * self.per_shard + np.repeat(np.arange(len(windows)), self.per_window),
                "position": np.tile(np.arange(skip, context - 1), len(windows)),
                "token_id": self._ids(windows)[:, skip:-1].flatten().numpy(),
                "target_id": target,
                "loss": loss,
                "entropy": entropy,
                "target_rank": rank,
            }
        )
        path = self.stage.folder / _tokens_file(index)
        self.stage.record(write_shard(path, "tokens", data, self.stage.folder))

    def _write_pairs(self, index: int, activation: np.ndarray, deltas: list[np.ndarray]) -> None:
        """The shard's part of `neuron_tokens`, by neuron, then position; (T, N) each. No ids: the order tells them."""
        values = {"activation": activation, **dict(zip(self.deltas, deltas, strict=True))}
        data = pa.table({name: np.ascontiguousarray(each.T, np.float32).ravel() for name, each in values.items()})
        path = self.stage.folder / _pairs_file(index)
        table = TABLES["neuron_tokens"]
        with ShardWriter(path, table, self.stage.folder, data.schema, compression="none") as writer:
            writer.write(data, STAGED_NEURONS * len(activation))
        self._record(writer)

    def merge(self) -> None:
        """Write the final `neuron_tokens`, neuron-major over the whole run, `tokens` and `residuals`."""
        shards = range(self.n_shards)
        with self.stage.timed("merge"):
            names = ["activation", *self.deltas]
            merge_pairs(self.stage, [_pairs_file(i) for i in shards], names, self.last.d_mlp, self.n_positions)
            gather_rows(self.stage, "tokens", [_tokens_file(i) for i in shards])
            gather_rows(self.stage, "residuals", [_forward_file(i) for i in shards])


def total_routes(shards: Iterable[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The routes of all shards together, by column: numbers of pairs added up, the worst of the bounds."""
    total: dict[str, Routes] = {}
    for shard in shards:
        for name, routes in shard.items():
            total.setdefault(name, Routes()).add(Routes(**routes))  # type: ignore[arg-type]  # numbers of pairs are int
    return {name: asdict(routes) for name, routes in total.items()}


def _forward_file(index: int) -> str:
    return f"work/forward/shard-{index:05d}.parquet"


def _tokens_file(index: int) -> str:
    return f"work/tokens/shard-{index:05d}.parquet"


def _pairs_file(index: int) -> str:
    return f"work/ablation/shard-{index:05d}.parquet"


def _matrix(data: pa.Table, name: str) -> np.ndarray:
    """A list column of equal lengths as (rows, length) float32."""
    flat = data.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(flat).reshape(data.num_rows, -1)


def list_column(matrix: np.ndarray) -> pa.Array:
    """(rows, length) as a list column of float32."""
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix, np.float32).ravel()))
