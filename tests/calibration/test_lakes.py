"""A simulated lake is what its world says: mean deltas, their signs, what activations and weights share."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.lakes import activations, deltas, frozen, positions, weights
from calibration.worlds import (
    HALVES,
    N_CORE,
    Corpus,
    coupled_world,
    flat_world,
    influence_world,
    mediated_world,
    opposed_world,
    power_world,
    sloping_world,
    smooth_world,
)

LONG = Corpus(documents=1500, positions=30)


def test_influence_and_signed_mean_are_those_of_the_world():
    rng = np.random.default_rng(0)
    world = influence_world(rng, bias=0.3, selective=0.8)
    document, target = positions(LONG, rng)
    drawn = deltas(world, document, target, rng)
    for token_class, is_class in (("rare", target >= 20), ("common", target < 20)):
        found = np.abs(drawn[is_class]).mean(axis=0) / world.influence(token_class)
        assert np.median(found) == pytest.approx(1, abs=0.03)
        assert np.abs(found - 1).max() < 0.15
    leaning = drawn.mean(axis=0) / np.abs(drawn).mean(axis=0)
    np.testing.assert_allclose(leaning, world.bias, atol=0.06)
    assert set(np.flatnonzero(world.bias)) == set(range(5, len(world.bias), 10))


def test_what_is_lost_with_a_frozen_path_is_the_share_of_the_world():
    rng = np.random.default_rng(5)
    world = mediated_world(rng, share=0.7)
    document, target = positions(LONG, rng)
    delta = deltas(world, document, target, rng)
    lost = 1 - np.abs(frozen(world, document, delta, rng)).mean(axis=0) / np.abs(delta).mean(axis=0)
    np.testing.assert_allclose(lost, world.mediated, atol=0.1)
    assert world.mediated[:N_CORE].mean() == pytest.approx(0.7)
    assert not world.mediated[N_CORE:].any()
    assert (mediated_world(rng, share=0.7, anywhere=True).mediated > 0).sum() == 66


def test_documents_make_tokens_alike():
    rng = np.random.default_rng(1)
    world = influence_world(rng)
    document, target = positions(LONG, rng)
    size = np.log(np.abs(deltas(world, document, target, rng))).mean(axis=1)
    means = np.bincount(document, size) / np.bincount(document)
    assert means.std() > 1.5 * size.std() / np.sqrt(30)


def test_rare_targets_are_in_the_rare_bands():
    document, target = positions(LONG, np.random.default_rng(2))
    assert np.mean(target // 4 >= HALVES["rare"].start) == pytest.approx(0.4, abs=0.02)
    assert len(np.unique(document)) == 1500
    assert len(np.unique(target)) == 40


def test_a_cluster_shares_the_coupling_and_others_do_not():
    rng = np.random.default_rng(3)
    world = coupled_world(rng, coupling=0.5)
    document, _ = positions(LONG, rng)
    values = activations(world, document, rng)
    alike = world.cluster[:N_CORE, None] == world.cluster[None, :N_CORE]
    for shared in (np.corrcoef(values[:, :N_CORE].T), np.corrcoef(weights(world, 4000, rng)["out"][:N_CORE])):
        pairs = np.triu(np.ones_like(alike), 1).astype(bool)
        assert shared[pairs & alike].mean() - shared[pairs & ~alike].mean() == pytest.approx(0.46, abs=0.08)


def test_on_a_slope_the_top_of_the_ranking_shares_most_and_nothing_else_is_special():
    rng = np.random.default_rng(6)
    world = sloping_world(rng, steepest=0.4)
    influence = np.log(world.level[:, 0])
    np.testing.assert_allclose(np.corrcoef(influence, world.coupling)[0, 1], 1.0)
    assert np.corrcoef(influence, np.log(world.scale))[0, 1] > 0.8
    document, _ = positions(LONG, rng)
    r = np.corrcoef(activations(replace(world, loading=np.zeros_like(world.loading)), document, rng).T)
    alike = (world.cluster[:, None] == world.cluster) & ~np.eye(len(r), dtype=bool)
    for part in (slice(0, N_CORE), slice(N_CORE, 64)):
        found, share = r[part, part][alike[part, part]].mean(), world.coupling[part].mean()
        # the document's effect is in a neuron's own variance
        assert found == pytest.approx(share / (1 + 0.09 * (1 - share)), abs=0.03)


def test_what_is_flat_is_flat_and_what_is_smooth_has_no_component():
    rng = np.random.default_rng(4)
    assert np.ptp(flat_world(rng).level) == 0
    assert np.log(flat_world(rng, spread=0.1).level[:, 0]).std() == pytest.approx(0.1, abs=0.01)
    gap = [np.diff(np.log(smooth_world(rng, component=c).level[:14, 0])).min() for c in (0.0, 2.0)]
    assert gap[1] < gap[0] < 0


def test_a_plateau_against_the_rest_is_negatively_correlated_with_it():
    rng = np.random.default_rng(7)
    world = opposed_world(rng, against=0.1)
    document, _ = positions(LONG, rng)
    r = np.corrcoef(activations(replace(world, loading=world.loading * [1.0, 0.0, 0.0]), document, rng).T)
    assert r[:N_CORE, N_CORE:].mean() == pytest.approx(-0.1 / 1.19, abs=0.01)
    assert r[N_CORE:, N_CORE:][~np.eye(len(r) - N_CORE, dtype=bool)].mean() == pytest.approx(0.1 / 1.19, abs=0.01)


def test_a_power_law_has_its_exponent():
    level = power_world(np.random.default_rng(8), alpha=2.5, n=20000).level[:, 0]
    assert 1 + 1 / np.log(level / level.min()).mean() == pytest.approx(2.5, abs=0.03)
    assert (np.diff(level) <= 0).all()
