"""`rt extract --heads`: what ablating each attention head does to the loss and to the neurons of the last MLP.

Shapes: L layers, H heads of a layer, h width of a head, W windows, C context.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from extract.estimate import check_disk
from extract.extra_passes import Published
from extract.families import LastLayer, attention_outs, capture
from extract.head_check import check_heads
from extract.head_sampling import sample_positions
from extract.head_variants import ABLATIONS, ablate, has_path, n_heads, trace
from extract.head_work import STRATA, SUMS, HeadWork
from extract.passes import list_column
from extract.progress import Progress
from extract.session import Session
from extract.staging import Stage
from extract.windows import Plan
from warehouse.errors import RtError
from warehouse.shards import write_shard

VERSION = 2  # raised when the rows of the same settings would change
BYTES = 2.0  # on disk, measured 1.9, of a number in head_neurons
NO_PATH = "parallel residual: the last MLP reads the input of the layer, not what its attention adds"
_HEADS, _POSITIONS = (f"run/{table}/part-00000.parquet" for table in ("attention_heads", "head_positions"))


@dataclass(frozen=True)
class HeadPass:
    """`tokens` positions are sampled by `seed`, 0: all pairs; each head is ablated there in each of `ablations`."""

    tokens: int = 512
    ablations: tuple[str, ...] = ("mean",)
    seed: int = 0
    of_pass: str = "heads"

    @classmethod
    def of(cls, tokens: int, ablations: str, seed: int) -> "HeadPass":
        """From the options of the command: `ablations` are names with commas between them."""
        return cls(tokens, tuple(sorted({each.strip() for each in ablations.split(",")})), seed)

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the rows, besides the run."""
        return {
            "version": VERSION,
            "head_tokens": self.tokens,
            "head_ablation": list(self.ablations),
            "seed": self.seed,
        }

    def check(self) -> None:
        """Raise `RtError` for an ablation that is not known, or fewer positions than a pair."""
        if unknown := [each for each in self.ablations if each not in ABLATIONS]:
            raise RtError(f"--head-ablation {','.join(unknown)}", hint=f"allowed: {', '.join(ABLATIONS)}, or both")
        if self.tokens < 0 or self.tokens == 1:
            raise RtError(f"--head-tokens {self.tokens}", hint="at least 2, a rare and a common position; 0: all pairs")

    def fits(self, session: Session) -> None:
        """Raise `ModelError` for a model whose heads are not known."""
        attention_outs(session.model, session.last)

    def estimate(self, session: Session, plan: Plan) -> tuple[float, int]:
        """Seconds and bytes: four positions of one window are measured; the whole number of them is assumed."""
        model, last = session.model, session.last
        ids = torch.from_numpy(plan.windows[0].token_ids.astype(np.int64)).to(model.device)
        capture(model, last, ids[None])
        begun = time.monotonic()
        clean = trace(model, last, ids)
        window = time.monotonic() - begun
        mean = _no_means(model, last)
        place = torch.linspace(1, len(ids) - 2, 4, device=ids.device).long()
        begun = time.monotonic()
        ablate(model, last, clean, place, ids[place + 1], mean, self.ablations)
        position = (time.monotonic() - begun) / len(place)
        n = self.tokens or len(plan.windows) * (len(ids) - 1)
        n_documents = min(len(plan.documents), max(n // 2, 1))
        forward = window * len(plan.windows) * ("mean" in self.ablations)
        seconds = forward + min(n, len(plan.windows)) * window + n * position
        return seconds, self._bytes(last, len(mean[0]), n, n_documents)

    def _bytes(self, last: LastLayer, heads: int, n: int, n_documents: int) -> int:
        """Bytes on disk of the pass with `n` positions in so many documents."""
        variants = last.n_layers * heads * len(self.ablations)
        return int(variants * (n_documents * len(STRATA) * len(SUMS) * last.d_mlp * BYTES + 6 * n))

    def make(self, session: Session, run: Published, stage: Stage) -> None:
        """Sample, measure the mean outputs, let the model prove the ablation, and ablate."""
        _, windows = run.windows()
        rows = sample_positions(run, self.tokens, self.seed)
        self._write_positions(rows, stage)
        mean = self._means(session, windows, stage)
        size = self._bytes(session.last, len(mean[0]), rows.height, rows["document"].n_unique())
        check_disk(session.inputs.settings.lake, 3 * size)  # the sums are staged as they are
        window, position = rows.select("window", "position").row(0)
        ids = torch.from_numpy(windows[window]).to(mean.device)
        rng = np.random.default_rng(self.seed)
        with stage.timed("self_check"):
            errors = check_heads(session.model, session.last, ids, position, mean, self.ablations, rng)
        stage.note(self_check=errors, n_positions=rows.height, n_pairs=rows.height // 2)
        HeadWork(session, stage, windows, rows, mean, self.ablations, session.inputs.settings.memory_bytes).run()

    def _write_positions(self, rows: pl.DataFrame, stage: Stage) -> None:
        if not stage.has(_POSITIONS):
            data = rows.drop("window", "position", "target_id").to_arrow()
            stage.record(write_shard(stage.folder / _POSITIONS, "head_positions", data, stage.folder))

    def _means(self, session: Session, windows: np.ndarray, stage: Stage) -> Tensor:
        """Write `attention_heads`; the mean outputs (L, H, h), zeros where they are not needed."""
        model, last, settings = session.model, session.last, session.inputs.settings
        mean = _no_means(model, last)
        layers, heads, width = mean.shape
        if not stage.has(_HEADS):
            found = None
            if "mean" in self.ablations:
                with stage.timed("mean_output"):
                    found = mean_outputs(model, last, windows, settings.skip, settings.batch_size)
            reached = np.repeat([has_path(last, layer) for layer in range(layers)], heads)
            data = {
                "layer": np.repeat(np.arange(layers, dtype=np.int32), heads),
                "head": np.tile(np.arange(heads, dtype=np.int32), layers),
                "has_path": reached,
                "reason": [None if each else NO_PATH for each in reached],
                "mean_output": pa.nulls(layers * heads, pa.list_(pa.float32()))
                if found is None
                else list_column(found.reshape(layers * heads, width)),
            }
            stage.record(write_shard(stage.folder / _HEADS, "attention_heads", pa.table(data), stage.folder))
        if "mean" not in self.ablations:
            return mean
        stored = pq.read_table(stage.folder / _HEADS, columns=["mean_output"])["mean_output"].combine_chunks()
        return torch.from_numpy(np.array(stored.flatten()).reshape(mean.shape)).to(mean)


def mean_outputs(model: Any, last: LastLayer, windows: np.ndarray, skip: int, batch: int) -> np.ndarray:
    """Mean (L, H h) float64 of the heads' outputs over the analysed positions of `windows` (W, C)."""
    outs = attention_outs(model, last)
    total = [torch.zeros((), dtype=torch.float64)] * len(outs)
    size = windows.shape[1]

    def keep(index: int) -> Any:
        def add(_module: Any, inputs: tuple[Tensor, ...]) -> None:
            part = inputs[0].detach()[:, skip : size - 1]
            total[index] = total[index] + part.double().sum((0, 1)).cpu()

        return add

    n = size - 1 - skip
    with ExitStack() as hooks, Progress("mean output of heads", len(windows) * n, "positions") as bar:
        for index, out in enumerate(outs):
            hooks.callback(out.register_forward_pre_hook(keep(index)).remove)
        for ids in torch.from_numpy(windows).split(batch):
            capture(model, last, ids.to(model.device))
            bar.advance(len(ids) * n)
    return np.asarray(torch.stack(total).numpy() / (len(windows) * n))


def _no_means(model: Any, last: LastLayer) -> Tensor:
    """Zeros (L, H, h)."""
    heads = n_heads(model, last)
    width = attention_outs(model, last)[0].weight.shape[0 if last.parts.is_transposed else 1]
    return torch.zeros(last.n_layers, heads, width // heads, device=model.device)
