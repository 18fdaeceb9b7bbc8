"""Correlation matrices and their nulls against NumPy, and against what each null must keep and must destroy."""

import numpy as np
from scipy import stats

from queries.stats.correlations import (
    correlation,
    independent,
    of_groups,
    shifted,
    with_modules,
    without_documents,
)

UPPER = np.triu_indices(6, 1)


def related(rng, n_positions=400, m=6):
    return rng.standard_normal((n_positions, 1)) + rng.standard_normal((n_positions, m))


def test_correlations_are_those_of_numpy():
    values = related(np.random.default_rng(0))
    np.testing.assert_allclose(correlation(values), np.corrcoef(values.T))
    groups = np.array([[0, 2, 5], [4, 1, 3]])
    np.testing.assert_allclose(of_groups(correlation(values), groups)[1], np.corrcoef(values[:, groups[1]].T))


def test_a_constant_neuron_correlates_with_nothing():
    values = related(np.random.default_rng(1))
    values[:, 2] = 0.1  # a mean of tenths is not a tenth
    r = correlation(values)
    np.testing.assert_array_equal(np.delete(r[2], 2), 0.0)
    assert np.isfinite(r).all()


def test_turning_destroys_alignment_and_keeps_documents():
    rng = np.random.default_rng(2)
    document = np.repeat(np.arange(10), 40)
    aligned = shifted(related(rng), document, 200, rng)[:, *UPPER]
    assert abs(aligned.mean()) < 0.02
    level = rng.standard_normal((10, 1))[document] + 1e-3 * rng.standard_normal((400, 6))
    assert shifted(level, document, 5, rng)[:, *UPPER].min() > 0.99
    once = shifted(related(rng), np.arange(400), 1, rng)  # one position a document: nothing can turn
    assert once[0, 0, 1] > 0.3


def test_the_noise_floor_has_the_distribution_of_a_correlation():
    """r of independent Gaussians: t = r sqrt((T - 2) / (1 - r^2)) is Student's with T - 2 degrees of freedom."""
    for n_positions in (12, 5):  # by decomposition, and by positions
        drawn = independent(6, n_positions, 1500, np.random.default_rng(3))
        for i, j in ((0, 1), (2, 5)):
            r = drawn[:, i, j]
            t = r * np.sqrt((n_positions - 2) / (1 - r**2))
            assert stats.kstest(t, stats.t(n_positions - 2).cdf).pvalue > 0.01
        np.testing.assert_allclose(drawn[:, np.arange(6), np.arange(6)], 1.0)
    drawn = independent(6, 60, 3000, np.random.default_rng(4))
    theirs = [np.corrcoef(x.T) for x in np.random.default_rng(5).standard_normal((3000, 60, 6))]
    tops = [np.linalg.eigvalsh(each)[..., -1] for each in (drawn, np.array(theirs))]
    assert stats.ks_2samp(*tops).pvalue > 0.01


def test_each_set_of_documents_is_left_out_once():
    rng = np.random.default_rng(6)
    values, document = related(rng), np.repeat(np.arange(8), 50)
    left_out, n_positions = without_documents(values, document, 20, rng)
    expected = [np.corrcoef(values[document != each].T) for each in range(8)]
    np.testing.assert_allclose(sorted(left_out[:, 0, 1]), sorted(each[0, 1] for each in expected))
    np.testing.assert_array_equal(n_positions, 350.0)
    fewer, n_positions = without_documents(values, document, 3, rng)
    assert fewer.shape == (3, 6, 6)
    assert sorted(n_positions) == [250.0, 250.0, 300.0]


def test_planted_modules_have_the_correlation_that_was_asked_for():
    rng = np.random.default_rng(7)
    drawn = with_modules(rng.standard_normal((4000, 6)), 0.3, 50, rng)[:, *UPPER]
    inside = drawn > 0.15
    np.testing.assert_array_equal(inside.sum(axis=1), 6)  # two modules of three neurons
    assert abs(drawn[inside].mean() - 0.3) < 0.02
    assert abs(drawn[~inside].mean()) < 0.02
