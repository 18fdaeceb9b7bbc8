"""Changes along checkpoints: what simulations of known truth say of the intervals, and the rule of emergence."""

import numpy as np
import pytest

from queries.stats.trajectory import Trajectory, _emergence, changes, changes_of_errors, intervals


def draws(truth, rng, n=30, replicates=400, shared=1.0):
    """Means of n documents that are hard at all checkpoints alike, and their resamples."""
    values = truth[:, None] + shared * rng.standard_normal(n) + rng.standard_normal((len(truth), n))
    weights = rng.multinomial(n, np.full(n, 1 / n), replicates) / n
    return Trajectory(values.mean(axis=1), values @ weights.T)


def test_without_change_all_checkpoints_together_are_wrong_in_five_per_cent():
    rng = np.random.default_rng(0)
    found = [changes(draws(np.zeros(6), rng), 30) for _ in range(400)]
    wrong = np.mean([np.nanmin(each.p) <= 0.05 for each in found])
    assert 0.02 < wrong < 0.085
    outside = np.mean([((each.wide_low > 0) | (each.wide_high < 0)).any() for each in found])
    assert outside == pytest.approx(wrong, abs=0.02)


def test_pointwise_intervals_cover():
    rng, truth = np.random.default_rng(1), np.array([0.0, 0.5, 1.0])
    levels, steps = [], []
    for _ in range(400):
        of = draws(truth, rng)
        at, change = intervals(of, 30), changes(of, 30).at
        levels.append((at.low <= truth) & (truth <= at.high))
        steps.append((change.low[1:] <= truth[1:]) & (truth[1:] <= change.high[1:]))
    assert 0.92 < np.mean(levels) < 0.98
    assert 0.92 < np.mean(steps) < 0.98


def test_what_documents_share_does_not_widen_a_change():
    widths = [
        np.nanmean(changes(draws(np.zeros(4), np.random.default_rng(2), shared=shared), 30).wide_high)
        for shared in (0.0, 10.0)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def test_it_emerges_where_it_was_planted():
    truth = np.array([0.0, 0.0, 0.0, 3.0, 3.0, 3.0])
    found = [changes(draws(truth, np.random.default_rng(seed)), 30) for seed in range(100)]
    assert np.mean([each.emerged == 3 for each in found]) > 0.9
    assert all(each.sign == 1 for each in found)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ([0, 1, 1], (1, 1)), ([0, 1, 0, 1], (3, 1)), ([0, 1, -1, -1], (2, -1)), ([0, 1, 1, 0], (-1, 0)), ([0], (-1, 0)),
        ([0, 0, 0], (-1, 0)),
    ],
)  # fmt: skip
def test_emerged_is_for_good_and_in_one_direction(side, expected):
    side = np.array(side, dtype=float)
    assert _emergence(side - 0.5, side + 0.5) == expected


def test_one_checkpoint_has_no_change():
    found = changes(Trajectory(np.ones(1), np.ones((1, 50))), 20)
    assert np.isnan(found.p).all()
    assert (found.emerged, found.sign) == (-1, 0)


def test_equal_checkpoints_do_not_differ_by_rounding():
    value = np.array([0.3, 0.3 + 4e-16])
    found = changes(Trajectory(value, value[:, None] + np.random.default_rng(0).standard_normal(99)), 20)
    assert found.at.estimate[1] == found.wide_low[1] == found.wide_high[1] == 0
    assert found.p[1] == 1


def test_a_checkpoint_without_an_answer_is_no_change_and_spoils_no_other():
    rng = np.random.default_rng(0)
    of = draws(np.array([0.0, 0.0, 5.0, 5.0]), rng)
    of.drawn[1, :40] = np.nan
    found = changes(of, 30)
    assert np.isnan(found.wide_low[1])
    assert found.emerged == 2


def test_the_last_may_have_no_value_of_its_own():
    of = draws(np.array([0.0, 5.0, 5.0, 0.0]), np.random.default_rng(0))
    of.value[3], of.drawn[3] = np.nan, np.nan
    assert changes(of, 30).emerged == -1
    assert changes(of, 30, is_last=False).emerged == 1


def test_a_change_without_a_measured_error_has_no_p_and_one_of_nothing_is_none():
    found = changes_of_errors(np.array([np.nan, 2.0, 0.0, 2.0]), np.array([np.nan, 0.0, 0.0, 0.1]), 9)
    assert np.isnan(found.p[:2]).all()
    assert np.isnan(found.at.low[1])
    assert found.p[2] == 1
    assert 0 < found.p[3] < 1e-6
