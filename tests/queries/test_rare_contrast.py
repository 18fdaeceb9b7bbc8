"""Rare against common influence on simulated sums: selective neurons are found, what all have in common is not."""

import numpy as np
import polars as pl
import pytest

from queries import load, rare_contrast
from reports.charts import draw
from tests.queries.simulated import frame

CONTRAST = load("rare_contrast")
TRUE = np.geomspace(1, 0.01, 120)
SELECTIVE = np.where(np.arange(120) % 12 == 0, 4.0, 1.0)


def planted(rare_true, seed=0, n_documents=40, **options):
    """The frame, and which neuron each true value went to."""
    sums = frame(TRUE, n_documents, np.random.default_rng(seed), own=0.3, rare_true=rare_true, **options)
    return sums, np.random.default_rng(seed).permutation(120)


@pytest.fixture(scope="module")
def table():
    return CONTRAST.estimate(planted(1.5 * TRUE * SELECTIVE)[0], np.random.default_rng(0))


def rows(table, contrast):
    return table.filter(pl.col("contrast") == contrast)


def test_rows_and_columns(table):
    assert table.columns == [*CONTRAST.keys, "estimate", "low", "high", "n", *CONTRAST.columns]
    assert table.height == 2 * 120
    assert table.equals(table.sort(CONTRAST.keys))
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()


def test_the_difference_is_in_nats_and_agrees_with_its_p(table):
    difference = rows(table, "difference")
    plain = difference["influence_rare"] - difference["influence_common"]
    np.testing.assert_allclose(difference["estimate"], plain)
    np.testing.assert_allclose(difference["ratio"], difference["influence_rare"] / difference["influence_common"])
    excludes = (difference["low"] > 0) | (difference["high"] < 0)
    assert excludes.equals((difference["p"] < 0.05).rename("low"))


def test_selective_neurons_are_found_and_covered(table):
    order = planted(TRUE)[1]
    truth = np.log(SELECTIVE[order]) - np.log(SELECTIVE).mean()
    relative = rows(table, "relative")
    covered = (relative["low"].to_numpy() <= truth) & (truth <= relative["high"].to_numpy())
    assert covered.mean() > 0.9
    found = relative["is_selective"].to_numpy()
    assert found[SELECTIVE[order] > 1].sum() >= 9
    assert found[SELECTIVE[order] == 1].sum() <= 3
    assert "**supported**" in CONTRAST.answer(table)


def test_what_all_neurons_share_is_a_difference_but_not_selectivity():
    table = CONTRAST.estimate(planted(2.5 * TRUE)[0], np.random.default_rng(0))
    assert rows(table, "difference")["is_selective"].mean() > 0.9
    assert rows(table, "relative")["is_selective"].sum() == 0
    assert table["rank_biserial"][0] > 0.95
    assert "**contradicted**" in CONTRAST.answer(table)


@pytest.mark.parametrize("seed", range(3))
def test_doublings_that_ten_documents_cannot_show_are_not_contradicted(seed):
    """15 of 1,000 neurons double; typical intervals are short, but few neurons could be significant among so many."""
    rng = np.random.default_rng(seed)
    true = np.geomspace(1, 0.01, 1000)
    doubled = 1.5 * true * np.where(rng.permutation(1000) < 15, 2.0, 1.0)
    found = CONTRAST.estimate(frame(true, 10, rng, own=0.1, rare_true=doubled), rng)
    relative = rows(found, "relative")
    assert np.nanmedian(relative["high"] - relative["low"]) < np.log(2)
    assert found["verdict"][0] != "contradicted"


def test_intervals_of_selected_neurons_exclude_0_exactly_where_q_is_below_5_percent(table):
    """Benjamini and Yekutieli (2005); they are wider than those of a neuron that was chosen beforehand."""
    for contrast in ("relative", "difference"):
        part = rows(table, contrast)
        excludes = (part["selected_low"] > 0) | (part["selected_high"] < 0)
        assert excludes.equals((part["q"] < 0.05).rename("selected_low"))
        assert (part["selected_low"] <= part["low"]).all()
        assert (part["selected_high"] >= part["high"]).all()
    (claim,) = CONTRAST.claims
    finding = claim.findings(table).row(0, named=True)
    best = rows(table, "relative").filter(pl.col("estimate") > 0).sort("p").row(0, named=True)
    assert [finding[end] for end in ("low", "high")] == [best["selected_low"], best["selected_high"]]
    assert 0 < finding["low"] < best["low"]


def test_the_p_of_thousands_of_neurons_that_agree_is_not_0():
    assert 0 < rare_contrast._wilcoxon(np.linspace(1, 2, 8192)) < 1e-300


def test_no_difference_no_effect():
    table = CONTRAST.estimate(planted(TRUE, seed=3)[0], np.random.default_rng(0))
    assert table["is_selective"].sum() <= 2
    assert table["rank_biserial_low"][0] < 0 < table["rank_biserial_high"][0]


def test_few_documents_an_absent_class_and_a_silent_neuron():
    sums, _ = planted(TRUE, n_documents=4)
    few = CONTRAST.estimate(sums, np.random.default_rng(0))
    assert few.select("low", "high", "p", "q").to_numpy().size == np.isnan(few.select("low", "high", "p", "q")).sum()
    assert few["is_selective"].is_null().all()
    assert few["reason"].str.contains("at least 5").all()
    assert rows(few, "difference")["estimate"].is_not_nan().all()
    absent = CONTRAST.estimate(planted(TRUE)[0].filter(pl.col("token_class") == "common"), np.random.default_rng(0))
    assert (absent["verdict"] == "undecidable").all()
    assert "no position of rare tokens" in CONTRAST.answer(absent)
    silent = planted(TRUE)[0].with_columns(
        pl.when(pl.col("neuron") == 3).then(0.0).otherwise(pl.col("sum_abs_delta")).alias("sum_abs_delta")
    )
    table = CONTRAST.estimate(silent, np.random.default_rng(0))
    assert table.filter(pl.col("neuron") == 3)["reason"].str.contains("no influence").all()
    assert table.filter(pl.col("neuron") != 3)["p"].is_not_nan().all()
    draw("class_scatter", {"rare_contrast": absent}, {})


def test_the_typical_interval_is_that_of_the_neurons_that_have_one(table):
    """Where one or two documents carry a neuron's contrast it has no interval, and no part in the median."""
    carried = pl.col("neuron") % 3 == 0
    some = table.with_columns(
        pl.when(carried).then(float("nan")).otherwise(pl.col(end)).alias(end) for end in ("low", "high")
    )
    said = CONTRAST.answer(some)
    assert "nan" not in said
    assert "times up or down; 40 of 120 neurons without one (40 documents)." in said
    none = table.with_columns(low=pl.lit(float("nan")), high=pl.lit(float("nan")))
    assert "No neuron has an interval" in CONTRAST.answer(none)
    assert "nan" not in CONTRAST.answer(none)


@pytest.mark.parametrize(
    ("n_documents", "share", "why"),
    [
        (9, 0.1, "rare tokens are in 9 documents; a verdict needs at least 10"),
        (20, 0.002, " rare positions; a verdict needs"),
    ],
)
def test_a_verdict_needs_documents_and_positions(n_documents, share, why):
    sums, _ = planted(1.5 * TRUE * SELECTIVE, n_documents=n_documents, rare_share=share)
    small = CONTRAST.estimate(sums, np.random.default_rng(0))
    assert small["p"].is_not_nan().any()
    assert (small["verdict"] == "undecidable").all()
    assert why in CONTRAST.answer(small)
    (claim,) = CONTRAST.claims
    assert why in claim.findings(small)["reason"][0]


def test_no_rows_no_answer(table):
    empty = CONTRAST.estimate(planted(TRUE)[0].head(0), np.random.default_rng(0))
    assert empty.schema == table.schema
    assert CONTRAST.answer(empty) == ""
    assert CONTRAST.excerpt(empty).is_empty()


def test_the_chart_shows_every_neuron(table):
    figure = draw("class_scatter", {"rare_contrast": table}, {})
    (axes,) = [axes for cell in figure.subfigs for axes in cell.axes]
    assert sum(len(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o") == 120
