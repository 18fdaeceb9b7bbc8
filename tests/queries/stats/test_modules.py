"""Measures, comparisons and intervals of groups, and the verdict from them."""

from dataclasses import replace

import numpy as np
import pytest

from queries.stats.correlations import independent
from queries.stats.module_verdict import ModuleEvidence, decide_modules
from queries.stats.modules import (
    MAX_OVERLAP,
    MEASURES,
    QUALITIES,
    compare,
    jackknife_interval,
    matching_strata,
    measure,
)

GOOD = ModuleEvidence(0.20, 0.17, 0.23, 0.19, 0.4, 0.5, 0.3, 0.3, 0.95)


def test_every_measure_of_every_group():
    found = measure(independent(8, 50, 7, np.random.default_rng(0)), 50, QUALITIES, np.random.default_rng(1), 4)
    assert set(found) == set(MEASURES)
    assert all(each.shape == (7,) and np.isfinite(each).all() for each in found.values())


def test_qualities_are_compared_one_sided():
    null = np.linspace(0, 1, 99)
    assert compare("signed_q", 2.0, null).p == pytest.approx(0.01)
    assert compare("signed_q", -1.0, null).p == 1.0
    assert compare("ari", -1.0, null).p == pytest.approx(0.02)
    assert compare("signed_q", 0.5, null).mean == pytest.approx(0.5)


def test_a_group_is_not_matched_with_itself():
    """The twelve leaders of 120 neurons are the first tenth: with ten strata every matched group would be them."""
    leaders = np.arange(12)
    stratum, overlap = matching_strata([-np.arange(120.0)], leaders, 10)
    assert overlap == pytest.approx(0.5)
    assert (stratum == stratum[0]).sum() == 24
    fine, small = matching_strata([np.arange(120.0)], np.arange(0, 120, 10), 10)
    assert fine.max() == 9
    assert small < MAX_OVERLAP
    nobody_else, whole = matching_strata([np.ones(20), np.arange(20.0)], np.arange(15), 5)
    assert (nobody_else == 0).all()
    assert whole == 0.75


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).standard_normal(20)
    left_out = (values.sum() - values) / 19
    low, high = jackknife_interval(values.mean(), left_out, (-np.inf, np.inf))
    assert (high - low) / 2 == pytest.approx(2.093024 * values.std(ddof=1) / np.sqrt(20), rel=1e-6)
    assert np.isnan(jackknife_interval(0.0, np.zeros(20), (-1.0, 1.0))).all()
    assert jackknife_interval(0.9, np.array([0.1, 1.0, 0.5]), (0.0, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({}, "supported", "a null gives as much"),
        ({"power": 0.5}, "undecidable", "found in only 50 %"),
        ({"power": float("nan")}, "undecidable", "found in only"),
        ({"p_correlation": 0.01}, "undecidable", "without noise and common mode"),
        ({"high": 0.31}, "undecidable", "reaches 0.31"),
        ({"p": 0.001, "q": 0.006, "low": 0.195}, "contradicted", "more modular than every null"),
        ({"p": 0.001, "q": 0.006}, "undecidable", "reaches down to 0.17"),
        ({"p": 0.03, "q": 0.09}, "undecidable", "not among all tests"),
        ({"reason": "no positions"}, "undecidable", "no positions"),
    ],
)
def test_verdicts(change, verdict, words):
    found, reason = decide_modules(replace(GOOD, **change))
    assert found == verdict
    assert words in reason
