"""Measures, comparisons and intervals of groups, and the verdict from them."""

from dataclasses import replace

import numpy as np
import pytest

from queries.stats.correlations import correlation, independent
from queries.stats.module_measures import MEASURES, QUALITIES, Effort, Sample, measure
from queries.stats.module_nulls import judges, shared_nulls
from queries.stats.module_verdict import ModuleEvidence, decide_modules
from queries.stats.modules import assess, jackknife_interval

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


LEAST = Effort(groups=99, sweep=2, shifts=39, planted=2, restarts=2, repeats=5)
CORE = 14


def drawn(rng, kind, n=220, n_positions=240):
    """A sample whose neurons are ranked by influence, the first `CORE` the group, and what they share by `kind`.

    `smooth`: two factors, the more the more influential; `factor`: one for all; `planted`: that, and two modules in the
    core with r = 0.5. In the last two the sign of each neuron is drawn, and the model is gated.
    """
    place = np.linspace(0.0, 1.0, n)
    share = 0.35 * (1 - place) if kind == "smooth" else rng.uniform(0.0, 0.5, n)
    n_factors = 2 if kind == "smooth" else 1
    shared = rng.standard_normal((n_positions, n_factors))[:, rng.integers(0, n_factors, n)]
    values = np.sqrt(share) * shared + np.sqrt(1 - share) * rng.standard_normal((n_positions, n))
    if kind == "planted":
        own = rng.standard_normal((n_positions, 2))[:, np.arange(CORE) % 2]
        values[:, :CORE] = np.sqrt(0.5) * (values[:, :CORE] + own)
    if kind != "smooth":
        values *= rng.choice([-1.0, 1.0], n)
    return Sample(values, np.arange(n_positions) // 12, correlation(values), np.exp(-5 * place), kind != "smooth")


def largest_p(sample, rng):
    """The largest p of `signed_q` and of `mg_q` among the nulls that judge each."""
    shared = shared_nulls(sample, CORE, rng, LEAST)
    found = assess(sample, np.arange(CORE), shared, rng, LEAST, is_plateau=True)
    return {name: max(found[name].nulls[null].p for null in judges(name)) for name in ("signed_q", "mg_q")}


def beyond(kind, n_draws):
    """How many of `n_draws` are beyond every null: in `signed_q`, in `mg_q`, in both."""
    p = [largest_p(drawn(np.random.default_rng([i, 11]), kind), np.random.default_rng(i)) for i in range(n_draws)]
    hits = np.array([[each[name] < 0.05 for name in ("signed_q", "mg_q")] for each in p])
    return (*hits.sum(axis=0).tolist(), int(hits.all(axis=1).sum()))


def test_all_groups_are_drawn_only_where_the_first_leave_it_open():
    effort = replace(LEAST, groups=220)
    for kind, n_draws in (("planted", 220), ("smooth", 200)):
        rng = np.random.default_rng([2, 11])
        sample = drawn(rng, kind)
        shared = shared_nulls(sample, CORE, rng, effort)
        found = assess(sample, np.arange(CORE), shared, rng, effort, is_plateau=True)
        for name in ("any", "activation", "influence"):
            assert found["signed_q"].nulls[name].n_draws == n_draws, kind
        assert found["abs_q"].nulls["any"].n_draws == 2
        other = assess(sample, np.arange(CORE, 2 * CORE), shared, rng, effort, is_plateau=False)
        assert other["signed_q"].nulls["any"].n_draws == 200


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["smooth", "factor"])
def test_nothing_special_is_seldom_beyond_every_null(kind):
    """Of 60 cores that are only the top of a ranking, or share one factor of arbitrary sign, at most 8 % are."""
    assert beyond(kind, 60)[2] <= 4


@pytest.mark.slow
def test_planted_modules_are_found_whatever_the_signs():
    assert beyond("planted", 20)[2] >= 16
