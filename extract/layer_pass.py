"""`rt extract --layers`: what the neurons of every layer do and how sparse its states are, in a bounded memory.

As many layers are read in one forward pass as `--memory` has room for; a second one over the windows of their top
contexts follows. Nothing of the run's own is measured again: windows and positions are those of the published run.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from extract.extra_passes import Published
from extract.layer_check import check_activations, check_layers, check_moments
from extract.layer_contexts import cosines, needed_positions, read_inputs
from extract.layer_hooks import Layers
from extract.layer_reading import VARIANTS, Reading, outlier_dimensions
from extract.layer_staging import gather, with_layer
from extract.layer_summaries import BYTES, CLUSTERED, PARTS, Summary
from extract.layer_text import SHARD, Text
from extract.layer_writing import context_rows, moment_rows, neuron_rows, type_rows
from extract.session import CHECK_WINDOWS, Session
from extract.staging import Stage
from extract.type_mass import bytes_of_parts, bytes_per_neuron
from extract.windows import Plan, positions_per_window
from warehouse.errors import ModelError, RtError
from warehouse.schema import TABLES
from warehouse.shards import ShardWriter, arrow_schema

OUTLIER_WINDOWS = 8
# Raised when the rows of the same command would change.
LAYERS_EXTRACTION = 2
_FROM_SHARDS = ("layer_tokens", "states", "layer_activations")


@dataclass(frozen=True)
class LayersPass:
    """The pass with its settings: `layers` is `all` or numbers, as `store_layer` is, whose activations are kept whole.

    `state_tokens`: positions whose states are kept, some of every document.
    """

    layers: str = "all"
    state_tokens: int = 2000
    store_layer: str = ""
    of_pass: str = "layers"

    @property
    def identity(self) -> dict[str, Any]:
        """Everything but the run that determines the rows."""
        return {
            "extraction": LAYERS_EXTRACTION,
            "layers": self.layers if self.layers == "all" else _numbers("--layers", self.layers),
            "state_tokens": self.state_tokens,
            "store_layer": _numbers("--store-layer", self.store_layer),
        }

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense, whatever the run."""
        stored = _numbers("--store-layer", self.store_layer)
        if self.state_tokens < 0:
            raise RtError(f"--state-tokens {self.state_tokens}", hint="at least 0")
        if self.layers == "all":
            return
        numbers = _numbers("--layers", self.layers)
        if not numbers:
            raise RtError("--layers names no layer", hint="all, or numbers such as 0,6,12")
        if missing := sorted(set(stored) - set(numbers)):
            raise RtError(
                f"--store-layer {_joined(missing)} is not among --layers {self.layers}",
                hint="a layer whose activations are stored must be read",
            )

    def fits(self, session: Session) -> None:
        """Raise `ModelError` for a layer that the model has not, or a model that is not read by layers."""
        self.chosen(session.last.n_layers)
        Layers(session.model, session.last)

    def chosen(self, n_layers: int) -> list[int]:
        """The layers to read. Raises `ModelError` for one that the model has not."""
        asked = {"--store-layer": _numbers("--store-layer", self.store_layer)}
        if self.layers != "all":
            asked["--layers"] = _numbers("--layers", self.layers)
        for option, numbers in asked.items():
            if beyond := [layer for layer in numbers if layer >= n_layers]:
                raise ModelError(f"{option} {_joined(beyond)}: no such layer", hint=f"layers are 0 to {n_layers - 1}")
        return list(range(n_layers)) if self.layers == "all" else asked["--layers"]

    def estimate(self, session: Session, plan: Plan) -> tuple[float, int]:
        """Seconds and bytes on disk that it will take, from one batch of windows."""
        settings, layers = session.inputs.settings, Layers(session.model, session.last)
        chosen = self.chosen(session.last.n_layers)
        text = Text(
            np.array([window.document for window in plan.windows]),
            np.stack([window.token_ids for window in plan.windows]).astype(np.int64),
            settings.skip,
        )
        ids = torch.from_numpy(text.ids[: settings.batch_size]).to(session.model.device)
        begun = time.monotonic()
        layers.read(ids, chosen, {"input": lambda _layer, _value: None})
        forward = (time.monotonic() - begun) / len(ids) * len(text.ids)
        passes = 2 * len(_cut(layers, chosen, self._bytes(layers, text), settings.memory_bytes))
        d_mlp, n = max(map(layers.d_mlp, chosen)), len(text.ids) * positions_per_window(settings.context, settings.skip)
        # seconds and bytes that were measured: per activation and state, per neuron
        seconds = passes * forward + len(chosen) * n * (3e-8 * d_mlp + 2e-7 * session.last.d_model)
        states = min(n, self.state_tokens) * session.last.d_model * 4
        stored = len(_numbers("--store-layer", self.store_layer)) * n * d_mlp * 4
        return seconds, int(len(chosen) * (n * 75 + d_mlp * 3600 + states) + stored)

    def _bytes(self, layers: Layers, text: Text) -> dict[int, int]:
        """Memory that each layer may take while it is read, or while the inputs of its contexts are."""
        stored = _numbers("--store-layer", self.store_layer)
        d_model, found = layers.last.d_model, {}
        for layer in range(len(layers.modules)):
            n = layers.d_mlp(layer)
            types = n * bytes_per_neuron(len(text.types), min(SHARD, text.n_positions))
            rows = min(SHARD, text.n_positions) * 4 * ((layer in stored) * n + d_model + 16 * len(VARIANTS))
            types += bytes_of_parts(PARTS, len(text.types))
            inputs = min(text.n_positions, n * (CLUSTERED + PARTS)) * d_model * 4
            found[layer] = n * BYTES + max(types + rows, inputs)
        return found

    def make(self, session: Session, run: Published, stage: Stage) -> None:
        """Write every table of the pass below `run/` of the stage, going on with what is there; note facts."""
        settings, layers = session.inputs.settings, Layers(session.model, session.last)
        chosen = self.chosen(session.last.n_layers)
        text = Text(*run.windows(), settings.skip)
        # an earlier attempt may have had another --memory: its cut is gone on with
        groups = stage.facts.get("groups") or _cut(layers, chosen, self._bytes(layers, text), settings.memory_bytes)
        stage.note(groups=groups)
        with stage.timed("self_check"):
            ids = torch.from_numpy(text.ids[:CHECK_WINDOWS]).to(session.model.device)
            stored = run.activations(len(ids) * text.per_window)
            found = {
                **check_layers(layers, chosen, ids), **check_activations(layers, ids, settings.skip, stored)
            }  # fmt: skip
            # what an earlier attempt noted of a layer that is finished stays: it is not read again
            stage.note(self_check={**stage.facts.get("self_check", {}), **found})
            outliers = outlier_dimensions(layers, chosen, text, OUTLIER_WINDOWS, settings.batch_size)
        sampled = text.sampled(self.state_tokens, settings.seed)
        kept = frozenset(_numbers("--store-layer", self.store_layer))
        for part, group in enumerate(groups):
            reading = Reading(
                f"layers-{part:05d}", layers, group, text, stage, settings.batch_size, outliers, kept, sampled
            )
            if not stage.has(_file("layers", part)):  # the last that is written of a group
                reading.run()
                if group[-1] == session.last.layer:
                    dtype = next(session.model.parameters()).dtype
                    found = check_moments(reading.summaries[group[-1]].moments, *run.moments(), dtype)
                    stage.note(self_check={**stage.facts["self_check"], **found})
                _write_group(reading, part)
        stage.note(n_state_positions=len(sampled))


def _write_group(reading: Reading, part: int) -> None:
    """All tables of the layers that were read together."""
    stage, text, summaries = reading.stage, reading.text, reading.summaries
    n_types = len(text.types)
    with stage.timed("merge"):
        _write(stage, part, "layer_neurons", {layer: neuron_rows(each, n_types) for layer, each in summaries.items()})
        _write(stage, part, "layer_moments", {layer: moment_rows(each) for layer, each in summaries.items()})
        _write(stage, part, "layer_types", {layer: type_rows(each) for layer, each in summaries.items()})
        for table in _FROM_SHARDS:
            gather(stage, _file(table, part), table, reading.files(table), reading.chosen)
    for summary in summaries.values():
        summary.drop_types()
    with stage.timed("contexts"):
        _write_contexts(reading, part)
    _write(stage, part, "layers", {layer: _layer_row(reading, layer, summaries[layer]) for layer in summaries})


def _write_contexts(reading: Reading, part: int) -> None:
    """`layer_contexts`, with the cosines, for which the inputs at the contexts are read."""
    stage, summaries, d_model = reading.stage, reading.summaries, reading.layers.last.d_model
    index = {layer: summary.compared() for layer, summary in summaries.items()}
    needed = dict(zip(index, needed_positions(list(index.values())), strict=True))
    inputs = (
        read_inputs(reading.layers, needed, reading.text, reading.batch_size) if any(map(len, needed.values())) else {}
    )
    schema = arrow_schema(TABLES["layer_contexts"])
    with ShardWriter(stage.folder / _file("layer_contexts", part), TABLES["layer_contexts"], stage.folder) as writer:
        for layer, summary in summaries.items():
            place = np.where(index[layer] < 0, -1, np.searchsorted(needed[layer], index[layer]))
            known = inputs.pop(layer, np.zeros((0, d_model), dtype=np.float32))
            rows = context_rows(summary, cosines(reading.layers.w_in(layer), known, place))
            writer.write(with_layer(rows, layer, schema))
    assert writer.shard is not None
    stage.record(writer.shard)


def _layer_row(reading: Reading, layer: int, summary: Summary) -> pa.Table:
    outliers = pa.array([reading.outliers[layer].tolist()], pa.list_(pa.int32()))
    n, d_mlp = [int(summary.moments.n.sum())], [summary.moments.sums["mean"].shape[1]]
    return pa.table({"n_positions": n, "d_mlp": d_mlp, "outlier_dimensions": outliers})


def _write(stage: Stage, part: int, table: str, rows: dict[int, pa.Table]) -> None:
    schema = arrow_schema(TABLES[table])
    with ShardWriter(stage.folder / _file(table, part), TABLES[table], stage.folder) as writer:
        writer.write(pa.concat_tables([with_layer(data, layer, schema) for layer, data in rows.items()]))
    assert writer.shard is not None
    stage.record(writer.shard)


def _cut(layers: Layers, chosen: Sequence[int], needed: dict[int, int], memory: int) -> list[list[int]]:
    """The layers in groups that fit into `memory` bytes. Raises `RtError` where one alone does not."""
    groups: list[list[int]] = []
    for layer in chosen:
        if needed[layer] > memory:
            raise RtError(
                f"layer {layer} with {layers.d_mlp(layer):,} neurons does not fit into --memory {memory / 1e9:.2g}",
                hint=f"gigabytes, at least {needed[layer] / 1e9 + 0.05:.1f}",
            )
        if not groups or sum(needed[each] for each in groups[-1]) + needed[layer] > memory:
            groups.append([])
        groups[-1].append(layer)
    return groups


def _file(table: str, part: int) -> str:
    return f"run/{table}/part-{part:05d}.parquet"


def _numbers(option: str, text: str) -> list[int]:
    """Layer numbers, sorted, each once. Raises `RtError` for what is none."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if not (name.isascii() and name.isdigit()):
            allowed = "all, or " if option == "--layers" else ""
            raise RtError(f"{option} {text}", hint=f"{allowed}layers from 0, divided by commas, such as 0,6,12")
    return sorted({int(name) for name in names})


def _joined(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
