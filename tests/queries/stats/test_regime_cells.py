"""Curves by class and sign group: who is in them, and a curve that cannot be assessed has a reason for its verdict."""

import numpy as np

from queries.stats.corrected import Corrected
from queries.stats.document_sums import TOKEN_CLASSES, document_sums
from queries.stats.regime_cells import SIGN_GROUPS, assess_cells, decide_cell, sign_members
from queries.stats.three_regimes import QUANTITIES


def test_signs_part_the_neurons_and_zero_is_neither():
    members = sign_members(np.array([0.5, -0.1, 0.0, 2.0]))
    assert tuple(members) == SIGN_GROUPS
    assert members["all"].all()
    assert members["boost"].tolist() == [True, False, False, True]
    assert members["suppress"].tolist() == [False, True, False, False]


def test_few_neurons_are_assessed_as_undecidable_with_a_reason():
    rng = np.random.default_rng(0)
    n_documents, n_neurons = 6, 12
    document = np.tile(np.repeat(np.arange(n_documents), n_neurons), 3)
    token_class = np.repeat(TOKEN_CLASSES, n_documents * n_neurons)
    delta = rng.standard_normal(len(document))
    sums = document_sums(
        token_class, document, np.tile(np.arange(n_neurons), 3 * n_documents), np.full(len(document), 10), delta,
        np.abs(delta),
    )  # fmt: skip
    cells = assess_cells(sums, rng)
    assert set(cells) == {(token_class, name) for token_class in TOKEN_CLASSES for name in SIGN_GROUPS}
    whole = cells["rare", "all"]
    assert whole.n_neurons == n_neurons
    assert whole.n_neurons == cells["rare", "boost"].n_neurons + cells["rare", "suppress"].n_neurons
    assert cells["common", "boost"].n_neurons == cells["rare", "boost"].n_neurons  # by all positions, not by class
    nothing = np.full(len(QUANTITIES), np.nan)
    verdict, reason = decide_cell(whole, Corrected(nothing, nothing, nothing), 0.01, 0.01)
    assert (verdict, reason) == ("undecidable", whole.assessment.reason)
    assert reason


def test_a_class_with_all_positions_has_what_all_has():
    rng = np.random.default_rng(1)
    n_documents, n_neurons = 6, 12
    document = np.repeat(np.arange(n_documents), n_neurons)
    delta = rng.standard_normal(len(document))
    token_class = np.full(len(document), "common", dtype=object)
    neuron, counts = np.tile(np.arange(n_neurons), n_documents), np.full(len(document), 10)
    sums = document_sums(token_class, document, neuron, counts, delta, np.abs(delta))
    assert [name for name in TOKEN_CLASSES if sums.is_everything(name)] == ["common"]
    cells = assess_cells(sums, rng)
    assert all(cells["common", name] is cells["all", name] for name in SIGN_GROUPS)
    assert cells["rare", "all"].assessment.reason
