"""Moments that are merged from pieces are those of all positions at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from extract.layer_moments import NAMES, Moments, merge, summarise


def drawn(rng, T=400, N=5):
    return (rng.standard_t(4, (T, N)) * 3 + rng.normal(0, 50, N)).astype(np.float32)


@pytest.mark.parametrize("cuts", [[400], [1, 399], [130, 140, 130], [1] * 5 + [395]])
def test_pieces_give_the_moments_of_the_whole(cuts):
    values = drawn(np.random.default_rng(0))
    moments = Moments(1, 5)
    for piece in np.split(values, np.cumsum(cuts)[:-1]):
        moments.update(0, piece)
    n, found = moments.total()
    whole = values.astype(float)
    assert n == 400
    np.testing.assert_allclose(found["mean"], whole.mean(0), rtol=1e-12)
    for order in (2, 3, 4):
        np.testing.assert_allclose(found[f"sum_{order}"] / n, stats.moment(whole, order), rtol=1e-9)
    np.testing.assert_allclose(found["sum_abs"], np.abs(whole).sum(0), rtol=1e-12)
    np.testing.assert_allclose(found["sum_square"], (whole**2).sum(0), rtol=1e-12)
    kurtosis = n * found["sum_4"] / found["sum_2"] ** 2 - 3
    np.testing.assert_allclose(kurtosis, stats.kurtosis(whole), rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.floats(-1e3, 1e3))
def test_merging_is_associative_and_knows_no_order(a, b, c, shift):
    rng = np.random.default_rng([a, b, c])
    pieces = [rng.normal(shift, 2.0, (n, 2)) for n in (a, b, c)]
    x, y, z = (summarise(piece) for piece in pieces)
    left = merge(a + b, merge(a, x, b, y), c, z)
    right = merge(b + c, merge(c, z, b, y), a, x)
    whole = summarise(np.concatenate(pieces))
    for name in NAMES:
        scale = float(whole["sum_2"].max()) ** (2 if name == "sum_4" else 1.5 if name == "sum_3" else 1)
        for found in (left, right):
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-8, atol=1e-9 * max(scale, 1.0))


def test_parts_are_kept_apart_and_an_empty_one_changes_nothing():
    values = drawn(np.random.default_rng(1))
    moments = Moments(3, 5)
    moments.update(0, values[:100])
    moments.update(2, values[100:])
    assert moments.n.tolist() == [100, 0, 300]
    np.testing.assert_allclose(moments.sums["sum_4"][2], summarise(values[100:])["sum_4"])
    np.testing.assert_allclose(moments.total()[1]["sum_3"], summarise(values)["sum_3"], rtol=1e-9, atol=1e-6)
    assert float(Moments(2, 4).total()[1]["sum_2"].sum()) == 0
