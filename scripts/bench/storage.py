"""Writing and reading one table of activations.

The activations of all neurons of the default model's last MLP, written as rt writes them (neuron-major Parquet), as a
`.pt` file of torch, as a float16 `.npy` file, and as SAELens caches activations (Arrow files of the datasets library;
its own code that writes and joins shards, on the same activations, without its forward pass). Then what is usually
asked: all positions of one neuron, and everything. All were read back and compared before any time was taken. The cache
of the operating system is warm.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from extract.families import capture
from extract.merge import merge_pairs
from extract.passes import Passes
from extract.session import Session, gather, stack
from extract.settings import Settings
from extract.staging import Stage
from scripts.bench.results import Result, Table
from scripts.bench.timing import Turn, in_turns, ratio, spread
from warehouse.schema import TABLES
from warehouse.shards import ROW_GROUP, ShardWriter, arrow_schema

HOOK = "blocks.29.mlp.hook_post"


@dataclass(frozen=True)
class Way:
    """How a matrix (T, N) is written to a path, and how one neuron (T,) and all of it (T, N) are read."""

    write: Callable[[Path], object]
    neuron: Callable[[Path, int], Any]
    everything: Callable[[Path], Any]
    error: float  # what the format may lose, relative


def pairs(values: np.ndarray, delta: np.ndarray | None = None) -> pa.Table:
    """`values` (T, N), and deltas if they are there, as rows of `neuron_tokens`."""
    T, N = values.shape
    columns = {"neuron": np.repeat(np.arange(N, dtype=np.int32), T), "token_index": np.tile(np.arange(T), N)}
    columns |= {"activation": values.T.ravel()} | ({} if delta is None else {"delta_loss": delta.T.ravel()})
    schema = arrow_schema(TABLES["neuron_tokens"])
    table = pa.table(columns)
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(T * N, pa.float32()))
    return table.select(schema.names).cast(schema)


def _write_parquet(path: Path, table: pa.Table) -> None:
    with ShardWriter(path, TABLES["neuron_tokens"], path.parent) as writer:
        writer.write(table, ROW_GROUP)


def _column(path: Path, shape: tuple[int, int]) -> np.ndarray:
    found = pq.read_table(path, columns=["activation"]).column(0).combine_chunks().to_numpy()
    return np.asarray(found.reshape(shape[::-1]).T)


def _one(path: Path, neuron: int) -> np.ndarray:
    found = pq.read_table(path, columns=["activation"], filters=[("neuron", "==", neuron)])
    return np.asarray(found.column(0).combine_chunks().to_numpy())


def ways(values: np.ndarray, context: int) -> dict[str, Way]:
    """The four ways for activations (T, N), `context` of them to a window."""
    tensor = torch.from_numpy(values)
    half = np.float16(values)
    return {
        "rt, Parquet": Way(
            lambda path: _write_parquet(path, pairs(values)), _one, lambda path: _column(path, values.shape), 0.0
        ),
        "`.pt`, float32": Way(
            lambda path: torch.save(tensor, path),
            lambda path, i: torch.load(path, mmap=True)[:, i].numpy(),
            lambda path: torch.load(path).numpy(),
            0.0,
        ),
        "`.npy`, float16": Way(
            lambda path: np.save(path.open("wb"), half),
            lambda path, i: np.load(path, mmap_mode="r")[:, i].astype(np.float32),
            lambda path: np.load(path).astype(np.float32),
            2.0**-11,
        ),
        "SAELens, Arrow": _sae_lens(tensor, context),
    }


def _sae_lens(tensor: torch.Tensor, context: int) -> Way:
    """SAELens's cache of activations: its own steps from a buffer of activations to the joined files."""
    import datasets
    from sae_lens.cache_activations_runner import CacheActivationsRunner
    from sae_lens.config import CacheActivationsRunnerConfig

    datasets.disable_progress_bars()
    T, N = tensor.shape
    runner = CacheActivationsRunner.__new__(CacheActivationsRunner)  # its __init__ would load a model and a data set
    runner.cfg = CacheActivationsRunnerConfig(
        dataset_path="none", model_name="none", model_batch_size=T // context, hook_name=HOOK, d_in=N,
        training_tokens=T, context_size=context, new_cached_activations_path="none", shuffle=False, device="cpu",
        buffer_size_gb=(T + 0.5) * N * 4 / 1e9,  # all in one buffer; the half is for rounding
    )  # fmt: skip
    runner.context_size = context
    shape = datasets.Array2D(shape=(context, N), dtype="float32")
    ids = datasets.Sequence(datasets.Value(dtype="int32"), length=context)
    runner.features = datasets.Features({HOOK: shape, "token_ids": ids})

    def write(path: Path) -> None:
        staged = path / ".tmp_shards"
        staged.mkdir(parents=True)
        shard = runner._create_shard((tensor, torch.zeros(T, dtype=torch.int32)))
        shard.save_to_disk(f"{staged}/shard_00000", num_shards=1)
        runner._consolidate_shards(staged, path, copy_files=False)

    def everything(path: Path) -> np.ndarray:
        found = datasets.load_from_disk(str(path)).with_format("numpy", columns=[HOOK])
        return np.asarray(found[:][HOOK]).reshape(-1, N)

    return Way(write, lambda path, i: everything(path)[:, i], everything, 0.0)


def measure(full: bool) -> Result:
    """Sizes and times of the four ways, then the writing of a run's pairs beside pyarrow alone."""
    n_windows = 16 if full else 4
    session = Session(gather(Settings(lake=Path("unused"), tokens=253 * n_windows), print))
    ids = stack(session.plan().windows)[:n_windows]
    parts = [capture(session.model, session.last, batch)[1] for batch in ids.split(4)]
    values = torch.cat(parts).flatten(0, 1).numpy()
    with tempfile.TemporaryDirectory() as folder:
        result = Result([_formats(values, ids.shape[1], Path(folder), 5 if full else 2)])
        table, note = _writing(values, 4 if full else 1, Path(folder), 5 if full else 2)
    result.tables.append(table)
    result.notes.append(note)
    return result


def _formats(values: np.ndarray, context: int, folder: Path, repeats: int) -> Table:
    found = ways(values, context)
    paths = {name: folder / f"check-{index}" for index, name in enumerate(found)}
    sizes = {}
    for name, way in found.items():  # the answers first
        path = paths[name]
        way.write(path)
        sizes[name] = sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file()) / 1e6
        np.testing.assert_allclose(way.everything(path), values, rtol=way.error, atol=way.error * 1e-3)
        np.testing.assert_allclose(way.neuron(path, 77), values[:, 77], rtol=way.error, atol=way.error * 1e-3)
    fresh = (folder / f"new-{index}" for index in range(1000))
    write = in_turns({name: lambda way=way: way.write(next(fresh)) for name, way in found.items()}, repeats)
    one = in_turns({name: lambda w=way, p=paths[name]: w.neuron(p, 99) for name, way in found.items()}, repeats)
    whole = in_turns({name: lambda w=way, p=paths[name]: w.everything(p) for name, way in found.items()}, repeats)
    caption = f"{values.shape[0]:,} positions x {values.shape[1]:,} neurons, {values.nbytes / 1e6:,.0f} MB as float32"
    table = Table(caption, ["", "MB", "write, s", "least", "most", "one neuron, s", "everything, s"])
    for name in found:
        table.rows.append([name, sizes[name], *_wall(write[name]), _wall(one[name])[0], _wall(whole[name])[0]])
    return table


def _wall(turns: list[Turn]) -> tuple[float, float, float]:
    return spread([turn.wall for turn in turns])


def _writing(values: np.ndarray, copies: int, folder: Path, repeats: int) -> tuple[Table, str]:
    """Rt's writer and the merge of an extraction beside pyarrow alone, on the same rows."""
    values = np.tile(values, (copies, 1))
    delta = (values * np.random.default_rng(0).lognormal(-6, 2, values.shape)).astype(np.float32)
    table = pairs(values, delta)
    stage, names = _staged(values, delta, folder)
    fresh = (folder / f"table-{index}.parquet" for index in range(1000))
    ways: dict[str, Callable[[], object]] = {
        "pyarrow alone, rt's encodings": lambda: _raw(table, next(fresh)),
        "pyarrow alone, its defaults with zstd": lambda: pq.write_table(table, next(fresh), compression="zstd"),
        "rt's writer (synced, read back, hashed)": lambda: _write_parquet(next(fresh), table),
        "rt's merge, from staged shards to the final file": lambda: _merge(stage, names, values),
    }
    turns = in_turns(ways, repeats)
    base = turns["pyarrow alone, rt's encodings"]
    found = Table(
        f"Writing {table.num_rows:,} rows of `neuron_tokens`, {table.nbytes / 1e6:,.0f} MB in memory",
        ["", "s, median", "least", "most", "speed by processor time, of pyarrow alone"],
    )
    for name, mine in turns.items():
        found.rows.append([name, *_wall(mine), 1.0 / ratio(mine, base)])
    writer, merge = found.rows[2][-1], found.rows[3][-1]
    return found, (
        f"Target: at least 0.8 of the raw write speed; rt's writer has {writer:.2f}. At the end of an extraction it "
        "writes what it reads back from staged shards, which are in the order of the positions: a second pass over the "
        f"disk, with which it has {merge:.2f}. What that is of an extraction is in the first table of this page."
    )


def _raw(table: pa.Table, path: Path) -> None:
    writer = ShardWriter(path, TABLES["neuron_tokens"], path.parent)
    writer._writer.write_table(table, row_group_size=ROW_GROUP)
    writer._writer.close()


def _staged(values: np.ndarray, delta: np.ndarray, folder: Path) -> tuple[tuple[Stage, list[str]], list[str]]:
    """Shards as the second pass of an extraction leaves them."""
    stage = Stage(folder / "stage", {"identity": {}, "shards": {}, "facts": {}, "seconds": {}})
    (stage.folder / "run").mkdir(parents=True)
    passes = Passes.__new__(Passes)
    passes.stage, passes.deltas = stage, ("delta_loss",)
    step, names = 2_000, []
    for index, first in enumerate(range(0, len(values), step)):
        rows = slice(first, first + step)
        passes._write_pairs(index, values[rows], [delta[rows]])
        names.append(f"work/ablation/shard-{index:05d}.parquet")
    return (stage, names), ["activation", "delta_loss"]


def _merge(staged: tuple[Stage, list[str]], names: list[str], values: np.ndarray) -> None:
    stage, shards = staged
    merge_pairs(stage, shards, names, values.shape[1], values.shape[0])
