"""The tables of the pass over layers with planted effects, added to a tiny lake the way `rt extract --layers` does.

With depth from 0 to 1 (unless `flat`): a neuron fires at 9 token types at the bottom and at 2 at the top, and the
inputs at different tokens become alike; a token's own direction weighs 3 in its state at the bottom and 0.5 at the top;
states lie along fewer directions higher up. At every layer states are sparser where the loss is higher.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from extract.layer_contexts import cosines, needed_positions
from extract.layer_reading import VARIANTS
from extract.layer_staging import with_layer
from extract.layer_summaries import PARTS, Summary
from extract.layer_writing import context_rows, moment_rows, neuron_rows, type_rows
from extract.passes import list_column
from extract.publication import publish_pass
from extract.state_measures import sparsity
from warehouse.connection import connect, frame
from warehouse.lake import staging_folder
from warehouse.schema import TABLES, tables_of
from warehouse.shards import arrow_schema, write_shard

D_MODEL, NEURONS, OUTLIERS = 16, 30, [0, 1, 2, 3, 4]


def add_layers(lake: Path, n_layers: int = 6, seed: int = 0, flat: bool = False, sparser: float = 0.4) -> None:
    """Add the pass to the one run of the lake; every position has its states."""
    con = connect(lake)
    tokens = frame(con, "select run, token_index, document, token_id, loss from tokens order by token_index")
    run, rng = tokens["run"][0], np.random.default_rng([seed, 3])
    token, document = tokens["token_id"].to_numpy(), tokens["document"].to_numpy()
    difficulty = tokens["loss"].to_numpy() - tokens["loss"].mean()
    parts: dict[str, list[pa.Table]] = {table.name: [] for table in tables_of("layers")}
    for layer in range(n_layers):
        depth = 0.5 if flat else layer / max(n_layers - 1, 1)
        state = _states(rng, token, difficulty * sparser, depth)
        made = {**_neurons(rng, token, document, depth), **_tokens(state, np.arange(len(token)))}
        for name, data in made.items():
            parts[name].append(with_layer(data, layer, arrow_schema(TABLES[name])))
    staged = staging_folder(lake, f"{run}+layers") / "run"
    shards = {}
    for name, pieces in parts.items():
        data = pa.concat_tables(pieces) if pieces else arrow_schema(TABLES[name]).empty_table()
        shards[name] = [write_shard(staged / name / "part-00000.parquet", name, data, staged)]
    publish_pass(lake, run, "layers", staged, shards, {"identity": {"layers": "all"}, "config": {}})
    shutil.rmtree(staged.parent, ignore_errors=True)


def _states(rng, token, difficulty, depth):
    """(T, d): a direction of the token, noise along fewer directions higher up, all sparser at difficult tokens."""
    words = rng.standard_normal((token.max() + 1, D_MODEL))
    spread = np.exp(-3 * depth * np.arange(D_MODEL) / D_MODEL)
    turn = np.linalg.qr(rng.standard_normal((D_MODEL, D_MODEL)))[0]
    state = (3 - 2.5 * depth) * words[token] + 2 * (rng.standard_normal((len(token), D_MODEL)) * spread) @ turn
    state = np.sign(state) * np.abs(state) ** (1 + 0.6 * np.tanh(difficulty))[:, None]
    state[:, OUTLIERS] *= 3
    return state.astype(np.float32)


def _neurons(rng, token, document, depth):
    """Tables of neurons that fire at few token types or many."""
    types = np.unique(token)
    liked = np.argsort(rng.random((NEURONS, len(types))), axis=1) < round(9 - 7 * depth)
    activation = liked.T[np.searchsorted(types, token)] * rng.lognormal(0, 0.3, (len(token), 1))
    activation = activation.astype(np.float32)
    summary = Summary(NEURONS, types)
    for each in np.unique(document):
        summary.moments.update(int(each) % PARTS, activation[document == each])
    summary.types.add(token, np.abs(activation))
    summary.contexts.update(np.arange(len(token)), activation.T)
    words = (1 - depth) * rng.standard_normal((token.max() + 1, D_MODEL)) + depth * rng.standard_normal(D_MODEL)
    inputs = words[token] + 0.2 * rng.standard_normal((len(token), D_MODEL))
    index = summary.contexts.token_index
    (needed,) = needed_positions([index])
    w_in = rng.standard_normal((NEURONS, D_MODEL)).astype(np.float32)
    cosine = cosines(
        _tensor(w_in), inputs[needed].astype(np.float32), np.where(index < 0, -1, np.searchsorted(needed, index))
    )
    outliers = pa.array([OUTLIERS], pa.list_(pa.int32()))
    return {
        "layers": pa.table({"n_positions": [len(token)], "d_mlp": [NEURONS], "outlier_dimensions": outliers}),
        "layer_neurons": neuron_rows(summary, len(types)),
        "layer_moments": moment_rows(summary),
        "layer_types": type_rows(summary),
        "layer_contexts": context_rows(summary, cosine),
    }


def _tensor(array):
    import torch

    return torch.from_numpy(array)


def _tokens(state, index):
    """`layer_tokens` and `states`."""
    normed = (state / np.sqrt((state**2).mean(axis=1, keepdims=True))).astype(np.float32)
    made = [sparsity(each) for each in (normed, state, np.delete(state, OUTLIERS, axis=1))]
    measures = {name: np.stack([each[name] for each in made], axis=1).ravel() for name in made[0]}
    names = {"token_index": index.repeat(len(VARIANTS)), "variant": list(VARIANTS) * len(index)}
    return {
        "layer_tokens": pa.table({**names, **measures}),
        "states": pa.table({"token_index": index, "state": list_column(state)}),
    }
