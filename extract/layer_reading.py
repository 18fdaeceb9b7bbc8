"""One forward pass over the text for some layers: summaries of their neurons, measures of their states, samples.

Work goes in shards of whole windows. After each, the summaries so far are written down, so that a killed pass goes on
behind the last finished shard. Shapes: S windows of a shard, B of a batch, P analysed positions of a window, N neurons,
d = d_model, U token types of a shard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.layer_hooks import Layers, named
from extract.layer_staging import Rows, write_rows
from extract.layer_summaries import Summary, load, save
from extract.layer_text import Index, Text
from extract.passes import list_column
from extract.progress import Progress
from extract.staging import Stage
from extract.state_measures import MEASURES, sparsity
from warehouse.errors import ModelError

Floats = NDArray[np.float32]
VARIANTS = ("normed", "raw", "trimmed")
OUTLIERS = 5


@dataclass
class Reading:
    """Some layers of a model that are read together; `name` tells their files in the stage from those of others.

    `outliers` are the outlier dimensions of each layer, `stored` the layers whose activations are kept whole, `sampled`
    the positions whose states are.
    """

    name: str
    layers: Layers
    chosen: Sequence[int]
    text: Text
    stage: Stage
    batch_size: int
    outliers: Mapping[int, Index]
    stored: frozenset[int]
    sampled: Index
    summaries: dict[int, Summary] = field(default_factory=dict)

    def run(self) -> None:
        """Read every shard that is not finished; `summaries` are then those of the whole text."""
        types = self.text.types
        self.summaries = {layer: Summary(self.layers.d_mlp(layer), types) for layer in self.chosen}
        shards = self.text.shards()
        first = next((i + 1 for i in reversed(range(len(shards))) if self.stage.has(self._state(i))), 0)
        if first:
            load(self.stage.folder / self._state(first - 1), self.summaries)
        done = sum(len(windows) for windows in shards[:first]) * self.text.per_window
        title = named(self.chosen)
        with self.stage.timed("forward"), Progress(title, self.text.n_positions, "positions", done) as bar:
            for index in range(first, len(shards)):
                _Shard(self, shards[index]).read(index)
                self.stage.record(save(self.stage.folder / self._state(index), self.stage.folder, self.summaries))
                (self.stage.folder / self._state(index - 1)).unlink(missing_ok=True)
                bar.advance(len(shards[index]) * self.text.per_window)

    def _state(self, index: int) -> str:
        return f"work/{self.name}/state-{index:05d}.npz"

    def files(self, table: str) -> list[str]:
        """Staged files of a table, in the order of the text."""
        return [f"work/{self.name}/{table}-{index:05d}.parquet" for index in range(len(self.text.shards()))]


class _Shard:
    """Some windows: what is gathered of them until they are written."""

    def __init__(self, reading: Reading, windows: Index) -> None:
        self.reading, self.windows = reading, windows
        self.rows: dict[str, Rows] = {"states": {}, "layer_activations": {}}
        # made at once: small arrays that stay, between large ones that go, would leave holes in memory
        shape = (len(windows) * reading.text.per_window, len(VARIANTS), len(MEASURES))
        self.measures = {layer: np.empty(shape, dtype=np.float32) for layer in reading.chosen}
        self.batch = windows[:0]  # the windows of the forward pass that runs
        self.place = slice(0)  # of their positions within the shard

    def read(self, index: int) -> None:
        """Run the model over the windows, add what is seen to the summaries, write the rest as the shard `index`."""
        reading, text = self.reading, self.reading.text
        device = reading.layers.model.device
        types = np.unique(text.tokens(self.windows))
        for summary in reading.summaries.values():
            summary.types.begin(types)
        for start in range(0, len(self.windows), reading.batch_size):
            self.batch = self.windows[start : start + reading.batch_size]
            self.place = slice(start * text.per_window, (start + len(self.batch)) * text.per_window)
            ids = torch.from_numpy(text.ids[self.batch]).to(device)
            reading.layers.read(ids, reading.chosen, {"activation": self._activation, "state": self._state})
        for summary in reading.summaries.values():
            summary.types.finish()
        for table, rows in {"layer_tokens": self._token_rows(), **self.rows}.items():
            file = reading.stage.folder / reading.files(table)[index]
            reading.stage.record(write_rows(file, table, rows, reading.chosen, reading.stage.folder))

    def _activation(self, layer: int, value: Tensor) -> None:
        """(B, C, N) of a layer."""
        values = self._analysed(value, "activations")  # (B, P, N)
        summary, flat = self.reading.summaries[layer], values.reshape(-1, values.shape[-1])
        text, size = self.reading.text, np.abs(values)
        index, tokens = text.positions(self.batch), text.tokens(self.batch)
        summary.types.add(tokens, size.reshape(flat.shape))
        parts = text.part[self.batch]
        for part in np.unique(parts).tolist():
            mine = parts == part
            some = np.repeat(mine, text.per_window)
            for of_window in values[mine]:
                summary.moments.update(part, of_window)
            summary.contexts.update(part, index[some], flat[some].T)
            summary.part_types.add(part, tokens[some], size[mine].reshape(-1, flat.shape[1]))
        if layer in self.reading.stored:
            self._keep("layer_activations", layer, {"token_index": index, "activation": list_column(flat)})

    def _state(self, layer: int, value: Tensor) -> None:
        """(B, C, d) after a layer."""
        with torch.no_grad():
            normed = self._analysed(self.reading.layers.norm_after(layer)(value), "normed states")
        raw = self._analysed(value, "states")
        flat = raw.reshape(-1, raw.shape[-1])
        trimmed = np.delete(flat, self.reading.outliers[layer], axis=1)
        mine = self.measures[layer][self.place]  # (B * P, 3, 8)
        for variant, vectors in enumerate((normed.reshape(flat.shape), flat, trimmed)):
            for measure, values in enumerate(sparsity(vectors).values()):
                mine[:, variant, measure] = values
        index = self.reading.text.positions(self.batch)
        is_sampled = np.isin(index, self.reading.sampled)
        if is_sampled.any():
            self._keep("states", layer, {"token_index": index[is_sampled], "state": list_column(flat[is_sampled])})

    def _token_rows(self) -> Rows:
        """`layer_tokens` of the shard: of each position the variants one after the other."""
        index = self.reading.text.positions(self.windows)
        names = {"token_index": index.repeat(len(VARIANTS)), "variant": list(VARIANTS) * len(index)}
        return {
            layer: [pa.table({**names, **{name: values[..., i].ravel() for i, name in enumerate(MEASURES)}})]
            for layer, values in self.measures.items()
        }

    def _keep(self, table: str, layer: int, columns: Mapping[str, object]) -> None:
        self.rows[table].setdefault(layer, []).append(pa.table(dict(columns)))

    def _analysed(self, value: Tensor, what: str) -> Floats:
        """Values at the analysed positions as float32 on the CPU. Raises `ModelError` if one is not finite."""
        found: Floats = value[:, self.reading.text.skip : -1].float().cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelError(
                f"the model gives {what} that are not finite", hint="use --dtype float32; if it happens there too, the "
                "weights are broken"
            )  # fmt: skip
        return found


def outlier_dimensions(
    layers: Layers, chosen: Sequence[int], text: Text, n_windows: int, batch_size: int
) -> dict[int, Index]:
    """The `OUTLIERS` dimensions of each layer with the largest mean square of the state, sorted.

    Over `n_windows` windows from all over the text: the measures without them are taken while the text goes by.
    """
    squares = {layer: np.zeros(layers.last.d_model) for layer in chosen}

    def state(layer: int, value: Tensor) -> None:
        squares[layer] += value[:, text.skip : -1].double().square().sum(dim=(0, 1)).cpu().numpy()

    some = np.unique(np.linspace(0, len(text.ids) - 1, n_windows).round().astype(np.int64))
    for start in range(0, len(some), batch_size):
        ids = torch.from_numpy(text.ids[some[start : start + batch_size]]).to(layers.model.device)
        layers.read(ids, chosen, {"state": state})
    n = min(OUTLIERS, layers.last.d_model - 2)
    return {layer: np.sort(np.argsort(-square, kind="stable")[:n]) for layer, square in squares.items()}
