"""Rates against the limits: the exact interval, what is outside, and what a caveat allows."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from calibration import caveats, rates
from calibration.caveats import Caveat
from calibration.targets import OUTCOME, Interval, Rejection, Study
from calibration.worlds import Design, flat_world

ROW = {
    "analysis": "influence", "family": "graded", "design": "none", "effect": 0.0, "target": "rank, top neuron",
    "kind": "coverage", "truth": "planted", "n": 1000, "n_without": 0, "rate": 0.95, "low": 0.93, "high": 0.96,
    "date": "2026-01-01",
}  # fmt: skip


def table(**changes):
    return pl.DataFrame([ROW | changes], schema=rates.SCHEMA)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (950, 1000)])
def test_the_interval_is_that_of_the_beta_law(hits, n):
    low, high = rates.binomial_interval(hits, n)
    assert high == pytest.approx(stats.beta.ppf(0.975, hits + 1, n - hits))
    assert low == pytest.approx(stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0)


@pytest.mark.parametrize(
    ("changes", "is_fault"),
    [
        ({}, False),
        ({"rate": 0.89}, True),
        ({"rate": 0.995}, True),
        ({"rate": 0.80, "n": 20}, False),
        ({"rate": 0.50, "n": 20}, True),
        ({"kind": "size", "rate": 0.05}, False),
        ({"kind": "size", "rate": 0.081}, True),
        ({"kind": "size", "rate": 0.15, "n": 20}, False),
        ({"kind": "power", "rate": 0.05}, False),
        ({"rate": float("nan"), "n": 0}, False),
    ],
)
def test_what_is_outside_the_limits(changes, is_fault, monkeypatch):
    monkeypatch.setattr(caveats, "CAVEATS", ())
    assert bool(rates.faults(table(**changes))) is is_fault


def test_a_caveat_allows_what_it_says_and_no_more(monkeypatch):
    stated = Caveat("influence", "rank", "nearly tied", (0.70, 0.98), designs=("none",))
    monkeypatch.setattr(caveats, "CAVEATS", (stated,))
    assert not rates.faults(table(rate=0.8))
    (fault,) = rates.faults(table(rate=0.6))
    assert "nearly tied" in fault
    assert rates.faults(table(rate=0.8, design="weak"))
    assert rates.faults(table(rate=0.8, target="influence"))


def test_coverage_by_a_planted_truth_and_by_the_mean_of_the_draws():
    design = Design("none", flat_world)
    nan = float("nan")
    rows = [
        ("a", 0.0, 0.5, 0.5), ("a", 0.0, 2.0, 0.5), ("b", 0.0, nan, 0.2), ("b", 0.5, nan, 0.6), ("b", nan, nan, 0.4),
    ]  # fmt: skip
    outcomes = [
        dict.fromkeys(OUTCOME) | {"target": name, "low": low, "high": 1.0, "truth": truth, "signal": signal}
        for name, low, truth, signal in rows
    ]
    found = pl.DataFrame(outcomes, schema=OUTCOME)
    of = [
        rates._rate(found.filter(pl.col("target") == target.name), target, design)
        for target in (Interval("a", {}, lambda world, corpus: 0.5), Interval("b", {}))
    ]
    assert [(one["rate"], one["n"], one["n_without"], one["truth"]) for one in of] == [
        (0.5, 2, 0, "planted"),
        (0.5, 2, 1, "mean"),
    ]


def test_a_test_counts_rejections_and_wrong_verdicts():
    world = flat_world(np.random.default_rng(0))
    design = Design("none", flat_world)
    row = {"p": 0.05, "verdict": "supported"}
    assert Rejection("p", {}).outcome(row, world, design.corpus) == {"rejects": 1.0}
    assert Rejection("p", {}).outcome({"p": 0.06}, world, design.corpus) == {"rejects": 0.0}
    assert np.isnan(Rejection("p", {}).outcome({"p": float("nan")}, world, design.corpus)["rejects"])
    assert Rejection("v", {}, "verdict", "supported").outcome(row, world, design.corpus) == {"rejects": 1.0}
    assert Study("influence", tests=(Rejection("p", {}),)).targets == (Rejection("p", {}),)
