"""The largest activations of a neuron, whatever the cut of the text."""

import numpy as np

from extract.top_contexts import TopContexts


def found(values, cuts, k):
    top = TopContexts(2, values.shape[1], k)
    index = np.arange(len(values)) + 5
    for piece, where in zip(*(np.split(each, np.cumsum(cuts)[:-1]) for each in (values, index)), strict=True):
        top.update(1, where, piece.T)
    return top


def test_they_are_the_largest_sizes_of_all_positions_in_order():
    values = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32)
    top = found(values, [100, 3, 197], 9)
    expected = np.argsort(-np.abs(values), axis=0)[:9].T
    assert np.array_equal(top.token_index[1], expected + 5)
    assert np.array_equal(top.activation[1], np.take_along_axis(values.T, expected, axis=1))
    assert (top.token_index[0] == -1).all()  # the other part has met nothing


def test_equal_sizes_go_by_position_and_zeros_are_no_contexts():
    values = np.array([[0.0], [1.0], [-2.0], [1.0], [2.0], [-1.0], [0.0]], dtype=np.float32)
    for cuts in ([7], [1, 6], [4, 3], [1] * 7):
        top = found(values, cuts, 6)
        assert top.token_index[1].tolist() == [[7, 9, 6, 8, 10, -1]]
        assert top.activation[1].tolist() == [[-2.0, 2.0, 1.0, 1.0, -1.0, 0.0]]
