"""NC1 against a direct computation, its limits, and that it does not depend on scale, shift or names of classes."""

import numpy as np
import pytest

from queries.stats.neural_collapse import nc1


def planted(spread, n=600, d=10, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=n)
    return rng.standard_normal((classes, d))[label] * 3 + spread * rng.standard_normal((n, d)), label


def test_it_is_the_trace_with_numpys_pseudo_inverse():
    values, label = planted(1.0)
    means = np.array([values[label == each].mean(axis=0) for each in range(5)])
    share = np.bincount(label) / len(label)
    apart = means - values.mean(axis=0)
    between = apart.T @ (apart * share[:, None])
    rest = values - means[label]
    within = rest.T @ rest / len(values)
    pinv = np.linalg.pinv(between, rcond=1e-3, hermitian=True)
    found, ratio = nc1(values, label)
    assert found == pytest.approx(np.trace(within @ pinv) / 5)
    assert ratio == pytest.approx(np.trace(within) / np.trace(between))


def test_it_falls_with_the_square_of_the_classes_spread():
    tight, loose = (nc1(*planted(spread))[0] for spread in (0.01, 0.1))
    assert loose / tight == pytest.approx(100, rel=0.05)


def test_scale_shift_and_names_do_not_matter():
    values, label = planted(1.0)
    assert nc1(7 * values + 3, 10 - label) == pytest.approx(nc1(values, label))


def test_a_direction_of_hardly_any_difference_is_left_out():
    """Two classes far apart, a third all but on the first: its own direction would make NC1 enormous."""
    rng = np.random.default_rng(0)
    means = np.array([[10.0, 0.0], [-10.0, 0.0], [10.0, 0.01]])
    label = np.arange(900) % 3
    found, _ = nc1(means[label] + rng.standard_normal((900, 2)), label)
    assert found < 0.01


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (np.zeros((4, 2)), np.array([0, 0, 1, 1])),
        (np.ones((4, 2)) * np.arange(4)[:, None], np.zeros(4, dtype=int)),
        (np.ones((4, 2)) * np.arange(4)[:, None], np.arange(4)),
        (np.zeros((1, 2)), np.zeros(1, dtype=int)),
    ],
)
def test_without_two_classes_apart_there_is_no_answer(values, label):
    assert np.isnan(nc1(values, label)).all()
