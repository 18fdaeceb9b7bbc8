"""What must not matter: units, the order of neurons, and the order of documents."""

from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.stats.coactivation import group_coactivation
from queries.stats.coordination import jackknife_reach
from queries.stats.dimension import group_dimensions
from queries.stats.hopkins import hopkins
from queries.stats.kmeans import squared_distances
from queries.stats.spectra import measure, spectra, standardise

SEEDS, SCALES = st.integers(0, 1000), st.floats(1e-3, 1e3)
few = settings(max_examples=15, deadline=None)


@few
@given(seed=SEEDS, scale=SCALES)
def test_coordination_knows_no_units_and_no_order(seed, scale):
    """Each neuron in a unit of its own, positions and members shuffled: the same dimensions and correlations."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((60, 12)) + rng.standard_normal((60, 1))
    group, units = np.arange(6), scale * rng.uniform(0.5, 2.0, 12)
    other = values[rng.permutation(60)] * units
    for of_groups in (group_dimensions, partial(group_coactivation, targets={"rest": np.array([7, 8, 9, 10, 11, 6])})):
        one = of_groups(values)(group[None])
        np.testing.assert_allclose(of_groups(other)(rng.permutation(group)[None]), one, rtol=1e-3, atol=1e-4)


@few
@given(seed=SEEDS, scale=SCALES)
def test_spectra_know_no_units_and_no_order(seed, scale):
    """Each row in a unit of its own, rows and columns shuffled: the same eigenvalues and measures."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_t(3, (20, 50))
    other = scale * rng.uniform(0.5, 2.0, (20, 1)) * weights[:, rng.permutation(50)] + 1.0
    one, two = (spectra(standardise(rows), group[None]) for rows, group in (
        (weights, np.arange(20)), (other, rng.permutation(20)),
    ))  # fmt: skip
    np.testing.assert_allclose(one.values, two.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(measure(one, 50), measure(two, 50), rtol=1e-5)


@few
@given(seed=SEEDS, scale=SCALES)
def test_points_know_no_units_and_no_rotation(seed, scale):
    """Scaled points have the same Hopkins statistic, and rotated ones the same distances."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((30, 8))
    turned = points @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    one, other = points @ points.T, turned @ turned.T
    np.testing.assert_allclose(squared_distances(one[None]), squared_distances(other[None]), atol=1e-9)
    found = [hopkins((factor * one)[None], np.random.default_rng(seed))[0] for factor in (1.0, scale)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


@few
@given(seed=SEEDS, scale=SCALES)
def test_an_interval_by_leaving_out_knows_no_order_of_the_documents(seed, scale):
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((10, 3))
    np.testing.assert_allclose(jackknife_reach(scale * rng.permutation(left)), scale * jackknife_reach(left), rtol=1e-9)
