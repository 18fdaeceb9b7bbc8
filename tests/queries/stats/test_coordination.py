"""Groups of equal size, windows of the ranking, jackknife over documents, and what is left without an answer."""

import numpy as np
import pytest

from queries.stats.coordination import NULLS, TREND, Effort, assess, design, jackknife_reach
from queries.stats.dimension import group_dimensions, left_out_dimensions


def plan(rng, *, n=96, m=8, documents=10, positions=20, values=None, **changes):
    T = documents * positions
    inputs = {
        "values": rng.standard_normal((T, n)).astype(np.float32) if values is None else values,
        "document": np.repeat(np.arange(documents), positions),
        "is_rare": np.tile(np.arange(positions) < positions // 4, documents),
        "regime": np.array(["plateau"] * m + ["power_law"] * 30 + ["decay"] * (n - m - 30), dtype=object),
        "is_core": np.arange(n) < m,
        "influence": np.linspace(2, 1, n),
    }
    return design(**{**inputs, **changes}, rng=rng, effort=Effort(groups=50))


def test_groups_are_of_one_size_and_matched():
    found = plan(np.random.default_rng(1))
    assert {len(each) for each in found.members.values()} == {8}
    assert found.members["power_law"][[0, -1]].tolist() == [8, 37]
    for nulls in found.draws.values():
        assert all(each.shape == (50, 8) for each in nulls.values())
    # 96 neurons and 4 x 8 in a stratum leave three strata, and the plateau is in the upper one
    assert found.draws["plateau"]["influence"].max() < 32
    assert found.draws["decay"]["influence"].max() > 86


def test_constant_neurons_and_rows_with_gaps_are_left_out():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((200, 96)).astype(np.float32)
    values[:, 3] = 7.0
    values[5, 50] = np.nan
    found = plan(rng, values=values)
    assert found.values.shape == (199, 95)
    assert len(found.members["plateau"]) == 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_core": np.zeros(96, dtype=bool)}, "stable core"),
        ({"regime": np.array([None] * 96, dtype=object)}, "stable core"),
        ({"is_rare": np.zeros(200, dtype=bool)}, "no positions of the class"),
        ({"is_rare": np.arange(200) < 10}, "10 positions"),
    ],
)
def test_what_has_no_answer_says_why(changes, reason):
    rng = np.random.default_rng(3)
    found = plan(rng, **changes)
    assert reason in found.reason("rare", "plateau")
    assert reason in found.reason("rare_minus_common", "plateau")
    assert ("rare", "plateau") not in assess(found, group_dimensions, left_out_dimensions, rng)


def test_a_regime_smaller_than_the_core():
    regime = np.array(["plateau"] * 8 + ["power_law"] * 5 + ["decay"] * 83, dtype=object)
    found = plan(np.random.default_rng(4), regime=regime)
    assert set(found.members) == {"plateau", "decay"}
    assert "fewer than the 8" in found.reason("rare", "power_law")


def test_the_jackknife_of_a_mean_is_its_standard_error():
    """Leaving out one at a time gives s / sqrt(n) exactly, times Student's t (2.262 for 9 degrees of freedom)."""
    values = np.random.default_rng(5).standard_normal(10)
    left_out = ((values.sum() - values) / 9)[:, None]
    assert jackknife_reach(left_out)[0] == pytest.approx(2.2622 * values.std(ddof=1) / np.sqrt(10), rel=1e-4)
    assert np.isnan(jackknife_reach(left_out[:4])).all()


def test_contrasts_are_differences_of_the_same_groups():
    rng = np.random.default_rng(6)
    found = assess(plan(rng), group_dimensions, left_out_dimensions, rng)
    rare, common, contrast = (found[name, "decay"] for name in ("rare", "common", "rare_minus_common"))
    np.testing.assert_allclose(contrast.value, rare.value - common.value)
    np.testing.assert_allclose(contrast.nulls["any"], rare.nulls["any"] - common.nulls["any"])
    assert contrast.left_out.shape == (10, 4)


def test_windows_of_the_ranking_are_the_plateaus_only_and_enough():
    rng = np.random.default_rng(7)
    design_of = plan(rng)
    assert design_of.windows.shape == (11, 8)
    assert (np.diff(design_of.place) < 0).all()
    assert design_of.at > design_of.place[0]
    found = assess(design_of, group_dimensions, left_out_dimensions, rng)
    assert found["rare", "plateau"].nulls[TREND].shape == (11, 4)
    assert TREND in found["rare_minus_common", "plateau"].nulls
    assert TREND not in found["rare", "decay"].nulls
    few = plan(rng, m=12)
    assert len(few.windows) == 7
    assert TREND not in assess(few, group_dimensions, left_out_dimensions, rng)["rare", "plateau"].nulls


def test_groups_in_two_steps_are_all_groups_at_once(monkeypatch):
    design_of = plan(np.random.default_rng(3))
    together = assess(design_of, group_dimensions, left_out_dimensions, np.random.default_rng(4))
    monkeypatch.setattr("queries.stats.coordination.FIRST_DRAWS", 20)
    apart = assess(design_of, group_dimensions, left_out_dimensions, np.random.default_rng(4))
    settled = assess(design_of, group_dimensions, left_out_dimensions, np.random.default_rng(4), lambda found: False)
    for key in together:
        for null in NULLS:
            whole = together[key].nulls[null]
            wanted = whole if key[1] == "plateau" else whole[:20]
            np.testing.assert_allclose(apart[key].nulls[null], wanted, atol=1e-12)
            np.testing.assert_allclose(settled[key].nulls[null], whole[:20], atol=1e-12)
        np.testing.assert_array_equal(apart[key].left_out, together[key].left_out)
