"""What is searched for modules: groups of equal size, equal positions of each document."""

import numpy as np

from queries.stats.module_groups import equal_positions, module_groups


def test_both_classes_have_equally_many_positions_of_each_document():
    rng = np.random.default_rng(6)
    document = np.repeat(np.arange(6), 20)
    is_rare = rng.random(120) < 0.2
    positions = equal_positions(document, is_rare)
    assert is_rare[positions["rare"]].all()
    assert not is_rare[positions["common"]].any()
    np.testing.assert_array_equal(document[positions["rare"]], document[positions["common"]])
    assert (np.diff(positions["common"]) > 0).all()
    alone = equal_positions(document, np.ones(120, dtype=bool))
    assert (len(alone["rare"]), len(alone["common"])) == (120, 0)


def test_groups_are_as_large_as_the_core_and_spread_over_the_ranks():
    regime = np.array(["plateau"] * 7 + ["power_law"] * 9 + ["decay"] * 5 + [None], dtype=object)
    is_core = np.arange(22) < 6
    groups, reason = module_groups(regime, is_core, np.linspace(2.0, 1.0, 22))
    assert reason == ""
    assert groups["plateau"].tolist() == [0, 1, 2, 3, 4, 5]
    assert groups["power_law"].tolist() == [7, 9, 10, 12, 13, 15]
    assert "decay" not in groups  # five neurons are fewer than six


def test_a_small_core_has_no_groups():
    groups, reason = module_groups(np.array(["plateau"] * 9, dtype=object), np.arange(9) < 4, np.ones(9))
    assert (groups, reason) == ({}, "the stable core of the plateau has 4 neurons; at least 5 are needed")
