"""Sparsity of vectors against other ways to compute it, and vectors whose sparsity is known."""

import numpy as np

from extract.state_measures import MEASURES, sparsity


def test_they_agree_with_their_definitions():
    h = np.random.default_rng(0).standard_t(3, (20, 64)).astype(np.float32)
    found = sparsity(h)
    assert tuple(found) == MEASURES
    size = np.abs(h).astype(float)
    n = 64
    l1, l2 = size.sum(1), np.sqrt((size**2).sum(1))
    np.testing.assert_allclose(found["hoyer"], (np.sqrt(n) - l1 / l2) / (np.sqrt(n) - 1), rtol=1e-5)
    pairs = np.abs(size[:, :, None] - size[:, None, :]).sum((1, 2))
    np.testing.assert_allclose(found["gini"], pairs / (2 * n * l1), rtol=1e-5)
    top = -np.sort(-(size**2), axis=1)
    for name, k in (("top_1", 1), ("top_5", 4), ("top_7", 5), ("top_10", 7)):
        np.testing.assert_allclose(found[name], top[:, :k].sum(1) / top.sum(1), rtol=1e-5)
    q = size / l1[:, None]
    np.testing.assert_allclose(found["entropy_rank"], np.exp(-(q * np.log(q)).sum(1)) / n, rtol=1e-5)
    above = size > (size.mean(1) + size.std(1))[:, None]
    np.testing.assert_allclose(found["l0_share"], above.mean(1), rtol=1e-6)


def test_a_single_component_an_even_vector_and_nothing():
    h = np.zeros((3, 100), dtype=np.float32)
    h[0, 7] = -1e-30
    h[1] = 5.0
    found = {name: values.tolist() for name, values in sparsity(h).items()}
    for name, one, even in (("hoyer", 1.0, 0.0), ("gini", 0.99, 0.0), ("entropy_rank", 0.01, 1.0), ("top_10", 1, 0.1)):
        np.testing.assert_allclose(found[name][:2], [one, even], atol=1e-6)
    assert all(np.isnan(values[2]) for values in found.values())


def test_the_scale_does_not_matter():
    h = np.random.default_rng(1).standard_normal((4, 50)).astype(np.float32)
    for name, values in sparsity(h * np.float32(1e3)).items():
        np.testing.assert_allclose(values, sparsity(h)[name], rtol=1e-5)
