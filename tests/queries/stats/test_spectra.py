"""Spectra against their definitions, Marchenko and Pastur, and Pareto eigenvalues of a known index."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from queries.stats.spectra import (
    MEASURES,
    NO_INTERVAL,
    column_intervals,
    edge,
    hill_alpha,
    measure,
    permuted_rows,
    spectra,
    spectral_entropy,
    stable_rank,
    standardise,
)

RNG = np.random.default_rng(0)


def test_eigenvalues_are_those_of_the_correlation_matrix():
    weights = RNG.standard_normal((12, 40)) * 3 + 5
    groups = np.array([[0, 3, 5, 7], [1, 2, 8, 11]])
    found = spectra(standardise(weights), groups)
    for values, group in zip(found.values, groups, strict=True):
        np.testing.assert_allclose(values, np.sort(np.linalg.eigvalsh(np.corrcoef(weights[group])))[::-1])


def test_the_rest_is_that_of_rows_without_their_leading_direction():
    """From the weights themselves: project out the leading right singular vector, standardise, correlate."""
    rng = np.random.default_rng(1)
    rows = standardise(rng.standard_normal((12, 40)) + rng.lognormal(0, 1, (12, 1)) * rng.standard_normal(40))
    direction = np.linalg.svd(rows)[2][0]
    left = standardise(rows - np.outer(rows @ direction, direction))
    expected = np.linalg.eigvalsh(left @ left.T / 40)[::-1]
    np.testing.assert_allclose(spectra(rows, np.arange(12)[None]).rest[0], expected, atol=1e-9)


def test_rows_that_are_the_leading_direction_leave_nothing():
    rows = standardise(np.outer(np.arange(1.0, 7.0), np.random.default_rng(2).standard_normal(30)))
    found = spectra(rows, np.arange(6)[None])
    assert np.isnan(found.rest).all()
    assert np.isnan(measure(found, 30)[0, MEASURES.index("hill_alpha_rest")])


def test_more_rows_than_columns_leave_zeros():
    found = spectra(standardise(RNG.standard_normal((30, 10))), np.arange(30)[None])
    assert (found.values[0, 9:] == 0).all()  # standardising costs one more
    assert np.isfinite(measure(found, 10)[0, MEASURES.index("spectral_entropy")])


def test_independent_rows_keep_to_the_edge():
    """Marchenko and Pastur: the largest eigenvalue of 200 rows of 800 values is near (1 + sqrt(1/4))^2 = 2.25."""
    values = spectra(standardise(RNG.standard_normal((200, 800))), np.arange(200)[None]).values
    assert edge(200, 800) == 2.25
    assert values[0, 0] == pytest.approx(2.25, abs=0.12)
    assert (values > 2.25).mean() <= 0.01


def test_hill_recovers_the_index_of_pareto_values():
    values = -np.sort(-((1 - RNG.random((200, 1000))) ** (-1 / 1.7)), axis=1)
    assert hill_alpha(values, 0.1).mean() == pytest.approx(1.7, rel=0.03)
    assert hill_alpha(values, 0.3).mean() == pytest.approx(1.7, rel=0.03)
    by_hand = 1 / np.mean(np.log(values[0, :100] / values[0, 100]))
    assert hill_alpha(values, 0.1)[0] == pytest.approx(by_hand)
    assert np.isnan(hill_alpha(np.ones((1, 20)), 0.1)).all()
    assert np.isnan(hill_alpha(np.ones((1, 2)), 0.1)).all()


def test_one_shared_direction_has_stable_rank_one():
    shared = standardise(RNG.standard_normal((1, 300)) + 1e-3 * RNG.standard_normal((20, 300)))
    values = spectra(shared, np.arange(20)[None]).values
    assert stable_rank(values)[0] == pytest.approx(1.0, abs=1e-3)
    assert spectral_entropy(values)[0] < 0.01


def test_permuted_rows_lose_their_correlations():
    rows = standardise(RNG.standard_normal((1, 400)) + RNG.standard_normal((20, 400)))
    permuted = permuted_rows(rows, np.arange(20), 20, RNG).values
    assert permuted.shape == (20, 20)
    assert permuted[:, 0].max() < 2 < spectra(rows, np.arange(20)[None]).values[0, 0]


def test_half_samples_of_columns_cover_other_columns():
    """Truth: the mean over fresh draws of the columns, which resampling with replacement would miss by its bias."""
    m, d = 20, 200
    mixing = RNG.standard_normal((m, m)) / np.sqrt(m) + 0.5 * np.eye(m)
    group = np.arange(m)[None]
    draws = [standardise(mixing @ RNG.standard_normal((m, d))) for _ in range(200)]
    values = np.array([measure(spectra(rows, group), d)[0] for rows in draws])
    truth, hits = values.mean(axis=0), np.zeros(len(MEASURES))
    for rows, value in list(zip(draws, values, strict=True))[:50]:
        found = column_intervals(rows, group, value, 40, RNG)
        inside = (found.low <= value) & (value <= found.high)
        assert (inside | np.array([name in NO_INTERVAL for name in MEASURES])).all()
        hits += (found.low <= truth) & (truth <= found.high)
    assert hits[MEASURES.index("stable_rank")] >= 42
    assert hits[MEASURES.index("spectral_entropy")] >= 42


def test_intervals_of_tail_indices_cover_with_independent_rows():
    """The largest tenth of 44 is 4 eigenvalues: deviations of the index itself, not stretched, cover 80 to 84 %."""
    rng, group, d, names = np.random.default_rng(3), np.arange(44)[None], 576, ("hill_alpha", "hill_alpha_rest")
    draws = [standardise(rng.standard_normal((44, d))) for _ in range(150)]
    truth = np.mean([measure(spectra(rows, group), d, names)[0] for rows in draws], axis=0)
    hits, at = np.zeros(2), [MEASURES.index(name) for name in names]
    with threadpool_limits(limits=1, user_api="blas"):  # as in a session: small products
        for rows in draws[:50]:
            found = column_intervals(rows, group, measure(spectra(rows, group), d)[0], 30, rng)
            hits += (found.low[at] <= truth) & (truth <= found.high[at])
    assert (hits >= 45).all(), hits
