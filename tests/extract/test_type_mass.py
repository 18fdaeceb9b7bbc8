"""Mass by token type: the exact tally and the counters agree while there are counters enough."""

import numpy as np
import pytest

from extract import type_mass
from extract.heavy_hitters import FREE
from extract.type_mass import CountedMass, ExactMass


def filled(mass, seed=0, pieces=5, N=4):
    rng = np.random.default_rng(seed)
    for _ in range(pieces):
        token = rng.integers(0, 30, 40) * 3
        mass.begin(np.unique(token))
        for half in np.split(token, 2):
            mass.add(half, rng.exponential(1.0, (20, N)).astype(np.float32))
        mass.finish()
    return mass


def test_both_ways_give_the_same_where_counters_suffice():
    exact, counted = filled(ExactMass(4, np.arange(0, 90, 3))), filled(CountedMass(4))
    for k in (1, 7, 30):
        (types, mass), (others, counters) = exact.largest(k), counted.largest(k)
        assert types.tolist() == others.tolist()
        np.testing.assert_allclose(mass, counters, rtol=1e-6)
    assert [each.tolist() for each in exact.bounds(0.9, 30)] == [each.tolist() for each in counted.bounds(0.9, 30)]
    assert exact.error.tolist() == counted.error.tolist() == [0.0] * 4
    assert FREE not in exact.largest(30)[0]


def test_counters_that_do_not_suffice_hold_the_truth_within_their_error(monkeypatch):
    monkeypatch.setattr(type_mass, "COUNTERS", 6)
    exact, counted = filled(ExactMass(4, np.arange(0, 90, 3))), filled(CountedMass(4))
    types, mass = counted.largest(3)
    truth = np.take_along_axis(exact.mass.T, np.searchsorted(exact.types, types), axis=1)
    assert (mass <= truth + 1e-5).all()
    assert (truth <= mass + counted.error[:, None] + 1e-5).all()
    low, high = counted.bounds(0.9, 30)
    true, _ = exact.bounds(0.9, 30)
    assert ((low <= true) & (true <= high)).all()


@pytest.mark.parametrize(("limit", "kind"), [(30, ExactMass), (29, CountedMass)])
def test_the_number_of_types_decides(monkeypatch, limit, kind):
    monkeypatch.setattr(type_mass, "EXACT", limit)
    assert isinstance(type_mass.type_mass(2, np.arange(30)), kind)


def test_no_mass_has_no_types():
    assert [each.tolist() for each in ExactMass(2, np.arange(3)).bounds(0.9, 3)] == [[0, 0], [0, 0]]
