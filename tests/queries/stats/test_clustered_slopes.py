"""Slopes from sums per document are those of statsmodels, their jackknife is honest, and intervals cover."""

import numpy as np
import pytest
import statsmodels.api as sm

from queries.stats.clustered_slopes import slopes, standardised, without_each
from queries.stats.contrast import studentise


def sums(x, y, document):
    parts = [document == each for each in np.unique(document)]
    found = ([x[i].T @ x[i] for i in parts], [x[i].T @ y[i] for i in parts], [y[i] @ y[i] for i in parts])
    return tuple(np.array(each) for each in found)


def drawn(rng, documents=25, positions=30, k=2, slope=0.3):
    document = np.repeat(np.arange(documents), positions)
    x = rng.standard_normal((len(document), k)) + 0.7 * rng.standard_normal((documents, k))[document]
    x = np.column_stack([np.ones(len(document)), x])
    noise = rng.standard_normal(len(document)) + 0.8 * rng.standard_normal(documents)[document]
    return x, 1.0 + slope * x[:, 1] + noise, document


@pytest.mark.parametrize("k", [1, 2, 4])
def test_slopes_are_those_of_statsmodels_with_and_without_each_document(k):
    x, y, document = drawn(np.random.default_rng(k), k=k)
    products, targets, squares = sums(x, y, document)
    model = sm.OLS(y, x).fit()
    np.testing.assert_allclose(slopes(products.sum(0), targets.sum(0)), model.params[1], rtol=1e-9)
    whole, without = without_each(products, targets, squares)
    np.testing.assert_allclose(whole, model.params[1] * x[:, 1].std() / y.std(), rtol=1e-9)
    rest = document != 3
    other = sm.OLS(y[rest], x[rest]).fit().params[1] * x[rest, 1].std() / y[rest].std()
    np.testing.assert_allclose(without[3], other, rtol=1e-9)


def test_the_error_is_about_that_of_the_clustered_sandwich_where_documents_are_alike():
    x, y, document = drawn(np.random.default_rng(5), documents=200, k=1, slope=0.05)
    whole, without = without_each(*sums(x, y, document))
    found = studentise(np.array([whole]), without[:, None])
    other = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": document})
    assert found.error[0] == pytest.approx(other.bse[1] * x[:, 1].std() / y.std(), rel=0.1)


def test_what_cannot_be_fitted_has_no_answer():
    x, y, document = drawn(np.random.default_rng(0))
    one, _ = without_each(*sums(x[:2], y[:2], document[:2]))
    twice, left = without_each(*sums(np.column_stack([x, x[:, 1]]), y, document))
    constant, _ = without_each(*sums(x, np.ones(len(y)), document))
    assert np.isnan([one, twice, constant]).all()
    assert np.isnan(left).all()
    assert np.isnan(standardised(np.zeros((3, 3)), np.zeros(3), np.zeros(())))


@pytest.mark.slow
@pytest.mark.parametrize("documents", [8, 20, 60])
def test_intervals_cover_and_the_test_keeps_its_size(documents):
    covered = []
    for seed in range(1000):
        data = drawn(np.random.default_rng(seed), documents=documents, positions=10, slope=0.0)
        whole, without = without_each(*sums(*data))
        found = studentise(np.array([whole]), without[:, None])
        covered.append(found.low[0] <= 0 <= found.high[0])
    assert 0.92 <= np.mean(covered) <= 0.99
