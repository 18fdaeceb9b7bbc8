"""The work of `rt extract --heads`, document by document, and the merge of what it leaves into the tables.

Shapes: L layers, H heads of a layer, K ablations, P positions, S strata, N = d_mlp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from torch import Tensor

from extract.families import LastLayer
from extract.head_variants import Variants, ablate, has_path, trace
from extract.merge import merge_groups
from extract.passes import list_column
from extract.progress import Progress
from extract.session import Session
from extract.staging import Stage
from warehouse.errors import ModelError
from warehouse.schema import TABLES
from warehouse.shards import ShardWriter

STRATA = ("common", "rare")
SUMS = ("sum_abs_change", "sum_change", "sum_square_change")
BITS = 12  # significant bits of stored sums: off by 1.2e-4 at most, and half as large on disk


@dataclass(frozen=True)
class HeadWork:
    """The sampled positions `rows`, and what is needed to ablate at them; `mean` (L, H, h), `memory` in bytes."""

    session: Session
    stage: Stage
    windows: np.ndarray  # (W, C) token ids
    rows: pl.DataFrame
    mean: Tensor
    ablations: tuple[str, ...]
    memory: int

    @property
    def last(self) -> LastLayer:
        """The last layer of the model."""
        return self.session.last

    def run(self) -> None:
        """Ablate at every position, then write `head_tokens` and `head_neurons`."""
        parts = self.rows.partition_by("document", maintain_order=True)
        documents = [int(part["document"][0]) for part in parts]
        left = [
            (each, part)
            for each, part in zip(documents, parts, strict=True)
            if not self.stage.has(_file("head_neurons", each))
        ]
        done = self.rows.height - sum(part.height for _, part in left)
        with self.stage.timed("heads"), Progress("heads", self.rows.height, "positions", done) as bar:
            for document, part in left:
                self._document(document, part, bar)
        with self.stage.timed("merge"):
            self._merge(documents)

    def _document(self, document: int, part: pl.DataFrame, bar: Progress) -> None:
        """All positions of a document; its neurons last, as they tell whether it is done."""
        delta, sums = [], np.zeros((len(SUMS), len(STRATA), *self._shape(), self.last.d_mlp), dtype=np.float32)
        for window in part.partition_by("window", maintain_order=True):
            ids = torch.from_numpy(self.windows[window["window"][0]]).to(self.mean.device)
            clean = trace(self.session.model, self.last, ids)
            for chunk in window.iter_slices(self._positions_at_once()):
                place, target = (
                    torch.tensor(chunk[name].to_list(), device=ids.device) for name in ("position", "target_id")
                )
                found = ablate(
                    self.session.model, self.last, clean, place, target, self.mean, self.ablations, self._loss_rows()
                )
                delta.append(found.delta_loss.cpu().numpy())
                _add(sums, found, chunk["stratum"].to_numpy())
                bar.advance(chunk.height)
        reached = [layer for layer in range(self.last.n_layers) if has_path(self.last, layer)]
        if not all(np.isfinite(each).all() for each in (*delta, sums[:, :, reached])):
            raise ModelError("a loss or an activation with a head ablated is not finite", hint="use --dtype float32")
        self._write_tokens(document, part["token_index"].to_numpy(), np.concatenate(delta))
        n = [part.filter(pl.col("stratum") == each).height for each in STRATA]
        self._write_neurons(document, n, sums, reached)

    def _shape(self) -> tuple[int, int, int]:
        return (*self.mean.shape[:2], len(self.ablations))

    def _positions_at_once(self) -> int:
        """Positions whose variants fit half of the memory: states, activations, changes and what is made of them."""
        variants = int(np.prod(self._shape()))
        each = variants * 4 * (4 * self.last.d_mlp + 4 * self.last.d_model)
        sums = variants * 4 * len(SUMS) * len(STRATA) * self.last.d_mlp
        return max(1, (self.memory // 2 - sums) // each)

    def _loss_rows(self) -> int:
        """Variants whose logits fit an eighth of it, three times."""
        return int(np.clip(self.memory // 8 // (12 * self.last.n_vocabulary), 16, 1024))

    def _write_tokens(self, document: int, token_index: np.ndarray, delta: np.ndarray) -> None:
        """The document's rows of `head_tokens`, a row group for each layer; `delta` (P, L, H, K)."""
        layers, heads, kinds = self._shape()
        grid = _grid(range(layers), range(heads), self.ablations, token_index)
        names = ("layer", "head", "ablation", "token_index")
        columns = dict(zip(names, grid, strict=True)) | {"delta_loss": delta.transpose(1, 2, 3, 0).ravel()}
        self._write("head_tokens", document, pa.table(columns), heads * kinds * len(token_index))

    def _write_neurons(self, document: int, n: Sequence[int], sums: np.ndarray, reached: list[int]) -> None:
        """Its rows of `head_neurons`, a row group for each head of the layers that are `reached`.

        `sums` (3, S, L, H, K, N) are of `n` (S,) positions.
        """
        _, heads, kinds = self._shape()
        names = ("layer", "head", "ablation", "stratum")
        columns = dict(zip(names, _grid(reached, range(heads), self.ablations, STRATA), strict=True))
        size = len(reached) * heads * kinds
        columns |= {"document": np.full(size * len(STRATA), document), "n": np.tile(n, size)}
        for name, values in zip(SUMS, sums, strict=True):
            rows = values[:, reached].transpose(1, 2, 3, 0, 4).reshape(-1, self.last.d_mlp)
            columns[name] = list_column(_rounded(rows))
        self._write("head_neurons", document, pa.table(columns), kinds * len(STRATA))

    def _write(self, table: str, document: int, data: pa.Table, row_group: int) -> None:
        path = self.stage.folder / _file(table, document)
        with ShardWriter(path, TABLES[table], self.stage.folder, compression="none") as writer:
            writer.write(data, row_group)
        assert writer.shard is not None
        self.stage.record(writer.shard)

    def _merge(self, documents: Sequence[int]) -> None:
        """From shards of documents to files by layer and head."""
        layers, heads, kinds = self._shape()
        files = {name: [_file(name, each) for each in documents] for name in ("head_tokens", "head_neurons")}
        merge_groups(self.stage, "head_tokens", files["head_tokens"], layers, 1, 1_000_000)
        n_groups = heads * sum(has_path(self.last, layer) for layer in range(layers))
        row = 4 * len(SUMS) * self.last.d_mlp
        # what is read is copied when it is sorted, and again when it is written
        block = max(1, self.memory // 4 // (len(documents) * kinds * len(STRATA) * row))
        merge_groups(
            self.stage, "head_neurons", files["head_neurons"], n_groups, min(block, heads), max(1, (1 << 25) // row)
        )


def _add(sums: np.ndarray, found: Variants, stratum: np.ndarray) -> None:
    """Add the changes at some positions, of the strata (P,), to the sums (3, S, L, H, K, N)."""
    for index, name in enumerate(STRATA):
        change = found.change[torch.from_numpy(stratum == name).to(found.change.device)]
        for total, part in zip(sums, (change.abs(), change, change.square()), strict=True):
            total[index] += part.sum(0).cpu().numpy()


def _grid(*keys: Sequence[object] | np.ndarray) -> list[pa.Array]:
    """The columns of all combinations of the keys, the last one varying fastest."""
    return [pa.array(column) for column in zip(*product(*(list(key) for key in keys)), strict=True)] or [
        pa.nulls(0) for _ in keys
    ]


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 with `BITS` significant bits, to the nearest; what is left are zeros, which compress."""
    drop = 24 - BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << (drop - 1))) >> np.uint32(drop) << np.uint32(drop)).view(np.float32)


def _file(table: str, document: int) -> str:
    return f"work/{table}/document-{document:07d}.parquet"
