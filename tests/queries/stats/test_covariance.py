"""Covariances by batches against NumPy's, their spectra against a direct analysis, memory that does not grow."""

import tracemalloc

import numpy as np
import pytest

from queries.stats.covariance import SPECTRAL, GroupedMoments, Moments, merged, spectral


def drawn(n=500, d=6, seed=0, offset=1e6):
    """Correlated vectors far from the origin, where sums of squares would cancel."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + offset


@pytest.mark.parametrize("size", [1, 7, 500])
def test_batches_give_the_covariance_of_all(size):
    values = drawn()
    found = merged(Moments.of(values[i : i + size]) for i in range(0, len(values), size))
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(values.T, ddof=0), rtol=1e-6, atol=1e-6)


def test_groups_are_left_out_as_if_they_had_not_been_read():
    values, group = drawn(offset=5.0), np.arange(500) % 4
    moments = GroupedMoments(4)
    for rows in np.array_split(np.arange(500), 9):
        moments.add(values[rows].astype(np.float32), group[rows])
    exact = values.astype(np.float32).astype(float)
    np.testing.assert_allclose(moments.without(2).covariance, np.cov(exact[group != 2].T, ddof=0), rtol=1e-9)
    np.testing.assert_allclose(moments.whole().covariance, np.cov(exact.T, ddof=0), rtol=1e-9)


def test_measures_are_those_of_the_eigenvalues():
    values = drawn(offset=0.0)
    found = dict(zip(SPECTRAL, spectral(np.cov(values.T, ddof=0)), strict=True))
    l = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2 / len(values)  # noqa: E741
    assert found["lambda_max"] == pytest.approx(l[0])
    assert found["trace"] == pytest.approx(l.sum())
    assert found["anisotropy"] == pytest.approx(6 * l[0] / l.sum())
    assert found["participation"] == pytest.approx(l.sum() ** 2 / (l**2).sum())
    assert found["lambda_max_without_top"] == pytest.approx(l[1])
    assert found["anisotropy_without_top"] == pytest.approx(5 * l[1] / l[1:].sum())
    assert found["participation_without_top"] == pytest.approx(l[1:].sum() ** 2 / (l[1:] ** 2).sum())


def test_what_does_not_vary_has_no_answer():
    assert np.isnan(spectral(np.zeros((3, 3)))[1:]).all()
    one = dict(zip(SPECTRAL, spectral(np.array([[2.0]])), strict=True))
    assert (one["lambda_max"], one["anisotropy"]) == (2.0, 1.0)
    assert np.isnan(one["lambda_max_without_top"])
    with pytest.raises(ValueError, match="no vector"):
        merged([])
    assert GroupedMoments(2).without(0) is None


def peak(n_batches):
    """Memory in bytes that so many batches of 1,000 vectors take at most."""
    rng = np.random.default_rng(0)
    tracemalloc.start()
    moments = GroupedMoments(10)
    for _ in range(n_batches):
        moments.add(rng.standard_normal((1000, 20), dtype=np.float32), rng.integers(0, 10, 1000))
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_does_not_grow_with_the_number_of_vectors():
    assert peak(50) < 1.2 * peak(5)
