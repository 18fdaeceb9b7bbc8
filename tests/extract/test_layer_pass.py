"""The pass over layers on a tiny model: its tables against direct computation, its cuts, resumption and refusals."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from extract import layer_text
from extract.families import describe
from extract.layer_check import check_activations, check_layers, check_moments
from extract.layer_hooks import Layers
from extract.layer_moments import Moments
from extract.layer_pass import LayersPass
from extract.models import load_model, resolve
from extract.run import extract
from extract.staging import Stage
from extract.state_measures import MEASURES, sparsity
from tests.extract.tiny_models import CONFIGS, tiny_model, tokens
from tests.extract.tiny_runs import quiet
from warehouse.connection import connect, frame
from warehouse.errors import ModelError, RtError
from warehouse.lake import find_run

TABLES = ("layers", "layer_neurons", "layer_moments", "layer_types", "layer_contexts", "layer_tokens", "states")
WANTED = LayersPass(state_tokens=60, store_layer="0")


@pytest.fixture
def lake(settings, run, tmp_path):
    shutil.copytree(settings.lake, tmp_path / "lake")
    return tmp_path / "lake"


@pytest.fixture(scope="module")
def passed(settings, run, tmp_path_factory):
    """A lake whose run has the pass over both layers, 60 states, and the activations of layer 0."""
    folder = tmp_path_factory.mktemp("layers") / "lake"
    shutil.copytree(settings.lake, folder)
    extract(replace(settings, lake=folder), quiet, [WANTED])
    return folder


@pytest.fixture(scope="module")
def direct(settings, passed):
    """Activations, MLP inputs and states of both layers at all positions, from one plain forward pass."""
    model = load_model(resolve(settings.model))
    windows = rows(passed, "windows").sort("window")
    ids = torch.tensor(np.stack(windows["token_ids"].to_list())).long()
    layers = Layers(model, describe(model))
    found = {}
    for what in ("activation", "input", "state"):
        each = {}
        layers.read(ids, [0, 1], {what: lambda layer, value, each=each: each.update({layer: value})})
        found[what] = [each[layer][:, settings.skip : -1].flatten(0, 1).numpy() for layer in (0, 1)]
    return found, ids[:, settings.skip : -1].flatten().numpy(), layers


def rows(lake, table):
    return frame(connect(lake), f'select * exclude (run) from "{table}" order by all')


def of_layer(lake, table, layer):
    return rows(lake, table).filter(pl.col("layer") == layer)


@pytest.mark.parametrize("layer", [0, 1])
def test_moments_are_those_of_all_positions(passed, direct, layer):
    activation = direct[0]["activation"][layer].astype(float)
    found = of_layer(passed, "layer_neurons", layer).sort("neuron")
    np.testing.assert_allclose(found["mean"], activation.mean(0), rtol=1e-9)
    for order in (2, 3, 4):
        np.testing.assert_allclose(found[f"moment_{order}"], stats.moment(activation, order), rtol=1e-6)
    np.testing.assert_allclose(found["sum_abs"], np.abs(activation).sum(0), rtol=1e-6)
    np.testing.assert_allclose(found["sum_square"], (activation**2).sum(0), rtol=1e-9)
    assert set(found["n_positions"]) == {len(activation)}


def test_parts_merge_to_the_whole(passed):
    parts, whole = (rows(passed, name) for name in ("layer_moments", "layer_neurons"))
    merged = parts.group_by("layer", "neuron").agg(
        pl.col("n_positions").sum(),
        pl.col("sum_abs").sum(),
        (pl.col("mean") * pl.col("n_positions")).sum().alias("total"),
    )
    both = whole.join(merged, on=["layer", "neuron"])
    assert both["n_positions"].equals(both["n_positions_right"].cast(pl.Int32).alias("n_positions"))
    np.testing.assert_allclose(both["total"] / both["n_positions"], both["mean"], rtol=1e-9)
    np.testing.assert_allclose(both["sum_abs_right"], both["sum_abs"], rtol=1e-12)


@pytest.mark.parametrize("layer", [0, 1])
def test_types_hold_the_mass_that_they_have(passed, direct, layer):
    size, types = np.abs(direct[0]["activation"][layer]).astype(float), direct[1]
    names, place = np.unique(types, return_inverse=True)
    mass = np.zeros((len(names), size.shape[1]))
    np.add.at(mass, place, size)
    ordered = -np.sort(-mass, axis=0)
    exact = 1 + (ordered.cumsum(0) < 0.9 * mass.sum(0)).sum(0)
    neurons = of_layer(passed, "layer_neurons", layer).sort("neuron")
    assert neurons["types_low"].to_list() == neurons["types_high"].to_list() == exact.tolist()
    assert set(neurons["n_types"]) == {len(names)}
    assert neurons["mass_error"].sum() == 0
    found = of_layer(passed, "layer_types", layer).sort("neuron", "rank")
    neuron, token = found["neuron"].to_numpy(), found["token_id"].to_numpy()
    np.testing.assert_allclose(found["mass"], mass[np.searchsorted(names, token), neuron], rtol=1e-5)
    np.testing.assert_allclose(found["mass"], ordered[found["rank"].to_numpy(), neuron], rtol=1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_contexts_are_the_largest_activations_with_the_cosines_of_their_embeddings(passed, direct, layer):
    activation, read = direct[0]["activation"][layer], direct[0]["input"][layer]
    found = of_layer(passed, "layer_contexts", layer)
    documents = rows(passed, "tokens").sort("token_index")["document"].to_numpy()
    part = np.unique(documents, return_inverse=True)[1] % 10
    n_parts = len(np.unique(part))
    for each in range(n_parts):
        here = np.flatnonzero(part == each)
        expected = here[np.argsort(-np.abs(activation[here]), axis=0, kind="stable")[:20].T]
        mine = found.filter(pl.col("part") == each).sort("neuron", "rank")
        assert mine["token_index"].to_numpy().reshape(24, -1).tolist() == expected.tolist()
        values = activation.T[np.arange(24)[:, None], expected]
        np.testing.assert_array_equal(mine["activation"].to_numpy().reshape(24, -1), values)
    w_in = direct[2].w_in(layer).numpy()
    each = -(-20 // n_parts)
    assert found["cosine"].is_not_null().equals(found["rank"] < each)
    for neuron in (0, 7, 23):
        # the strongest of each part, rank by rank
        mine = found.filter(neuron=neuron).filter(pl.col("rank") < each).sort("rank", "part")
        assert mine.height == each * n_parts
        embedding = w_in[neuron] * read[mine["token_index"].to_numpy()]
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        for row, cosine in enumerate(mine["cosine"].to_list()):
            np.testing.assert_allclose(cosine, embedding[row] @ embedding[:row].T, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_types_are_counted_again_without_each_part(passed, direct, layer):
    size, types = np.abs(direct[0]["activation"][layer]).astype(float), direct[1]
    documents = rows(passed, "tokens").sort("token_index")["document"].to_numpy()
    part = np.unique(documents, return_inverse=True)[1] % 10
    names, place = np.unique(types, return_inverse=True)
    for each in np.unique(part):
        mass = np.zeros((len(names), size.shape[1]))
        np.add.at(mass, place[part != each], size[part != each])
        ordered = -np.sort(-mass, axis=0)
        expected = 1 + (ordered.cumsum(0) < 0.9 * mass.sum(0)).sum(0)
        found = of_layer(passed, "layer_moments", layer).filter(part=int(each)).sort("neuron")["types_without"]
        assert found.to_list() == expected.tolist()  # of all 24: fewer than are sampled


@pytest.mark.parametrize("layer", [0, 1])
def test_states_and_their_measures(passed, direct, layer):
    state = direct[0]["state"][layer]
    kept = of_layer(passed, "states", layer).sort("token_index")
    np.testing.assert_array_equal(np.stack(kept["state"].to_list()), state[kept["token_index"].to_numpy()])
    there = rows(passed, "tokens").filter(pl.col("token_index").is_in(kept["token_index"].implode()))
    assert there["document"].n_unique() == 1  # of blocks of 32 positions
    assert 0 < kept.height <= 60
    outliers = of_layer(passed, "layers", layer)["outlier_dimensions"].to_list()[0]
    assert outliers == sorted(np.argsort(-(state.astype(float) ** 2).mean(0))[:5].tolist())
    with torch.no_grad():
        normed = direct[2].norm_after(layer)(torch.from_numpy(state)).numpy()
    measured = of_layer(passed, "layer_tokens", layer)
    for variant, vectors in (("raw", state), ("trimmed", np.delete(state, outliers, axis=1)), ("normed", normed)):
        expected = sparsity(vectors)
        found = measured.filter(pl.col("variant") == variant).sort("token_index")
        for name in MEASURES:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_the_activations_of_a_layer_are_kept_on_request(passed, direct):
    found = rows(passed, "layer_activations")
    assert set(found["layer"]) == {0}
    np.testing.assert_array_equal(np.stack(found["activation"].to_list()), direct[0]["activation"][0])


def test_the_last_layer_is_that_of_the_run(passed):
    spine, last = rows(passed, "neurons").sort("neuron"), of_layer(passed, "layer_neurons", 1).sort("neuron")
    np.testing.assert_allclose(last["mean"], spine["mean_activation"], rtol=1e-6, atol=1e-9)
    manifest = find_run(passed, rows(passed, "runs").height and next((passed / "runs").iterdir()).name[4:]).passes[
        "layers"
    ]
    assert manifest["self_check"]["last layer's mean against the run"] < 1e-6
    assert manifest["self_check"]["last layer's activations against the run"] < 1e-5
    assert manifest["identity"]["store_layer"] == [0]


def assert_same(one, other):
    for table in (*TABLES, "layer_activations"):
        left, right = rows(one, table), rows(other, table)
        assert left.schema == right.schema
        assert left.equals(right), table


def test_rows_do_not_depend_on_memory_or_batch(settings, passed, lake, monkeypatch):
    again = replace(settings, lake=lake, batch_size=1, memory=0.1)
    monkeypatch.setattr("extract.layer_pass._cut", lambda *_: [[0], [1]])
    extract(again, quiet, [WANTED])
    for table in TABLES:
        left, right = rows(passed, table), rows(lake, table)
        for name in left.columns:
            if left[name].dtype in (pl.Float32, pl.Float64):
                np.testing.assert_allclose(left[name], right[name], rtol=2e-4, atol=1e-5)
            elif left[name].dtype != pl.List(pl.Float32):
                assert left[name].equals(right[name]), (table, name)


@pytest.mark.parametrize("after", [0, 3, 9, 19])
def test_a_pass_that_was_cut_off_goes_on_and_gives_the_same(settings, lake, whole, monkeypatch, after):
    monkeypatch.setattr(layer_text, "SHARD", 60)
    record, left = Stage.record, [after]

    def dying(self, shard):
        if left[0] == 0:
            raise KeyboardInterrupt  # the file is there, but nobody knows of it
        left[0] -= 1
        record(self, shard)

    monkeypatch.setattr(Stage, "record", dying)
    with pytest.raises(KeyboardInterrupt):
        extract_run(settings, lake, WANTED)
    monkeypatch.setattr(Stage, "record", record)
    assert rows(lake, "layer_neurons").is_empty()
    extract_run(settings, lake, WANTED)
    assert_same(whole, lake)


@pytest.fixture(scope="module")
def whole(settings, run, tmp_path_factory):
    """The pass in shards of two windows, at one go."""
    folder = tmp_path_factory.mktemp("whole") / "lake"
    shutil.copytree(settings.lake, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_text, "SHARD", 60)
        extract_run(settings, folder, WANTED)
    return folder


def extract_run(settings, lake, *passes):
    return extract(replace(settings, lake=lake), quiet, passes)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"layers": "0,x"}, "--layers 0,x", "such as 0,6,12"),
        ({"layers": ""}, "names no layer", "all"),
        ({"layers": "-1"}, "--layers -1", "from 0"),
        ({"layers": "0", "store_layer": "1"}, "--store-layer 1 is not among --layers 0", "must be read"),
        ({"state_tokens": -1}, "--state-tokens -1", "at least 0"),
        ({"layers": "0,2,7"}, "--layers 2,7: no such layer", "layers are 0 to 1"),
        ({"store_layer": "2"}, "--store-layer 2: no such layer", "layers are 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(settings, run, lake, options, message, hint):
    with pytest.raises(RtError, match=message) as error:
        extract_run(settings, lake, LayersPass(**options))
    assert hint in error.value.hint
    assert list((lake / "staging").glob("*+layers")) == []


def test_a_layer_that_does_not_fit_into_memory_is_refused(settings, run, lake, monkeypatch):
    monkeypatch.setattr("extract.layer_pass.BYTES", 10_000_000)
    with pytest.raises(RtError, match=r"layer 0 with 24 neurons does not fit into --memory 0\.1") as error:
        extract(replace(settings, lake=lake, memory=0.1), quiet, [LayersPass()])
    assert "at least 0.3" in error.value.hint


def test_one_layer_alone_has_only_its_rows(settings, run, lake):
    extract_run(settings, lake, LayersPass(layers="0", state_tokens=0))
    assert set(rows(lake, "layer_neurons")["layer"]) == {0}
    assert rows(lake, "states").is_empty()
    assert rows(lake, "layer_activations").is_empty()


@pytest.mark.parametrize("name", CONFIGS)
def test_hooks_hold_for_every_family(name):
    model = tiny_model(name)
    layers = Layers(model, describe(model))
    errors = check_layers(layers, [0, 1], tokens((2, 12)))
    assert max(errors.values()) < 1e-5


def test_a_hook_at_the_wrong_place_is_found():
    model = tiny_model("llama")
    layers = Layers(model, describe(model))
    model.model.layers[0].register_forward_hook(lambda _module, _inputs, output: output * 1.01)
    layers.modules = [*layers.modules]
    assert max(check_layers(layers, [0, 1], tokens((1, 8))).values()) < 1e-5
    layers.modules = layers.modules[::-1]
    with pytest.raises(ModelError, match="self-check `state against the model's hidden state` failed"):
        check_layers(layers, [0], tokens((1, 8)))


def test_moments_that_are_not_the_runs_are_refused():
    moments = Moments(10, 3)
    values = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    moments.update(0, values)
    mean, deviation = values.mean(0), values.std(0, ddof=1)
    assert max(check_moments(moments, mean, deviation, torch.float32).values()) < 1e-6
    with pytest.raises(ModelError, match="last layer's mean against the run"):
        check_moments(moments, mean + 0.01, deviation, torch.float32)


def test_states_are_of_all_documents_as_far_as_they_go():
    text = layer_text.Text(np.array([0, 0, 1, 2, 2, 2, 5]), np.zeros((7, 54), dtype=np.int64), 3)
    assert text.per_window == 50
    document = text.document.repeat(50)
    for wanted, of_each in ((128, [32, 32, 32, 32]), (260, [70, 50, 70, 50]), (350, [100, 50, 150, 50])):
        chosen = text.sampled(wanted, 0)
        assert (np.diff(chosen) > 0).all()
        counts = np.bincount(document[chosen], minlength=6)[[0, 1, 2, 5]]
        assert counts.sum() <= wanted
        assert np.abs(counts - of_each).max() <= 10
    few = text.sampled(64, 1)
    assert len(np.unique(document[few])) == 2  # so that a document has a block of 32
    assert len(few) == 64
    assert len(text.sampled(5, 0)) == 5
    assert text.sampled(0, 0).tolist() == []
    assert text.sampled(350, 0).tolist() == list(range(350))
    assert all(one[-1] < other[0] for one, other in pairwise(text.shards()))


def test_another_model_is_found_whatever_layers_are_read(settings, run, lake, monkeypatch):
    extract_run(settings, lake, LayersPass(layers="0", state_tokens=0))
    found = find_run(lake, next((lake / "runs").iterdir()).name[4:]).passes["layers"]["self_check"]
    assert found["last layer's activations against the run"] < 1e-5
    model = tiny_model("llama")
    layers = Layers(model, describe(model))
    ids = tokens((2, 12))
    seen = {}
    layers.read(ids, [1], {"activation": lambda _layer, value: seen.update({"value": value})})
    stored = seen["value"][:, 3:-1].reshape(-1, layers.d_mlp(1)).numpy()
    assert check_activations(layers, ids, 3, stored)["last layer's activations against the run"] == 0
    with pytest.raises(ModelError, match="last layer's activations against the run"):
        check_activations(layers, ids, 3, stored * 1.01)


def test_what_was_checked_before_a_cut_is_still_in_the_manifest(settings, lake, monkeypatch):
    """The last layer's moments are checked when its group is read, which a later attempt does not do again."""
    record = Stage.record
    monkeypatch.setattr("extract.layer_pass._cut", lambda *_: [[1], [0]])

    def dying(self, shard):
        record(self, shard)
        if shard.file.endswith("layers/part-00000.parquet"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "record", dying)
    with pytest.raises(KeyboardInterrupt):
        extract_run(settings, lake, WANTED)
    monkeypatch.setattr(Stage, "record", record)
    extract_run(settings, lake, WANTED)
    found = find_run(lake, next((lake / "runs").iterdir()).name[4:]).passes["layers"]["self_check"]
    assert {"last layer's mean against the run", "state against the model's hidden state"} <= found.keys()
