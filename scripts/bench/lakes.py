"""Lakes to ask: one of the default extraction, and simulated ones of any size; made once, then kept in .bench/."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from extract.importer import import_folder
from extract.run import extract
from extract.settings import Settings

FOLDER = Path(".bench")
N_TYPES = 5_000
NEURONS = 64  # written at a time


def default_lake(tokens: int) -> Path:
    """The default model and corpus, `tokens` positions; another run that lies there is taken as it is."""
    lake = FOLDER / f"lake-{tokens}"
    if not (lake / "runs").is_dir():
        extract(Settings(lake=lake, tokens=tokens), print)
    return lake


def simulated_lake(n_positions: int, n_neurons: int, n_documents: int = 100, *, is_whole: bool = False) -> Path:
    """A run of deltas with heavy tails, document effects, and unequal neurons.

    `is_whole`: with activations, frozen deltas and weights too, and a plateau of one neuron in 60.
    """
    name = f"{n_positions}x{n_neurons}x{n_documents}" + "-whole" * is_whole
    lake = FOLDER / f"simulated-{name}"
    if not (lake / "runs").is_dir():
        source = FOLDER / f"source-{name}"
        write_source(source, n_positions, n_neurons, n_documents, is_whole=is_whole)
        import_folder(source, lake, "simulated", "simulated", "simulated counts")
        shutil.rmtree(source)
    return lake


def write_source(folder: Path, n_positions: int, n_neurons: int, n_documents: int, *, is_whole: bool) -> None:
    """The tables of a run as files that `rt import` takes."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    document = np.sort(rng.integers(0, n_documents, n_positions))
    target = np.minimum(rng.zipf(1.3, n_positions), N_TYPES) - 1
    tokens = {"token_index": np.arange(n_positions), "document": document, "target_id": target}
    pq.write_table(pa.table(tokens), folder / "tokens.parquet")
    types = np.arange(N_TYPES)
    words = {"token_id": types, "count": 10_000_000 // (types + 1), "token": [f"w{i}" for i in types]}
    pq.write_table(pa.table(words), folder / "vocabulary.parquet")
    factor = np.exp(0.3 * rng.standard_normal(n_documents)).astype(np.float32)[document]  # (T,)
    scale = 1e-2 * np.arange(1, n_neurons + 1, dtype=np.float32) ** -0.7  # (N,)
    values = ["activation", "delta_loss", "delta_frozen_norm", "delta_frozen_frequency"] if is_whole else ["delta_loss"]
    if is_whole:
        scale[: n_neurons // 60] = 4e-2
        _write_weights(folder, n_neurons)
    others = np.random.default_rng(1)
    shared = others.standard_normal(n_positions, dtype=np.float32)  # (T,): what the plateau's activations share
    schema = pa.schema(
        [("neuron", pa.int32()), ("token_index", pa.int32()), *((name, pa.float32()) for name in values)]
    )
    with pq.ParquetWriter(folder / "neuron_tokens.parquet", schema, compression="zstd") as writer:
        for first in range(0, n_neurons, NEURONS):
            some = np.arange(first, min(first + NEURONS, n_neurons), dtype=np.int32)
            tail = np.exp(0.8 * rng.standard_normal((len(some), n_positions), dtype=np.float32))
            delta = scale[some, None] * factor * tail * rng.standard_normal(tail.shape, dtype=np.float32)
            columns = [delta]
            if is_whole:
                activation = others.standard_normal(tail.shape, dtype=np.float32)
                activation += 0.3 * (some < n_neurons // 60)[:, None] * shared
                columns = [activation, delta, np.float32(0.9) * delta, np.float32(0.8) * delta]
            token = np.tile(np.arange(n_positions, dtype=np.int32), len(some))
            arrays = [np.repeat(some, n_positions), token, *(each.ravel() for each in columns)]
            writer.write_table(pa.table(arrays, schema=schema))


def _write_weights(folder: Path, n_neurons: int) -> None:
    """Gaussian weights, in and out, (N, 576) each."""
    rows = np.random.default_rng(2).standard_normal((2 * n_neurons, 576), dtype=np.float32)
    columns = {"layer": np.zeros(len(rows), dtype=np.int32), "neuron": np.repeat(np.arange(n_neurons), 2)}
    columns |= {"side": ["in", "out"] * n_neurons, "weight": list(rows)}
    pq.write_table(pa.table(columns), folder / "weights.parquet")
