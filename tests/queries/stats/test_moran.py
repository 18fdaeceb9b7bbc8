"""Moran's I: a case by hand, the textbook sum, the expectation of its null, planted neighbourhoods."""

import numpy as np
import pytest

from queries.stats.moran import morans_i, nearest, permuted, planted_membership


def test_a_line_of_four_by_hand():
    """Values 1 2 4 5 (mean 3), neighbours 1-2, 3-4: sum z_i z_j = 2 + 2 + 2 + 2 = 8, sum z^2 = 10, I = 0.8."""
    assert morans_i(np.array([[1.0, 2.0, 4.0, 5.0]]), np.array([[1], [0], [3], [2]]))[0] == pytest.approx(0.8)


def test_it_is_the_textbook_sum():
    rng = np.random.default_rng(0)
    values, directions = rng.standard_normal(40), rng.standard_normal((40, 6))
    graph = nearest(directions @ directions.T, 5)
    w = np.zeros((40, 40))
    np.put_along_axis(w, graph, 1 / 5, axis=1)
    z = values - values.mean()
    assert morans_i(values[None], graph)[0] == pytest.approx(40 / w.sum() * (z @ w @ z) / (z @ z))
    assert (graph != np.arange(40)[:, None]).all()


def test_the_null_has_its_known_mean_and_planted_sets_exceed_it():
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((200, 10))
    graph = nearest(directions @ directions.T, 10)
    member = (np.arange(200) < 20).astype(float)
    null = permuted(member, graph, 1000, rng)
    assert null.mean() == pytest.approx(-1 / 199, abs=0.003)
    planted = planted_membership(20, graph, 0.5, 50, rng)
    assert (planted.sum(axis=1) == 20).all()
    assert (morans_i(planted, graph) > np.quantile(null, 0.95)).mean() > 0.8
    assert np.isnan(morans_i(np.ones((1, 200)), graph)[0])
