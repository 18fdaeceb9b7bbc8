"""Kurtosis and Hoyer's sparsity from parts are those of all positions, and of what is left without a part."""

import numpy as np
from scipy import stats

from queries.stats.part_moments import PartMoments, shapes


def parts_of(pieces):
    """Moments of the columns of each piece (n, N)."""
    central = [np.stack([stats.moment(piece, order) for piece in pieces], axis=1) for order in (2, 3, 4)]
    mean = np.stack([piece.mean(0) for piece in pieces], axis=1)
    size = np.stack([np.abs(piece).sum(0) for piece in pieces], axis=1)
    return PartMoments(np.array([float(len(piece)) for piece in pieces]), mean, *central, size)


def hoyer(values):
    n = len(values)
    return (np.sqrt(n) - np.abs(values).sum(0) / np.sqrt((values**2).sum(0))) / (np.sqrt(n) - 1)


def test_they_are_those_of_the_positions_themselves():
    rng = np.random.default_rng(0)
    pieces = [rng.standard_t(5, (n, 6)) * 2 + rng.normal(0, 3, 6) + n / 40 for n in (30, 50, 7, 100)]
    kurtosis, sparsity = shapes(parts_of(pieces))
    assert kurtosis.shape == sparsity.shape == (5, 6)
    left = [pieces, *([each for j, each in enumerate(pieces) if j != i] for i in range(4))]
    for row, some in enumerate(left):
        values = np.concatenate(some)
        np.testing.assert_allclose(kurtosis[row], stats.kurtosis(values, fisher=False), rtol=1e-8)
        np.testing.assert_allclose(sparsity[row], hoyer(values), rtol=1e-8)


def test_a_silent_and_a_constant_neuron_have_no_answer():
    nothing = np.zeros((2, 3))
    mean = np.array([[0.0] * 3, [3.0] * 3])
    kurtosis, sparsity = shapes(PartMoments(np.full(3, 9.0), mean, nothing, nothing, nothing, 9 * mean))
    assert np.isnan(kurtosis).all()
    assert np.isnan(sparsity[:, 0]).all()
    np.testing.assert_allclose(sparsity[:, 1], 0, atol=1e-12)


def test_one_part_alone_has_no_rows_without_it():
    kurtosis, _ = shapes(parts_of([np.random.default_rng(1).standard_normal((20, 3))]))
    assert kurtosis.shape == (1, 3)
