"""What groups are compared with: others alike, the trend over the ranking, and what the comparison says."""

import numpy as np
import pytest

from queries.stats.correlations import correlation
from queries.stats.module_measures import MEASURES, Effort, Sample
from queries.stats.module_nulls import (
    compare,
    compare_trend,
    judges,
    matched_groups,
    matching_strata,
    own_nulls,
    ranking_trend,
)
from queries.stats.trend import Trend


def graded(rng, n=160, n_positions=400):
    """Neurons, the most influential first, that share two factors the more, the more influential they are."""
    influence = np.exp(-np.linspace(0.0, 4.0, n))
    share = np.linspace(0.5, 0.05, n)
    factors = rng.standard_normal((n_positions, 2))[:, rng.integers(0, 2, n)]
    values = np.sqrt(share) * factors + np.sqrt(1 - share) * rng.standard_normal((n_positions, n))
    return Sample(values, np.arange(n_positions) // 20, correlation(values), influence)


def test_qualities_are_compared_one_sided():
    null = np.linspace(0, 1, 99)
    assert compare("signed_q", 2.0, null).p == pytest.approx(0.01)
    assert compare("signed_q", -1.0, null).p == 1.0
    assert compare("ari", -1.0, null).p == pytest.approx(0.02)
    assert compare("signed_q", 0.5, null).mean == pytest.approx(0.5)
    assert compare("signed_q", 0.5, null).limit == pytest.approx(0.95)
    nothing = compare("signed_q", 0.5, np.empty(0))
    assert nothing.n_draws == 0
    assert np.isnan(nothing.p)


def test_turned_neurons_judge_what_has_a_scale():
    assert "shift" in judges("mg_q")
    assert "shift" not in judges("signed_q")
    assert all("trend" in judges(name) and "noise" not in judges(name) for name in ("signed_q", "mg_q", "abs_q"))


def test_a_group_is_not_matched_with_itself():
    """The twelve leaders of 120 neurons are the first tenth: in tenths there is nobody to match them with."""
    leaders = np.arange(12)
    stratum = matching_strata([-np.arange(120.0)], leaders, 10)
    assert (stratum == stratum[0]).sum() >= 36
    groups = matched_groups(leaders, stratum, 50, np.random.default_rng(0))
    assert groups.shape == (50, 12)
    assert not np.isin(groups, leaders).any()
    assert (stratum[groups] == stratum[0]).all()
    assert all(len(np.unique(each)) == 12 for each in groups)
    assert matching_strata([np.arange(120.0)], np.arange(0, 120, 10), 10).max() == 9
    assert matching_strata([np.ones(20), np.arange(20.0)], np.arange(15), 5) is None


def test_matched_groups_have_as_many_of_each_stratum():
    rng = np.random.default_rng(1)
    stratum, members = rng.integers(0, 4, 200), np.array([3, 50, 51, 120])
    groups = matched_groups(members, stratum, 20, rng)
    for each in groups:
        np.testing.assert_array_equal(np.sort(stratum[each]), np.sort(stratum[members]))


def test_leaders_of_a_smooth_ranking_are_high_beside_others_and_on_the_trend():
    rng = np.random.default_rng(2)
    sample, leaders, effort = graded(rng), np.arange(10), Effort(groups=199, sweep=19, shifts=9)
    observed = {name: float(each[0]) for name, each in _measured(sample, leaders, rng).items()}
    nulls = own_nulls(sample, leaders, rng, effort)
    trend = compare_trend(observed, ranking_trend(sample, leaders, rng))
    assert compare("mg_q", observed["mg_q"], nulls["influence"]["mg_q"]).p < 0.15
    assert trend["mg_q"].p > 0.1
    assert trend["mg_q"].mean > nulls["influence"]["mg_q"].mean()
    assert trend["mg_q"].low < observed["mg_q"] < trend["mg_q"].high
    assert trend["mg_q"].mean < trend["mg_q"].limit < trend["mg_q"].high
    assert trend["mg_q"].n_draws == 10


def test_too_few_windows_and_too_few_others_are_no_null():
    rng = np.random.default_rng(3)
    sample, many = graded(rng, n=60), np.arange(25)
    observed = {name: float(each[0]) for name, each in _measured(sample, many, rng).items()}
    trend = compare_trend(observed, ranking_trend(sample, many, rng))
    assert all(trend[name].n_draws == 0 and np.isnan(trend[name].p) for name in MEASURES)
    nulls = own_nulls(sample, many, rng, Effort(groups=9, sweep=9, shifts=9))
    assert len(nulls["influence"]["mg_q"]) == 0
    assert len(nulls["shift"]["mg_q"]) == 9


def test_a_group_with_the_one_value_of_all_windows_is_no_surprise():
    zero = np.zeros(len(MEASURES))
    found = compare_trend(dict.fromkeys(MEASURES, 0.0), Trend(zero, zero, 8))
    assert {each.p for each in found.values()} == {1.0}
    beyond = compare_trend(dict.fromkeys(MEASURES, 0.1), Trend(zero, zero, 8))
    assert beyond["mg_q"].p < 1e-6


def _measured(sample, members, rng):
    names = tuple(name for name in MEASURES if name not in ("n_communities", "ari"))
    return sample.measure(sample.correlations[np.ix_(members, members)][None], names, rng, 5)
