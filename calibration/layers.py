"""Lakes with the pass over layers, and what is held against the truth in its four analyses.

Shapes: T positions, d = `WIDTH` dimensions of a state, N neurons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from calibration.passes import add_pass
from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.worlds import Array, Corpus, Design, Index, World, flat_world
from extract.layer_contexts import cosines
from extract.layer_reading import VARIANTS
from extract.layer_staging import with_layer
from extract.layer_summaries import PARTS, Summary
from extract.layer_writing import context_rows, moment_rows, neuron_rows, type_rows
from extract.passes import list_column
from extract.state_measures import sparsity
from queries.polysemanticity import CLEANER
from warehouse.connection import connect, frame
from warehouse.schema import tables_of
from warehouse.shards import arrow_schema

LAYERS, WIDTH, NEURONS, OUTLIERS = 10, 16, 30, [0, 1, 2, 3, 4]
MIDDLE = 2  # the layer whose intervals are looked at


def deep_world(rng: np.random.Generator, deeper: float = 0.0, wander: float = 0.0, sparser: float = 0.0) -> World:
    """Layers that are alike but for chance, or change along the depth by `deeper`, 1 the most.

    Or they `wander`: each differs from the one below by a random step: neighbours are alike, without a direction.
    With it neurons fire at fewer token types, inputs become alike, tokens weigh less in the states, states span fewer
    directions. At every layer states are sparser by `sparser` where the loss is higher by one nat.
    """
    return replace(flat_world(rng), deeper=deeper, wander=wander, sparser=sparser, seed=int(rng.integers(2**32)))


def add_layers(lake: Path, run: str, world: World, rng: np.random.Generator) -> None:
    """Add the pass to a run; every position has its states. What belongs to the model comes from the world's seed."""
    with connect(lake, [run]) as con:
        tokens = frame(con, "select token_index, document, token_id, loss from tokens order by token_index")
    token, document = tokens["token_id"].to_numpy(), tokens["document"].to_numpy()
    difficulty = tokens["loss"].to_numpy() - 1.0
    layers = []
    walk = np.cumsum(np.random.default_rng([world.seed, LAYERS]).standard_normal(LAYERS)) / np.sqrt(LAYERS)
    for layer in range(LAYERS):
        model = np.random.default_rng([world.seed, layer])
        depth = 0.5 + world.deeper * (layer / (LAYERS - 1) - 0.5) + 0.45 * np.tanh(world.wander * walk[layer])
        state = _states(model, rng, token, document, world.sparser * difficulty, depth)
        layers.append({**_neurons(model, rng, token, document, depth), **state_tables(state)})
    add_tables(lake, run, layers)


def _states(
    model: np.random.Generator, rng: np.random.Generator, token: Index, document: Index, sparser: Array, depth: float
) -> NDArray[np.float32]:
    """(T, d): a direction of the token and of the document, noise along fewer directions higher up."""
    words = model.standard_normal((token.max() + 1, WIDTH))
    turn = np.linalg.qr(model.standard_normal((WIDTH, WIDTH)))[0]
    spread = np.exp(-3 * depth * np.arange(WIDTH) / WIDTH)
    noise = 2 * rng.standard_normal((len(token), WIDTH)) + rng.standard_normal((document.max() + 1, WIDTH))[document]
    state = (3 - 2.5 * depth) * words[token] + (noise * spread) @ turn
    state = np.sign(state) * np.abs(state) ** (1 + 0.6 * np.tanh(sparser))[:, None]
    state[:, OUTLIERS] *= 3
    return np.asarray(state, dtype=np.float32)


def _neurons(
    model: np.random.Generator, rng: np.random.Generator, token: Index, document: Index, depth: float
) -> dict[str, pa.Table]:
    """Tables of neurons that fire at few token types or many, and of their top contexts."""
    types = np.arange(token.max() + 1)
    liked = np.argsort(model.random((NEURONS, len(types))), axis=1) < round(9 - 7 * depth)  # (N, types)
    own = np.exp(0.3 * rng.standard_normal((document.max() + 1, NEURONS)))[document]
    activation = liked.T[token] * own * rng.lognormal(0, 0.3, (len(token), NEURONS))
    words = (1 - depth) * model.standard_normal((len(types), WIDTH)) + depth * model.standard_normal(WIDTH)
    inputs = words[token] + 0.2 * rng.standard_normal((len(token), WIDTH))
    return neuron_tables(token, document, activation, inputs, model.standard_normal((NEURONS, WIDTH)))


def neuron_tables(token: Index, document: Index, activation: Array, inputs: Array, w_in: Array) -> dict[str, pa.Table]:
    """What is stored of a layer's neurons with `activation` (T, N), reading `inputs` (T, d) by `w_in` (N, d)."""
    values = activation.astype(np.float32)
    summary = Summary(values.shape[1], np.unique(token))
    for each in np.unique(document):
        mine, part = np.flatnonzero(document == each), int(each) % PARTS
        summary.moments.update(part, values[mine])
        summary.contexts.update(part, mine, values[mine].T)
        summary.part_types.add(part, token[mine], np.abs(values[mine]))
    summary.types.add(token, np.abs(values))
    weight = torch.from_numpy(w_in.astype(np.float32))
    cosine = cosines(weight, inputs.astype(np.float32), summary.compared())
    outliers = pa.array([OUTLIERS], pa.list_(pa.int32()))
    return {
        "layers": pa.table({"n_positions": [len(token)], "d_mlp": [values.shape[1]], "outlier_dimensions": outliers}),
        "layer_neurons": neuron_rows(summary, len(np.unique(token))),
        "layer_moments": moment_rows(summary),
        "layer_types": type_rows(summary),
        "layer_contexts": context_rows(summary, cosine),
    }


def state_tables(state: NDArray[np.float32]) -> dict[str, pa.Table]:
    """`layer_tokens` and `states` of the states (T, d) at all positions."""
    index = np.arange(len(state))
    normed = (state / np.sqrt((state**2).mean(axis=1, keepdims=True))).astype(np.float32)
    made = [sparsity(each) for each in (normed, state, np.delete(state, OUTLIERS, axis=1))]
    measures = {name: np.stack([each[name] for each in made], axis=1).ravel() for name in made[0]}
    names = {"token_index": index.repeat(len(VARIANTS)), "variant": list(VARIANTS) * len(index)}
    return {
        "layer_tokens": pa.table({**names, **measures}),
        "states": pa.table({"token_index": index, "state": list_column(state)}),
    }


def add_tables(lake: Path, run: str, layers: Sequence[Mapping[str, pa.Table]]) -> None:
    """Put the tables of all `layers` together and add the pass; a table that no layer has is empty."""
    parts: dict[str, list[pa.Table]] = {}
    for table in tables_of("layers"):
        schema = arrow_schema(table)
        found = [with_layer(each[table.name], i, schema) for i, each in enumerate(layers) if table.name in each]
        parts[table.name] = found or [schema.empty_table()]
    add_pass(lake, run, "layers", {name: pa.concat_tables(found) for name, found in parts.items()})


def dimension_study(*, is_fixed: bool) -> Study:
    """Participation ratio of a layer, with its top component and without; its trend."""
    rows = {
        f"{measure}, {words}": {"variant": variant, "measure": measure, "layer": MIDDLE}
        for measure in ("participation", "anisotropy")
        for variant, words in (("whole", "whole"), ("without_top", "without the top"))
    }
    return _study("layer_dimension", rows, is_fixed)


def probe_study(*, is_fixed: bool) -> Study:
    """Accuracy in a layer, and its trend."""
    rows = {task: {"task": task, "layer": MIDDLE} for task in ("token", "frequency_band")}
    return _study("decodability", rows, is_fixed)


def _study(slug: str, rows: Mapping[str, Row], is_fixed: bool) -> Study:
    if is_fixed:
        return Study(slug, tuple(Interval(name, row) for name, row in rows.items()))
    return Study(slug, (), tuple(Rejection(f"trend of {name}", row) for name, row in rows.items()))


def neurons_study(*, is_fixed: bool) -> Study:
    """Over documents where the neurons are the same, over neurons where they are drawn anew; trends."""
    rows = {name: {"measure": name, "layer": MIDDLE} for name in CLEANER}
    if is_fixed:
        return Study("polysemanticity", tuple(Interval(f"{name}, documents", row) for name, row in rows.items()))
    ends = ("estimate", "neuron_low", "neuron_high")
    return Study(
        "polysemanticity",
        # clusters and types depend on inputs and text too, which all neurons of a lake share: no draw of neurons alone
        tuple(
            Interval(f"{name}, neurons", rows[name], None, ends, designs=("none",)) for name in ("kurtosis", "hoyer")
        ),
        tuple(Rejection(f"trend of {name}", row) for name, row in rows.items()),
    )


def sparsity_study(*, is_fixed: bool) -> Study:
    """The slope of one measure on the loss in a layer, and its mean over the layers."""
    row = {"variant": "raw", "predictor": "loss", "measure": "hoyer", "layer": MIDDLE}
    given, alike = ({**row, "predictor": f"loss_given_{name}"} for name in ("rarity", "token"))
    if is_fixed:
        mean = ("mean_slope", "mean_low", "mean_high")
        return Study(
            "layer_sparsity",
            (
                Interval("slope in a layer", row),
                Interval("slope with the rarity fixed", given),
                Interval("slope with the token fixed", alike),
                Interval("mean slope", row, None, mean, "mean_slope"),
            ),
        )
    tests = (
        Rejection("slope in a layer", row),
        Rejection("slope with the rarity fixed", given),
        Rejection("slope with the token fixed", alike),
        Rejection("mean slope", row, "mean_p"),
        Rejection("sparser at difficult tokens (verdict)", row, "verdict", "supported"),
    )
    return Study("layer_sparsity", (), tests)


def studies(*, is_fixed: bool) -> tuple[Study, ...]:
    """The four analyses."""
    return tuple(study(is_fixed=is_fixed) for study in (dimension_study, probe_study, neurons_study, sparsity_study))


_PLANTED = partial(deep_world, deeper=1.0, sparser=0.2)
DEEP = Family(
    "deep",
    (
        Design("none", deep_world, is_anew=True),
        Design("wander", partial(deep_world, wander=2.0), is_anew=True),
        Design("strong", _PLANTED, is_anew=True, effect=1.0),
    ),
    studies(is_fixed=False),
    ("layers",),
    words="ten layers that are alike but for chance, or like their neighbours but without a direction (`wander`), or "
    "change with the depth in every measure, with states that are sparser at difficult tokens; each lake with another "
    "model",
    n_check=20,
)
LAYERED = Family(
    "layered",
    (
        Design("depth", _PLANTED, effect=1.0, is_tested=False),
        Design("depth, 8 documents", _PLANTED, Corpus(documents=8, positions=36), effect=1.0, is_tested=False),
    ),
    studies(is_fixed=True),
    ("layers",),
    words="the same model in every lake, whose layers change with the depth",
    n_check=20,
)
