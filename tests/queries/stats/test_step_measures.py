"""What is measured at a checkpoint, against direct computation."""

import numpy as np
import pytest

from queries.stats import dimension
from queries.stats.bootstrap import document_weights, replicates
from queries.stats.segmentation import fit_values
from queries.stats.step_measures import (
    curves,
    delta_bias,
    group_dimensions,
    mean_loss,
    overlaps,
    tail_changes,
    tail_index,
)
from queries.stats.three_regimes import QUANTITIES
from tests.lake import planted_influence


def test_delta_bias_is_the_mean_above_the_continued_middle_line():
    rng = np.random.default_rng(0)
    values = planted_influence(200, n_plateau=15) * rng.lognormal(0, 0.2, (5, 200))
    fit = fit_values(values)
    for row, found in enumerate(delta_bias(values, fit)):
        q = dict(zip(QUANTITIES, fit.quantity[row], strict=True))
        end = int(q["plateau_end"])
        first = 0.5 * (np.log(end) + np.log(end + 1))
        ranks = np.arange(1, end + 1)
        line = fit.level[row] - q["kappa"] * (np.log(ranks) - first)
        assert found == pytest.approx(np.mean(np.log(np.sort(values[row])[::-1][:end]) - line))


def test_delta_bias_of_a_flat_plateau_is_its_height():
    step, n, kappa = 1.2, 12, 0.7
    values = planted_influence(400, n_plateau=n, kappa=kappa, step=step)[None]
    # flat, `step` above the first rank of the power law
    line = -kappa * (np.log(np.arange(1, n + 1)) - np.log(n + 1))
    assert delta_bias(values, fit_values(values))[0] == pytest.approx(step - line.mean(), abs=0.1)


def test_a_curve_without_regimes_has_no_delta_bias():
    assert np.isnan(delta_bias(np.full((1, 20), 1.0), fit_values(np.full((1, 20), 1.0)))).all()


def test_curves_are_those_of_the_data_then_of_the_resamples():
    rng = np.random.default_rng(0)
    sums = planted_influence(120, n_plateau=12, elbow=60) * rng.lognormal(0, 0.3, (20, 120))
    counts, weights = np.full(20, 5.0), document_weights(20, 30, rng)
    found = curves(sums, counts, weights)
    fit = fit_values(replicates(sums, counts, weights))
    np.testing.assert_allclose(found.measures["kappa"][1:], fit.quantity[:, QUANTITIES.index("kappa")])
    assert found.members.shape == (31, 120)
    np.testing.assert_array_equal(found.members.sum(axis=1), found.measures["plateau_size"])


def test_overlap_is_of_the_same_resample():
    members = np.array([[True, True, False], [True, False, False], [False, False, False]])
    last = np.array([[True, True, False], [False, True, False], [True, True, True]])
    np.testing.assert_array_equal(overlaps(members, last), [1.0, 0.0, np.nan])


def test_mean_loss_is_that_of_the_positions():
    found = mean_loss(np.array([4.0, 9.0]), np.array([2.0, 3.0]), np.array([[2.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(found, [13 / 5, 2.0, 3.0])


def test_dimensions_are_those_of_the_positions_themselves():
    rng = np.random.default_rng(0)
    values, document = rng.standard_normal((90, 6)) @ rng.standard_normal((6, 6)) + 3.0, np.repeat(np.arange(3), 30)
    values[:, 5] = 2.0  # does not vary
    parts = [values[document == each] for each in range(3)]
    products, sums = np.stack([part.T @ part for part in parts]), np.stack([part.sum(axis=0) for part in parts])
    weights = np.array([[0.0, 3.0, 0.0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])
    found = group_dimensions(products, sums, np.full(3, 30.0), weights)
    members = np.arange(6)[None]
    for row, texts in enumerate([[0, 1, 2], [1], [0, 1, 2], [0, 0, 1]]):
        direct = dimension.group_dimensions(np.concatenate([parts[each] for each in texts]))(members)[0]
        assert found["participation"][row] == pytest.approx(direct[1], rel=1e-4)
        assert found["d95"][row] == pytest.approx(direct[3], rel=1e-4)


def test_a_resample_without_positions_has_no_dimension():
    found = group_dimensions(np.ones((2, 2, 2)), np.ones((2, 2)), np.array([3.0, 0.0]), np.array([[0.0, 2.0]]))
    assert np.isnan(found["d95"][1])


def test_a_shared_direction_makes_a_heavier_tail():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1, 32, 256))
    plain = tail_index(noise, 49, np.random.default_rng(1))
    assert plain.low < plain.value < plain.high
    factors = rng.standard_normal((1, 32, 4)) @ (rng.standard_normal((4, 256)) * np.array([[3.0], [2.0], [1.0], [0.5]]))
    heavy = tail_index(noise + factors, 49, np.random.default_rng(1))
    assert heavy.high < plain.low
    found = tail_changes([plain, plain, heavy, heavy], 32)
    assert (found.emerged, found.sign) == (2, -1)
    assert found.at.estimate[1:] == pytest.approx([0, *2 * [heavy.value - plain.value]])
    assert (found.wide_low[2:] < found.at.low[2:]).all()
    assert found.wide_high[3] < 0
    assert found.p[1] == 1
    assert np.isnan(found.p[0])


def test_intervals_of_a_changing_tail_hold_the_truth():
    """Columns drawn anew each time: what the logarithm changes by is in its interval in 95 % of them, or more."""
    rng = np.random.default_rng(3)
    loads = rng.standard_normal((32, 3)) * np.array([3.0, 2.0, 1.0]) / np.sqrt(3)
    found = []
    for seed in range(40):
        before = rng.standard_normal((1, 32, 96))
        after = before + loads @ rng.standard_normal((3, 96))
        tails = [tail_index(each, 25, np.random.default_rng(seed)) for each in (before, after)]
        change = tail_changes(tails, 32).at
        found.append([tails[0].value, change.low[1], change.estimate[1], change.high[1]])
    first, *ends = np.array(found).T
    low, change, high = (np.log1p(each / first) for each in ends)
    assert ((low < change.mean()) & (change.mean() < high)).mean() >= 0.9


@pytest.mark.parametrize("groups", [np.zeros((0, 0, 0)), np.ones((1, 8, 16)), np.ones((1, 2, 16))])
def test_no_tail_of_nothing(groups):
    tail = tail_index(groups, 9, np.random.default_rng(0))
    assert np.isnan([tail.value, tail.low, tail.high]).all()
    assert np.isnan(tail_changes([tail, tail], 8).p).all()
