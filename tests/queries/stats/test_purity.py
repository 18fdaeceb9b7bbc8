"""Purity and its parts against slow, plain counting; the null keeps what it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from queries.stats.lottery_evidence import decide_lottery, evidence
from queries.stats.purity import (
    MEASURES,
    STRONGEST,
    Labels,
    class_counts,
    expected,
    labelled,
    lottery,
    permuted,
    purities,
    purity,
    rank_correlation,
    strongest,
    top_decile,
)  # fmt: skip


def labels(of, n_classes, stratum=None, n_strata=1):
    of = np.asarray(of, dtype=np.int64)
    return Labels(of, n_classes, np.zeros_like(of) if stratum is None else np.asarray(stratum), n_strata)


def drawn(rng, atoms=30, positions=400, k=40, n_classes=4):
    contexts = np.argsort(rng.random((atoms, positions)), axis=1)[:, :k]
    return contexts, labels(rng.integers(0, n_classes, positions), n_classes)


def test_purity_is_the_largest_share_among_the_strongest_contexts():
    contexts, classes = drawn(np.random.default_rng(0))
    found = purities(contexts, classes)
    for atom, mine in enumerate(contexts):
        _, counts = np.unique(classes.of[mine[:STRONGEST]], return_counts=True)
        assert found[atom] == pytest.approx(counts.max() / STRONGEST)


def test_missing_contexts_and_labels_do_not_count():
    contexts = np.array([[0, 1, 2, -1], [3, -1, -1, -1]])
    counts = class_counts(contexts, np.array([0, -1, 1, -1]), 2, strongest(contexts))
    assert counts.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert np.isnan(purity(counts)[1])
    assert not labelled(contexts, labels([0, -1, 1, -1], 2)).any()


@given(st.integers(0, 2**32 - 1))
def test_a_position_of_weight_two_is_as_good_as_two(seed):
    rng = np.random.default_rng(seed)
    contexts = np.argsort(rng.random((3, 20)), axis=1)[:, :8]
    weights = rng.integers(0, 4, 20).astype(float)
    counting = strongest(contexts, weights, 5)
    for atom, mine in enumerate(contexts):
        written_out = np.repeat(mine, weights[mine].astype(int))[:5]
        expected_counts = np.bincount(written_out, minlength=20)[mine]
        assert counting[atom].tolist() == expected_counts.tolist()


def test_measures_are_those_of_their_definitions():
    rng = np.random.default_rng(1)
    early, classes = drawn(rng)
    final, _ = drawn(rng)
    first, last = purities(early, classes), purities(final, classes)
    found = dict(zip(MEASURES, lottery(early, final, classes), strict=True))
    assert found["spearman"] == pytest.approx(stats.spearmanr(first, last).statistic)
    assert found["purity_final"] == pytest.approx(last.mean())
    assert found["lift_over_chance"] == pytest.approx(4 * found["top_decile"])
    majority = np.bincount(classes.of).max() / len(classes.of)
    assert found["lift_over_majority"] == pytest.approx(found["top_decile"] / majority)


def test_the_top_decile_shares_ties_at_its_edge():
    values = np.array([3.0] * 2 + [2.0] * 4 + [1.0] * 24)
    weights = top_decile(values)
    assert weights.sum() == pytest.approx(1)
    assert weights[:2] == pytest.approx(1 / 3)
    assert weights[2:6] == pytest.approx(1 / 12)
    assert not weights[6:].any()


def test_what_strata_let_expect_is_all_there_is_where_classes_follow_them():
    rng = np.random.default_rng(2)
    stratum = rng.integers(0, 5, 4000)
    of = np.where(stratum < 2, 0, 1 + rng.integers(0, 2, 4000))
    classes = labels(of, 3, stratum, 5)
    contexts = np.stack([rng.permutation(np.flatnonzero(stratum == s))[:STRONGEST] for s in (0, 1, 2, 3)])
    counting = strongest(contexts)
    counts = class_counts(contexts, classes.of, 3, counting)
    found = expected(contexts, counting, counts, classes)
    assert found[:2] == pytest.approx(1)
    assert found[2:] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(expected(contexts, counting, counts, labels(of, 3))).all()


def test_permuted_labels_stay_in_their_documents():
    document = np.array([2, 0, 2, 0, 1, 2])
    of = np.array([5, 1, 6, 2, 9, 7])
    seen = set()
    for found in permuted(of, document, 60, np.random.default_rng(0)):
        assert sorted(found[document == 2]) == [5, 6, 7]
        assert sorted(found[document == 0]) == [1, 2]
        assert found[4] == 9
        seen.add(tuple(found))
    assert len(seen) == 12


def test_a_constant_has_no_rank_correlation():
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5.0)))


def test_overlap_of_contexts_correlates_purities_whatever_the_classes():
    """The reason for the null: half of the contexts in common, and labels without meaning."""
    rng = np.random.default_rng(3)
    early, classes = drawn(rng, atoms=200, positions=4000)
    final, _ = drawn(rng, atoms=200, positions=4000)
    final[:, ::2] = early[:, ::2]
    document = np.arange(4000) // 200
    found = evidence({0: early, 5: early, 100: final}, classes, document, 60, rng, 20)
    assert found.early == 5
    null = found.null(0)
    assert null["null_mean"] > 0.1
    assert abs(found.estimate[0] - null["null_mean"]) < 0.2
    assert found.n_atoms[0] == 200


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((0.6, 0.5, 0.7, 0.2, 0.01, 12), "supported"),
        ((0.6, 0.1, 0.9, 0.2, 0.01, 12), "undecidable"),
        ((0.2, 0.1, 0.3, 0.2, 0.5, 12), "contradicted"),
        ((0.2, -0.4, 0.7, 0.2, 0.5, 12), "undecidable"),
        ((0.6, 0.5, 0.7, 0.2, 0.01, 9), "undecidable"),
        ((0.6, np.nan, np.nan, 0.2, 0.01, 12), "undecidable"),
    ],
)
def test_verdicts(numbers, verdict):
    assert decide_lottery(*numbers)[0] == verdict
