"""Sign flips and permuted labels: exact small cases, level under the null, what permuting keeps."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from queries.stats.nulls import benjamini_hochberg, permute_within_documents, sign_flip_p


def test_sign_flips_agree_with_all_flips():
    """Against the exact distribution over all 2^10 sign patterns."""
    rng = np.random.default_rng(0)
    sums = rng.normal(0.4, 1, (10, 1))
    totals = np.array([np.dot(signs, sums[:, 0]) for signs in product((-1, 1), repeat=10)])
    exact = np.mean(np.abs(totals) >= abs(sums.sum()) * (1 - 1e-12))
    assert sign_flip_p(sums, rng, 20_000)[0] == pytest.approx(exact, abs=0.01)


def test_sign_flips_hold_their_level_and_never_give_zero():
    rng = np.random.default_rng(1)
    p = sign_flip_p(rng.standard_t(3, (20, 4000)), rng, 999)
    assert 0.03 <= np.mean(p < 0.05) <= 0.07
    assert sign_flip_p(np.ones((40, 1)), rng, 99)[0] == 0.01


def test_no_p_is_smaller_than_all_flips_would_give():
    """Of 2^8 flips 2 reach a total of equal signs; drawn ones often fewer. Documents without a sum do not count."""
    ones = np.ones((8, 50))
    for seed in range(30):
        assert (sign_flip_p(ones, np.random.default_rng(seed), 999) >= 2 / 2**8).all()
    padded = np.vstack([ones, np.zeros((20, 50))])
    assert (sign_flip_p(padded, np.random.default_rng(0), 999) >= 2 / 2**8).all()
    assert sign_flip_p(np.zeros((5, 1)), np.random.default_rng(0), 99)[0] == 1.0


def test_neurons_that_few_flips_reach_get_more_of_them():
    rng = np.random.default_rng(3)
    sums = np.column_stack([np.ones(40), rng.standard_t(3, (40, 3000))])
    p = sign_flip_p(sums, rng, 999, n_more=19_999)
    assert p[0] == 1 / 20_000
    assert 0.03 <= np.mean(p < 0.05) <= 0.07
    assert np.mean(p < 0.002) <= 0.006


def test_benjamini_hochberg_leaves_out_missing_tests():
    p = np.array([0.01, np.nan, 0.2, 0.03])
    np.testing.assert_allclose(benjamini_hochberg(p)[[0, 2, 3]], stats.false_discovery_control(p[[0, 2, 3]]))
    assert np.isnan(benjamini_hochberg(p)[1])
    assert np.isnan(benjamini_hochberg(np.full(2, np.nan))).all()


def test_permuting_within_documents_keeps_each_document_and_mixes_neurons():
    rng = np.random.default_rng(2)
    one_document = rng.random((1, 50))
    drawn = permute_within_documents(one_document, 20, rng)
    np.testing.assert_allclose(np.sort(drawn, axis=1), np.repeat(np.sort(one_document), 20, axis=0))
    sums = np.outer(np.ones(400), np.arange(50.0))  # the same neurons lead in every document
    totals = permute_within_documents(sums, 5, rng)
    np.testing.assert_allclose(totals.sum(axis=1), sums.sum())
    assert totals.std() < 0.2 * sums.sum(axis=0).std()
