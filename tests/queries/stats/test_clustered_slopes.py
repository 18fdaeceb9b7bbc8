"""Clustered errors from sums per document are those that statsmodels gives from the rows; intervals cover."""

import numpy as np
import pytest
import statsmodels.api as sm

from queries.stats.clustered_slopes import clustered_slopes, slope_interval


def sums(x, y, document):
    parts = [document == each for each in np.unique(document)]
    return np.array([x[i].T @ x[i] for i in parts]), np.array([x[i].T @ y[i] for i in parts])


def drawn(rng, documents=25, positions=30, k=2, slope=0.3):
    document = np.repeat(np.arange(documents), positions)
    x = rng.standard_normal((len(document), k)) + 0.7 * rng.standard_normal((documents, k))[document]
    x = np.column_stack([np.ones(len(document)), x])
    noise = rng.standard_normal(len(document)) + 0.8 * rng.standard_normal(documents)[document]
    return x, 1.0 + slope * x[:, 1] + noise, document


@pytest.mark.parametrize("k", [1, 2, 4])
def test_they_are_those_of_statsmodels(k):
    x, y, document = drawn(np.random.default_rng(k), k=k)
    found = clustered_slopes(*sums(x, y, document))
    other = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": document}, use_t=True)
    np.testing.assert_allclose(found.coefficient, other.params, rtol=1e-9)
    np.testing.assert_allclose(found.error, other.bse, rtol=1e-9)
    low, high, p = slope_interval(found.coefficient[1], found.error[1], 25)
    np.testing.assert_allclose([low, high], other.conf_int()[1], rtol=1e-8)
    np.testing.assert_allclose(p, other.pvalues[1], rtol=1e-6)


def test_what_cannot_be_fitted_has_no_answer():
    x, y, document = drawn(np.random.default_rng(0))
    one = clustered_slopes(*sums(x, y, np.zeros_like(document)))
    twice = clustered_slopes(*sums(np.column_stack([x, x[:, 1]]), y, document))
    for found in (one, twice):
        assert np.isnan(found.coefficient).all()
        assert np.isnan(found.error).all()
    assert np.isnan(slope_interval(1.0, 0.0, 9)).all()


@pytest.mark.slow
@pytest.mark.parametrize("documents", [20, 60])
def test_intervals_cover_and_the_test_keeps_its_size(documents):
    covered = 0
    for seed in range(2000):
        found = clustered_slopes(
            *sums(*drawn(np.random.default_rng(seed), documents=documents, positions=10, slope=0.0))
        )
        low, high, _ = slope_interval(found.coefficient[1], found.error[1], documents)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 2000 <= 0.97
