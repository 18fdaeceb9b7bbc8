"""Influence on simulated sums: planted means are covered, nothing is found where nothing is, odd input is named."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from queries import load
from tests.queries.simulated import frame

INFLUENCE = load("influence")


@pytest.fixture(scope="module")
def table():
    return INFLUENCE.estimate(frame(np.geomspace(1, 0.01, 150), 30, np.random.default_rng(0)), np.random.default_rng(1))


def test_rows_and_columns(table):
    assert table.columns == [*INFLUENCE.keys, "estimate", "low", "high", "n", *INFLUENCE.columns]
    assert table.height == 3 * 150
    assert table.equals(table.sort(INFLUENCE.keys))
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()
    assert (table["mean_delta"].abs() <= table["estimate"]).all()
    assert (
        table.select((pl.col("rank_low") <= pl.col("rank")) & (pl.col("rank") <= pl.col("rank_high"))).to_series().all()
    )
    assert table.group_by("token_class").agg(pl.col("rank").sort())["rank"].to_list() == [list(range(1, 151))] * 3


def test_estimates_are_ratios_of_sums():
    sums = frame(np.geomspace(1, 0.1, 12), 8, np.random.default_rng(2))
    table = INFLUENCE.estimate(sums, np.random.default_rng(0))
    expected = sums.group_by("neuron").agg(
        (pl.col("sum_abs_delta").sum() / pl.col("n_positions").sum()).alias("influence"),
        (pl.col("sum_delta").sum() / pl.col("n_positions").sum()).alias("mean"),
    ).sort("neuron")  # fmt: skip
    everything = table.filter(pl.col("token_class") == "all")
    np.testing.assert_allclose(everything["estimate"], expected["influence"])
    np.testing.assert_allclose(everything["mean_delta"], expected["mean"])


def test_intervals_cover_the_planted_influence():
    """The order of the neurons is known to `frame` only, so the sorted truth is matched by an exact copy of its rng."""
    true = np.geomspace(1, 0.01, 400)
    sums = frame(true, 60, np.random.default_rng(3), common=0.0, own=0.3)
    order = np.random.default_rng(3).permutation(400)
    table = INFLUENCE.estimate(sums, np.random.default_rng(4)).filter(pl.col("token_class") == "common")
    inside = (table["low"].to_numpy() <= 1e-3 * true[order]) & (1e-3 * true[order] <= table["high"].to_numpy())
    assert np.mean(inside) > 0.9


def test_planted_signs_are_found_and_random_signs_are_not(table):
    assert table.filter((pl.col("token_class") == "all") & (pl.col("q") < 0.05)).height > 140
    rng = np.random.default_rng(5)
    sums = frame(np.ones(200), 20, rng)
    flipped = sums.with_columns(pl.col("sum_abs_delta") * pl.Series(rng.choice([-0.5, 0.5], sums.height)))
    flipped = sums.with_columns(sum_delta=flipped["sum_abs_delta"])
    nothing = INFLUENCE.estimate(flipped, rng)
    assert nothing.filter(pl.col("q") < 0.05).height <= 6


def test_same_seed_same_table_and_words(table):
    sums = frame(np.geomspace(1, 0.01, 150), 30, np.random.default_rng(0))
    assert INFLUENCE.estimate(sums, np.random.default_rng(1)).equals(table)
    words = INFLUENCE.answer(table)
    assert "of 150 neurons" in words
    assert "30 documents" in words
    assert INFLUENCE.excerpt(table).height == 18


def test_more_resamples_narrow_nothing_but_chance(table):
    """The means stay, the ends move by the chance of the resamples only."""
    sums = frame(np.geomspace(1, 0.01, 150), 30, np.random.default_rng(0))
    many = INFLUENCE.with_effort(8000).estimate(sums, np.random.default_rng(1))
    assert many["estimate"].equals(table["estimate"])
    assert not many["low"].equals(table["low"])
    width = (table["high"] - table["low"]).to_numpy()
    assert np.abs((many["low"] - table["low"]).to_numpy() / width).max() < 0.25


def test_ranks_come_from_a_fixed_number_of_resamples():
    """More resamples than are ranked change the ends of means and leave ranks and band to the same chance."""
    sums = frame(np.geomspace(1, 0.01, 40), 30, np.random.default_rng(7))
    few, many = (INFLUENCE.with_effort(n).estimate(sums, np.random.default_rng(1)) for n in (2000, 4000))
    of_ranks = ["rank_low", "rank_high", "curve_low", "curve_high", "top_share_low", "top_share_high"]
    first = few.filter(pl.col("token_class") == "all").select(of_ranks)
    again = many.filter(pl.col("token_class") == "all").select(of_ranks)
    assert_frame_equal(first, again, rel_tol=1e-12)


def test_too_few_documents_and_a_missing_class():
    sums = frame(np.ones(60), 4, np.random.default_rng(6)).filter(pl.col("token_class") == "common")
    table = INFLUENCE.estimate(sums, np.random.default_rng(0))
    common, rare = (table.filter(pl.col("token_class") == name) for name in ("common", "rare"))
    assert common["estimate"].is_not_nan().all()
    assert (
        common.select("low", "high", "p", "q", "rank_low").to_numpy().size
        == np.isnan(common.select("low", "high", "p", "q", "rank_low").to_numpy()).sum()
    )
    assert common["reason"].str.contains("only 4 documents").all()
    assert rare["estimate"].is_nan().all()
    assert rare["rank"].is_null().all()
    assert "no position of this class" in INFLUENCE.answer(table)


def test_no_rows_no_answer():
    sums = frame(np.ones(3), 5, np.random.default_rng(0))
    empty = INFLUENCE.estimate(sums.head(0), np.random.default_rng(0))
    assert empty.height == 0
    assert empty.schema == INFLUENCE.estimate(sums, np.random.default_rng(0)).schema
    assert INFLUENCE.answer(empty) == ""
    assert INFLUENCE.excerpt(empty).height == 0


def test_the_band_is_that_of_the_ranked_curve(table):
    for (_,), curve in table.sort("rank").group_by("token_class", maintain_order=True):
        for name in ("estimate", "curve_low", "curve_high"):
            assert curve[name].is_sorted(descending=True), name
        assert (curve["curve_low"] <= curve["estimate"]).all()
        assert (curve["estimate"] <= curve["curve_high"]).all()


def test_the_leading_share_is_that_of_the_leading_neurons(table):
    rare = table.filter(pl.col("token_class") == "rare").sort("rank")
    row = rare.row(0, named=True)
    observed = rare["estimate"].head(2).sum() / rare["estimate"].sum()
    # the luck of the leaders is taken out
    assert 0.8 * observed < row["top_share"] < observed
    assert row["top_share_low"] <= row["top_share"] <= row["top_share_high"]
    (claim,) = INFLUENCE.claims
    found = claim.findings(table).row(0, named=True)
    assert (found["estimate"], found["null"], found["verdict"]) == (row["top_share"], 0.01, None)
