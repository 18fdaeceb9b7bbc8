"""Differences and crossings along a training: planted steps are covered, the search for a fall is paid for."""

import numpy as np
import pytest

from queries.stats.step_series import StepSeries, crossing, largest_fall

STEP = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])


def series(truth, noise, rng, groups=10):
    """Means of as many groups with noise of their own, and without each."""
    own = truth + np.sqrt(groups) * noise * rng.standard_normal((groups, len(truth)))
    return StepSeries(STEP[: len(truth)], own.mean(axis=0), (own.sum(axis=0) - own) / (groups - 1))


def test_a_planted_crossing_is_covered_and_its_interval_is_made_of_checkpoints():
    truth = 0.8 * (np.log1p(STEP) - np.log1p(12))
    covered = 0
    for seed in range(200):
        found = crossing(series(truth, 0.2, np.random.default_rng(seed)))
        assert {found.low, found.high} <= set(STEP.tolist())
        assert found.low <= found.step <= found.high
        covered += found.low <= 12 <= found.high
    assert covered >= 190


def test_without_noise_the_crossing_is_interpolated_in_the_log_of_the_step():
    truth = np.log1p(STEP) - np.log1p(10)
    found = crossing(StepSeries(STEP, truth, np.tile(truth, (10, 1))))
    assert found.step == pytest.approx(10)
    assert (found.low, found.high) == (8, 16)


@pytest.mark.parametrize(
    ("values", "groups", "said"),
    [
        ([0.5, 1.0], 10, "not below 0 at the first checkpoint, step 0"),
        ([-2.0, -1.0], 10, "below 0 up to the last checkpoint, step 1"),
        ([np.nan, np.nan], 10, "no value"),
        ([-1.0, 1.0], 3, "too few documents"),
    ],
)
def test_what_is_not_seen_has_a_reason(values, groups, said):
    found = crossing(StepSeries(STEP[:2], np.array(values), np.tile(values, (groups, 1))))
    assert said in found.reason
    assert np.isnan([found.low, found.high]).all()


def test_a_crossing_that_its_interval_does_not_hold_has_no_ends():
    found = crossing(series(np.linspace(-0.01, 0.01, 10), 1.0, np.random.default_rng(1)))
    assert np.isnan(found.step) or "no checkpoint whose interval is wholly" in found.reason


def test_the_largest_fall_of_noise_is_rarely_held():
    held = sum(
        largest_fall(series(np.zeros(10), 1.0, np.random.default_rng(seed))).low > 0 for seed in range(300)
    )  # fmt: skip
    assert held <= 15


def test_a_planted_fall_is_found_with_its_place():
    truth = np.array([0.0, 1, 2, 3, 4, 1, 1, 1, 1, 1])
    found = largest_fall(series(truth, 0.05, np.random.default_rng(0)))
    assert found.low < 3 < found.high
    assert found.low > 2
    assert (found.earlier, found.later >= 5) == (4, True)
    assert largest_fall(StepSeries(STEP, truth, np.tile(truth, (10, 1))), start=5).value == 0
    assert np.isnan(largest_fall(StepSeries(STEP, np.full(10, np.nan), np.zeros((10, 10)))).value)


def test_a_pair_without_an_interval_is_not_the_surest():
    truth = np.array([0.0, 3, 2, 1, 0, 0, 0, 0, 0, -1])
    planted = series(truth, 0.05, np.random.default_rng(0))
    planted.without[2, 9] = np.nan
    found = largest_fall(planted, 0.5)
    assert (found.earlier, found.later < 9) == (1, True)
    assert 2 < found.low < 3 < found.high
    assert np.isfinite(largest_fall(planted, 10.0).low)
    planted.without[2, :] = np.nan
    assert np.isnan(largest_fall(planted, 0.5).low)


def test_what_documents_do_at_all_checkpoints_alike_does_not_widen_a_difference():
    rng = np.random.default_rng(0)
    common = 5 * rng.standard_normal((10, 1))
    own = np.linspace(0, -1, 10) + common + 0.01 * rng.standard_normal((10, 10))
    found = largest_fall(StepSeries(STEP, own.mean(axis=0), (own.sum(axis=0) - own) / 9))
    assert found.low > 0.8
