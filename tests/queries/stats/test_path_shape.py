"""Planted paths of the four shapes are told apart, noise is no arc, and what cannot be told is not called."""

from dataclasses import replace

import numpy as np
import pytest

from queries.stats.path_shape import OWN, SHAPES, path_shape
from queries.stats.step_series import StepSeries

STEP = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048])
LOG = np.log1p(STEP)


def rise(start, end, middle, width=0.5):
    """From `start` to `end`, half of it at the step `middle`."""
    return start + (end - start) / (1 + np.exp(-(LOG - np.log1p(middle)) / width))


PLANTED = {
    "full_v": (rise(-2.3, 1.5, 10), rise(3.0, 0.0, 20)),
    "fold_back": (rise(-2.3, 1.5, 10) - rise(0.0, 1.2, 300), rise(3.0, 0.0, 20)),
    "delayed_escape": (rise(-2.3, 1.5, 10), rise(3.0, 0.0, 700, 0.2)),
    "no_arc": (rise(-2.3, 1.5, 10), rise(3.0, 2.9, 20)),
}


def series(truth, rng, noise=0.03, groups=10):
    own = truth + np.sqrt(groups) * noise * rng.standard_normal((groups, len(truth)))
    return StepSeries(STEP, own.mean(axis=0), (own.sum(axis=0) - own) / (groups - 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_planted_paths_have_their_shape(shape):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = path_shape(*(series(each, rng) for each in PLANTED[shape]))
        assert found.shape == shape, found
        assert found.reason


def test_the_margins_hold_what_was_planted():
    found = path_shape(*(series(each, np.random.default_rng(0)) for each in PLANTED["fold_back"]))
    assert found.drop.low < 3 < found.drop.high
    assert found.fall.low > 0.5
    late = path_shape(*(series(each, np.random.default_rng(0)) for each in PLANTED["delayed_escape"]))
    assert late.delay.low < late.delay.value < late.delay.high
    assert np.exp(late.delay.value) > 10


def test_noise_is_no_arc():
    called = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, y = (series(np.zeros(len(STEP)), rng, noise=1.0) for _ in range(2))
        called += path_shape(x, y).shape != "no_arc"
    assert called <= 15


def test_a_fall_back_that_is_not_held_is_undecidable():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["fold_back"])
    loose = series(PLANTED["fold_back"][0], np.random.default_rng(1), noise=2.0).without
    found = path_shape(replace(x, without=np.where(STEP < 100, x.without, loose)), y)
    assert found.shape == "undecidable"
    assert "full V or fold-back" in found.reason


def test_a_fall_back_that_structureless_vectors_have_too_is_undecidable():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["fold_back"])
    late = {"flat": rise(-2.3, 0.5, 40), "falling": rise(-2.3, 1.5, 20) - rise(0.0, 1.8, 300)}
    shapes = {name: path_shape(x, y, null=[StepSeries(STEP, each, each[None])]) for name, each in late.items()}
    assert shapes["flat"].shape == "fold_back"
    assert shapes["falling"].shape == "undecidable"
    assert "structureless vectors by 1." in shapes["falling"].reason


def test_without_a_crossing_no_escape_is_delayed():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["delayed_escape"])
    found = path_shape(replace(x, values=x.values + 5, without=x.without + 5), y)
    assert found.shape == "full_v"
    assert "no crossing is seen" in found.delay.reason


def test_a_delay_that_its_interval_does_not_hold_apart_from_ten_is_undecidable():
    x = series(PLANTED["full_v"][0], np.random.default_rng(0))
    found = path_shape(x, series(rise(3.0, 0.0, 100, 0.2), np.random.default_rng(0)))
    assert found.delay.low < np.log(10) < found.delay.high
    assert found.shape == "undecidable"
    assert "delayed escape or not" in found.reason
    early = path_shape(x, series(PLANTED["full_v"][1], np.random.default_rng(0)))
    assert early.delay.high < np.log(10)
    assert early.shape == "full_v"


def test_a_delay_after_a_crossing_without_an_interval_is_undecidable():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["delayed_escape"])
    loose = series(PLANTED["delayed_escape"][0], np.random.default_rng(1), noise=5.0).without
    found = path_shape(replace(x, without=np.where(STEP < 10, loose, x.without)), y)
    assert found.shape == "undecidable"
    assert "has no interval (no checkpoint whose interval is wholly below 0 before it)" in found.reason


@pytest.mark.parametrize(("later", "shape"), [(0.0, "undecidable"), (3.0, "delayed_escape")])
def test_no_escape_is_delayed_after_a_crossing_that_structureless_vectors_have_as_early(later, shape):
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["delayed_escape"])
    found = path_shape(x, y, null=[replace(x, values=rise(-2.3, 1.5, 10 * np.exp(later)))])
    assert found.shape == shape
    assert (OWN in found.reason) == (OWN in found.delay.reason) == (shape == "undecidable")
    near = path_shape(x, series(PLANTED["full_v"][1], np.random.default_rng(0)), null=[x])
    assert near.shape == "full_v"


def test_a_replicate_without_a_number_leaves_the_other_checkpoints_their_interval():
    for kind in ("full_v", "no_arc"):
        x, y = (series(each, np.random.default_rng(0)) for each in PLANTED[kind])
        y.without[0, -1] = np.nan
        found = path_shape(x, y)
        assert found.shape == kind
        assert np.isfinite(found.drop.low)


def test_reasons_name_what_fell():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["no_arc"])
    assert "the largest fall of ln of something" in path_shape(x, y, "ln of something").reason


def test_few_checkpoints_or_documents_are_undecidable():
    x, y = (series(each, np.random.default_rng(0)) for each in PLANTED["full_v"])
    hidden = replace(x, values=np.where(STEP < 300, np.nan, x.values))
    assert "3 of 13 checkpoints have the coordinate and ln NC1; 5 are needed" in path_shape(hidden, y).reason
    few = path_shape(*(replace(each, without=each.without[:3]) for each in (x, y)))
    assert few.shape == "undecidable"
    assert "too few documents" in few.reason
