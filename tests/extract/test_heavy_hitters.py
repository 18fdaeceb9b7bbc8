"""Counters of token types: exact while they suffice, within their bound beyond, and bounds that hold the truth."""

import numpy as np
import pytest

from extract.heavy_hitters import FREE, HeavyHitters


def stream(seed, n_types=80, pieces=12, N=6, T=60):
    """Pieces of (types, mass) and the true mass (n_types, N): Zipf's law, some neurons on few types."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, n_types + 1)
    truth, made = np.zeros((n_types, N)), []
    for _ in range(pieces):
        token = rng.choice(n_types, T, p=p / p.sum())
        mass = rng.exponential(1.0, (T, N)) * np.where(np.arange(N) < N // 2, 1.0, token[:, None] % 10 == 3)
        sums = np.zeros((n_types, N))
        np.add.at(sums, token, mass)
        types = np.unique(token)
        truth += sums
        made.append((types, sums[types].T))
    return made, truth


def counted(hitters, n_types):
    dense = np.zeros((n_types, len(hitters.types)))
    for neuron, (types, mass) in enumerate(zip(hitters.types.tolist(), hitters.mass.tolist(), strict=True)):
        for token, weight in zip(types, mass, strict=True):
            if token != FREE:
                assert dense[token, neuron] == 0  # each type has one counter at most
                dense[token, neuron] = weight
    return dense


def true_types(truth, share):
    ordered = -np.sort(-truth, axis=0)
    return 1 + (ordered.cumsum(0) < share * truth.sum(0) * (1 - 1e-12)).sum(0)


def test_enough_counters_are_exact():
    made, truth = stream(0)
    hitters = HeavyHitters(6, 80)
    for types, mass in made:
        hitters.update(types, mass)
    np.testing.assert_allclose(counted(hitters, 80), truth, rtol=1e-12)
    assert float(hitters.error.max()) == 0
    low, high = hitters.bounds(0.9, 80)
    assert low.tolist() == high.tolist() == true_types(truth, 0.9).tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [1, 5, 20, 50])
def test_too_few_counters_are_within_their_bound(seed, k):
    made, truth = stream(seed)
    hitters = HeavyHitters(6, k)
    for types, mass in made:
        hitters.update(types, mass)
    found, error = counted(hitters, 80), hitters.error
    assert (found <= truth + 1e-9).all()
    assert (truth - found <= error + 1e-9).all()
    assert (error <= (truth.sum(0) - found.sum(0)) / (k + 1) + 1e-9).all()
    np.testing.assert_allclose(hitters.total, truth.sum(0), rtol=1e-12)
    low, high = hitters.bounds(0.9, 80)
    true = true_types(truth, 0.9)
    assert (low <= true).all()
    assert (true <= high).all()
    exact = error == 0
    assert (low[exact] == high[exact]).all()


def test_a_neuron_that_is_never_active_has_no_types():
    hitters = HeavyHitters(2, 3)
    hitters.update(np.array([4, 7]), np.array([[0.0, 0.0], [1.0, 2.0]]))
    assert hitters.types[0].tolist() == [FREE] * 3
    assert [each.tolist() for each in hitters.bounds(0.9, 2)] == [[0, 2], [0, 2]]
