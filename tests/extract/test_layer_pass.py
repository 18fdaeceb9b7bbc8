"""The pass over layers on a tiny model: its tables against direct computation, and the positions that it samples."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from extract import layer_text
from extract.families import describe
from extract.layer_hooks import Layers
from extract.models import load_model, resolve
from extract.state_measures import MEASURES, sparsity
from tests.extract.tiny_runs import rows
from warehouse.lake import find_run


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
