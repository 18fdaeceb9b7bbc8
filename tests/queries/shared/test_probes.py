"""Linear probes: what is written into states is read, what is not is not, and no document is on both sides."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from queries.shared.probes import RIDGE, folds, probe


def made(rng, T=600, d=12, documents=12, classes=3, signal=3.0):
    document = np.repeat(np.arange(documents), T // documents)
    label = rng.integers(0, classes, T)
    states = rng.standard_normal((T, d)) + signal * rng.standard_normal((classes, d))[label]
    return states.astype(np.float32), document, label


def tokens(label):
    """Token types that say nothing: a row each."""
    return np.arange(len(label))


def accuracy(found):
    return found.right.sum() / found.rows.sum(), found.shuffled.sum() / found.rows.sum()


def test_a_planted_label_is_read_and_another_is_not():
    rng = np.random.default_rng(0)
    states, document, label = made(rng)
    other = rng.integers(0, 4, len(label))
    shuffled = {"planted": rng.permutation(label), "absent": rng.permutation(other)}
    found = probe(states, document, tokens(label), {"planted": label, "absent": other}, shuffled)
    real, control = accuracy(found["planted"])
    assert real > 0.95
    assert control == pytest.approx(1 / 3, abs=0.1)
    for each in accuracy(found["absent"]):
        assert each == pytest.approx(1 / 4, abs=0.1)
    assert found["planted"].rows.tolist() == [50.0] * 12


def test_it_is_a_ridge_classifier_fitted_on_the_other_documents():
    rng = np.random.default_rng(1)
    states, document, label = made(rng, signal=0.5)
    found = probe(states, document, tokens(label), {"a": label}, {"a": rng.permutation(label)})["a"]
    fold, right = folds(document), np.zeros(len(label), dtype=bool)
    for each in np.unique(fold):
        learn = fold != each
        assert not set(document[learn]) & set(document[~learn])
        mean, spread = states[learn].mean(0), states[learn].std(0)
        other = RidgeClassifier(alpha=RIDGE * learn.sum()).fit((states[learn] - mean) / spread, label[learn])
        right[~learn] = other.predict((states[~learn] - mean) / spread) == label[~learn]
    assert found.right.tolist() == np.bincount(document, weights=right).tolist()


def test_a_component_that_does_not_vary_and_a_class_that_is_not_learned_do_no_harm():
    rng = np.random.default_rng(2)
    states, document, label = made(rng, T=60, documents=3)
    states[:, 0] = 7.0
    label[document == 2] = 3
    found = probe(states, document, tokens(label), {"a": label}, {"a": rng.permutation(label)})["a"]
    assert found.right[2] == 0
    assert np.isfinite(found.right).all()


def test_the_baseline_is_the_larger_of_majority_and_a_table_of_types():
    rng = np.random.default_rng(3)
    states, document, label = made(rng, signal=0.0)
    noisy = np.where(rng.random(len(label)) < 0.8, label, rng.integers(0, 3, len(label)))
    known = probe(states, document, noisy, {"a": label}, {"a": rng.permutation(label)})["a"]
    assert known.baseline is known.by_token
    assert known.baseline.sum() == (noisy == label).sum()  # the table of each fold: the label itself
    unknown = probe(states, document, tokens(label), {"a": label}, {"a": rng.permutation(label)})["a"]
    assert unknown.by_token.tolist() == unknown.majority.tolist()
    fold = folds(document)
    largest = [np.bincount(label[fold != each]).argmax() for each in fold]
    assert unknown.majority.sum() == (label == largest).sum()
