"""Labels permuted within documents: counts stay, and the draws are those of all arrangements."""

from itertools import permutations

import numpy as np

from queries.stats.label_permutations import permuted_means


def test_every_document_keeps_its_number_of_members():
    rng = np.random.default_rng(0)
    document = np.sort(rng.integers(0, 5, 60))
    is_member = rng.random(60) < 0.3
    values = np.eye(5, dtype=np.float32)[document]  # a neuron counts the positions of a document
    expected = values[is_member].mean(axis=0)
    order = rng.permutation(60)  # rows of a document need not follow each other
    for members, others in permuted_means(values[order], document[order], is_member[order], 40, rng):
        np.testing.assert_allclose(members, np.tile(expected, (len(members), 1)), rtol=1e-6)
        np.testing.assert_allclose(others, np.tile(values[~is_member].mean(axis=0), (len(members), 1)), rtol=1e-6)


def test_draws_are_uniform_over_the_arrangements():
    values = np.array([[1.0], [2.0], [4.0], [8.0]], dtype=np.float32)
    document = np.array([0, 0, 0, 1])
    is_member = np.array([True, False, False, True])
    possible = sorted({(values[order[0], 0] + 8.0) / 2 for order in permutations(range(3))})
    rng = np.random.default_rng(1)
    drawn = np.concatenate([members[:, 0] for members, _ in permuted_means(values, document, is_member, 3000, rng)])
    found, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_allclose(found, possible)
    assert np.all(np.abs(counts / 3000 - 1 / 3) < 0.04)
