"""Coactivation against pairs counted one by one, the noise floor against draws, and the verdict's conditions."""

import numpy as np
import pytest

from queries.stats.coactivation import (
    BETWEEN,
    MEASURES,
    TARGETS,
    WITHIN,
    group_coactivation,
    left_out_coactivation,
    noise_floor,
    shift_null,
)
from queries.stats.coactivation_verdict import decide_pairs
from queries.stats.group_evidence import GroupEvidence
from queries.stats.nulls import circular_shifts


def by_pairs(values, members, targets):
    """The measures by a plain loop over pairs, with np.corrcoef and angles in degrees."""
    rest = np.setdiff1d(np.arange(values.shape[1]), members)
    r = np.corrcoef(values.T)
    length = np.linalg.norm(values, axis=0)
    angle = np.degrees(np.arccos(np.clip(values.T @ values / np.outer(length, length), -1, 1)))
    found = []
    for pairs, names in (
        ([(i, j) for a, i in enumerate(members) for j in members[a + 1 :]], WITHIN),
        ([(i, j) for i in members for j in rest], BETWEEN),
        *(([(i, j) for i in members for j in targets[name] if i != j], WITHIN) for name in TARGETS),
    ):
        value = np.array([r[i, j] for i, j in pairs])
        degrees = np.array([angle[i, j] for i, j in pairs])
        of_name = {
            "mean_r": value.mean(), "share_positive": np.mean(value > 0), "share_strong": np.mean(np.abs(value) > 0.5),
            "share_negative": np.mean(value < -0.1), "mean_abs_r": np.abs(value).mean(),
            "share_orthogonal": np.mean((degrees >= 80) & (degrees <= 100)), "median_r": np.median(value),
        }  # fmt: skip
        found += [of_name[name] for name in names]
    return np.array(found)


def test_against_pairs_counted_one_by_one():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 25)) + rng.standard_normal((40, 1)) * rng.standard_normal(25) + rng.random(25)
    groups = np.array([[0, 3, 7, 9, 20], [24, 1, 2, 5, 11]])
    # a random group may share neurons with the group that it is paired with
    targets = {"power_law": np.array([4, 6, 8, 10, 12]), "decay": np.array([20, 21, 22, 23, 24])}
    expected = np.array([by_pairs(values, group, targets) for group in groups])
    np.testing.assert_allclose(group_coactivation(values, targets)(groups), expected, atol=2e-5)
    set_of = np.arange(40) % 7
    for group in groups:
        left = [by_pairs(values[set_of != each], group, targets) for each in range(7)]
        np.testing.assert_allclose(left_out_coactivation(values, set_of, group, targets), left, atol=1e-9)


def test_what_does_not_vary_without_a_set_is_as_if_the_set_had_not_been_read():
    rng = np.random.default_rng(7)
    values = (rng.standard_normal((100, 20)) + 3.0 * rng.random(20)).astype(np.float32)
    values[:, 3], values[:, 5], values[20:, 7], values[20:, 8] = 7.0, 0.0, 0.0, 0.3
    group, set_of, targets = np.array([1, 3, 7, 9, 12]), np.repeat(np.arange(5), 20), {"decay": np.array([5, 6, 8])}
    expected = [group_coactivation(values[set_of != each], targets)(group[None])[0] for each in range(5)]
    np.testing.assert_allclose(left_out_coactivation(values, set_of, group, targets), expected, atol=1e-6)


def test_all_neurons_have_no_rest():
    """Nor is there a group to pair with."""
    values = np.random.default_rng(1).standard_normal((20, 6))
    for found in (
        left_out_coactivation(values, np.arange(20) % 2, np.arange(6), {})[0],
        group_coactivation(values, {})(np.arange(6)[None])[0],
    ):
        missing = [pairs for (pairs, _), value in zip(MEASURES, found, strict=True) if np.isnan(value)]
        assert missing == ["rest"] * 6 + ["power_law"] * 7 + ["decay"] * 7


def test_the_noise_floor_is_that_of_independent_neurons():
    rng = np.random.default_rng(2)
    targets = {"power_law": np.arange(30, 45), "decay": np.arange(40, 60)}
    group = np.arange(30)[None]
    drawn = [group_coactivation(rng.standard_normal((30, 60)), targets)(group)[0] for _ in range(40)]
    found = np.mean(drawn, axis=0)
    floor = noise_floor(30)
    for (_, name), value in zip(MEASURES, found, strict=True):
        if name in floor:
            assert value == pytest.approx(floor[name], abs=0.006), name
    assert noise_floor(100)["mean_abs_r"] == pytest.approx(np.sqrt(2 / (np.pi * 100)), rel=0.01)


def test_circular_shifts_keep_documents_and_order():
    rng = np.random.default_rng(3)
    document = np.repeat([4, 9, 2], [5, 1, 7])
    values = rng.standard_normal((13, 3))
    drawn = list(circular_shifts(values, document, 30, rng))
    assert len(drawn) == 30
    for turned in drawn:
        for each in (4, 9, 2):
            rows = document == each
            for neuron in range(3):
                doubled = np.tile(values[rows, neuron], 2)
                n = rows.sum()
                assert any(np.array_equal(doubled[k : k + n], turned[rows, neuron]) for k in range(n))
    starts = {int(np.flatnonzero(values[6:, 0] == turned[6, 0])[0]) for turned in drawn}
    assert len(starts) == 7


def test_a_turned_copy_is_made_at_the_rows_that_are_asked_for():
    document = np.random.default_rng(0).integers(0, 7, 60)  # documents whose rows do not follow each other
    values, rows = np.random.default_rng(1).standard_normal((60, 4)), np.array([3, 59, 0, 21])
    whole = circular_shifts(values, document, 5, np.random.default_rng(2))
    some = circular_shifts(values, document, 5, np.random.default_rng(2), rows)
    for all_rows, few in zip(whole, some, strict=True):
        np.testing.assert_array_equal(all_rows[rows], few)


def test_shifts_destroy_coupling_and_keep_what_documents_do():
    rng = np.random.default_rng(4)
    document = np.repeat(np.arange(30), 10)
    moment = rng.standard_normal((300, 1)) + rng.standard_normal((300, 12))
    where = rng.standard_normal((30, 1))[document] + rng.standard_normal((300, 12))
    for values, kept in ((moment, False), (where, True)):
        mean_r = shift_null(values, document, [np.arange(300)], np.arange(6), {}, 20, rng)[:, 0].mean()
        assert (mean_r > 0.3) == kept
        assert (abs(mean_r) < 0.1) == (not kept)


def test_samples_that_share_positions_share_their_turned_copy():
    """The mean over two equal samples is that of one, and a sample is of all positions turned, not turned itself."""
    values = np.random.default_rng(5).standard_normal((200, 12))
    document, members = np.repeat(np.arange(10), 20), np.arange(6)
    half = np.arange(0, 200, 2)
    one, twice = (shift_null(values, document, [half] * n, members, {}, 15, np.random.default_rng(6)) for n in (1, 2))
    np.testing.assert_allclose(one, twice, atol=1e-9)
    seed = int(np.random.default_rng(6).integers(2**63))
    (turned,) = circular_shifts(values[:, members], document, 1, np.random.default_rng(seed))
    turned = np.hstack([turned, values[:, 6:]])
    np.testing.assert_allclose(one[0], group_coactivation(turned[half], {})(members[None])[0], atol=1e-6)


MEANS = {"any": 0.10, "activation": 0.10, "influence": 0.12, "shift": 0.08}
SMALL = dict.fromkeys(MEANS, 0.002)
TREND_MEANS, NOT_TREND = MEANS | {"trend": 0.30}, SMALL | {"trend": 0.99}
LOWER = dict.fromkeys(MEANS, 0.0)


@pytest.mark.parametrize(
    ("is_against", "evidence", "verdict", "words"),
    [
        (False, (0.3, 0.2, 0.4, MEANS, SMALL, 0.01), "supported", "higher than every null"),
        (False, (0.3, 0.11, 0.5, MEANS, SMALL, 0.01), "undecidable", "reaches 0.12"),
        (False, (0.3, 0.2, 0.4, MEANS, SMALL, 0.1), "undecidable", "not among the tests"),
        (
            False,
            (0.12, 0.10, 0.14, MEANS, {**SMALL, "influence": 0.9}, 0.9),
            "contradicted",
            "same strata of influence",
        ),
        (False, (0.12, 0.02, 0.22, MEANS, {**SMALL, "influence": 0.9}, 0.9), "undecidable", "allows for more"),
        # a trend is uncertain itself: only its low end can be excluded
        (False, (0.26, 0.24, 0.28, TREND_MEANS, NOT_TREND, 0.9, "", {"trend": (0.25, 0.35)}), "contradicted", "trend"),
        # a trend that predicts surely more than there is does not hold
        (False, (0.2, 0.18, 0.22, TREND_MEANS, NOT_TREND, 0.9, "", {"trend": (0.25, 0.35)}), "undecidable", "not even"),
        (
            False,
            (0.11, 0.10, 0.12, TREND_MEANS, NOT_TREND | {"any": 0.9}, 0.9, "", {"trend": (0.25, 0.35)}),
            "contradicted",
            "not higher than random groups (",
        ),
        (
            True,
            (-0.2, -0.3, -0.1, {**LOWER, "trend": -0.5}, NOT_TREND, 0.9, "", {"trend": (-0.6, -0.4)}),
            "undecidable",
            "not even",
        ),
        (False, (0.2, 0.18, 0.22, TREND_MEANS, NOT_TREND, 0.9, "", {"trend": (0.1, 0.5)}), "undecidable", "trend"),
        (True, (-0.2, -0.3, -0.1, LOWER, SMALL, 0.01), "supported", "lower than every null"),
        (True, (0.01, 0.0, 0.02, LOWER, SMALL, 0.01), "contradicted", "not lower"),
        (True, (0.05, 0.04, 0.06, MEANS, SMALL, 0.01), "undecidable", "reaches 0"),
        (True, (0.0, np.nan, np.nan, LOWER, SMALL, 0.01, "no documents"), "undecidable", "no documents"),
    ],
)
def test_verdicts(is_against, evidence, verdict, words):
    found, reason = decide_pairs(GroupEvidence(*evidence), is_against=is_against)
    assert (found, words in reason) == (verdict, True), reason
