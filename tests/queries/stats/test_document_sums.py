"""Dense sums per document: what goes where, and that `all` is rare and common together."""

import numpy as np

from queries.stats.document_sums import TOKEN_CLASSES, document_sums


def test_sums_land_in_their_place():
    rows = [("common", 3, 10, 4, 1.0, 2.0), ("common", 5, 10, 2, -3.0, 3.0), ("rare", 5, 10, 1, 0.5, 0.5)]
    rows += [("common", 3, 12, 4, 0.0, 1.0), ("common", 5, 12, 2, 1.0, 4.0), ("rare", 5, 12, 1, -2.0, 2.0)]
    names, *numbers = (np.array(column) for column in zip(*rows, strict=True))
    sums = document_sums(names.astype(object), *numbers)
    assert tuple(sums.classes) == TOKEN_CLASSES
    np.testing.assert_array_equal(sums.documents, [3, 5])
    np.testing.assert_array_equal(sums.neurons, [10, 12])
    rare, everything = sums.classes["rare"], sums.classes["all"]
    np.testing.assert_array_equal(rare.counts, [0, 1])
    np.testing.assert_array_equal(rare.signed, [[0, 0], [0.5, -2]])
    np.testing.assert_array_equal(everything.absolute, [[2, 1], [3.5, 6]])
    np.testing.assert_allclose(everything.mean(everything.absolute), [5.5 / 7, 1.0])
    assert (everything.n_positions, everything.n_documents, rare.n_documents) == (7, 2, 1)


def test_a_class_without_positions_has_no_mean():
    sums = document_sums(
        np.array(["common"], dtype=object),
        np.array([0]),
        np.array([0]),
        np.array([5]),
        np.array([1.0]),
        np.array([2.0]),
    )
    rare = sums.classes["rare"]
    assert rare.n_positions == 0
    assert np.isnan(rare.mean(rare.absolute)).all()
