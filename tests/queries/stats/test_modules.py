"""Measures, comparisons and intervals of groups, and the verdict from them."""

from dataclasses import replace

import numpy as np
import pytest

from queries.stats.correlations import correlation, independent
from queries.stats.module_measures import MEASURES, QUALITIES, Sample, measure
from queries.stats.module_verdict import ModuleEvidence, decide_modules
from queries.stats.modules import jackknife_interval

GOOD = ModuleEvidence("signed_q", 0.17, 0.23, 0.19, 0.5, "the trend", 0.3, "equals", 0.5, 0.3, 0.95)
BEYOND = {"p": 0.001, "least_p": 0.001, "q": 0.006, "low": 0.195}


def test_every_measure_of_every_group():
    found = measure(independent(8, 50, 7, np.random.default_rng(0)), 50, QUALITIES, np.random.default_rng(1), 4)
    assert set(found) == set(MEASURES)
    assert all(each.shape == (7,) and np.isfinite(each).all() for each in found.values())


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).standard_normal(20)
    left_out = (values.sum() - values) / 19
    low, high = jackknife_interval(values.mean(), left_out, (-np.inf, np.inf))
    assert (high - low) / 2 == pytest.approx(2.093024 * values.std(ddof=1) / np.sqrt(20), rel=1e-6)
    assert np.isnan(jackknife_interval(0.0, np.zeros(20), (-1.0, 1.0))).all()
    assert jackknife_interval(0.9, np.array([0.1, 1.0, 0.5]), (0.0, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("is_gated", [False, True])
def test_signs_count_unless_they_are_arbitrary(is_gated):
    """Turning neurons at random changes no measure of a gated model, in data and jackknife alike."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((200, 1)) + rng.standard_normal((200, 12))
    turned = values * rng.choice([-1.0, 1.0], 12)
    found = [
        Sample(each, np.zeros(200, dtype=int), correlation(each), np.ones(12), is_gated).measure(
            correlation(each)[None], QUALITIES, np.random.default_rng(6), 5
        )
        for each in (values, turned)
    ]
    for name in ("signed_q", "mg_q", "signed_q_density_25"):
        assert (found[0][name] == pytest.approx(found[1][name])) is is_gated


def test_the_jackknife_knows_how_many_positions_are_left():
    """Without half of the positions the noise edge is higher: what lies between the edges is noise there."""
    block = np.kron(np.eye(2), np.full((8, 8), 0.12))
    np.fill_diagonal(block, 1.0)
    both = measure(np.stack([block, block]), np.array([1000.0, 50.0]), ("mg_q",), np.random.default_rng(0), 3)["mg_q"]
    assert both[0] > 0
    assert both[1] == 0
    alone = measure(block[None], 1000, ("mg_q",), np.random.default_rng(0), 3)["mg_q"]
    assert both[0] == pytest.approx(alone[0])


@pytest.mark.parametrize(
    ("signed", "correlation", "verdict", "words"),
    [
        ({}, {}, "supported", "ordinary for neurons of such influence (p >= 0.3)"),
        ({}, {"power": 0.5}, "undecidable", "found in only 50 %"),
        ({"power": float("nan")}, {}, "undecidable", "found in only"),
        ({}, {"p": 0.01, "least_p": 0.01}, "undecidable", "mg_q is beyond every null (p = 0.01), but not every"),
        ({}, {"p": 0.4, "least_p": 0.06}, "undecidable", "mg_q is rather high beside equals (p = 0.06"),
        ({}, {"p": 0.4, "least_p": float("nan")}, "undecidable", "rather high"),
        ({}, {"low": 0.2}, "undecidable", "begins at 0.2, above every null's mean"),
        ({"high": 0.31}, {}, "undecidable", "reaches 0.31"),
        (BEYOND, BEYOND, "contradicted", "more modular than every null"),
        (BEYOND, {}, "undecidable", "signed_q is beyond every null"),
        (BEYOND, {**BEYOND, "low": 0.17}, "undecidable", "reaches down to 0.17"),
        (BEYOND, {**BEYOND, "p": 0.03, "q": 0.09}, "undecidable", "not among all tests"),
    ],
)
def test_verdicts(signed, correlation, verdict, words):
    found, reason = decide_modules((replace(GOOD, **signed), replace(GOOD, words="mg_q", **correlation)))
    assert found == verdict
    assert words in reason


def test_no_evidence_decides_nothing():
    assert decide_modules((), "no positions") == ("undecidable", "no positions")
