"""The stable plateau on simulated sums: a planted set is found, noise has none, odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import load
from reports.charts import draw
from tests.queries.simulated import frame, planted

STABILITY = load("plateau_stability")
SMOOTH = np.geomspace(1, 0.01, 150)
TRUE = planted(150, 12, 1.5, 0.7, 75.0)


@pytest.fixture(scope="module")
def table():
    sums = frame(TRUE, 16, np.random.default_rng(0), own=0.3, rare_true=SMOOTH)
    return STABILITY.estimate(sums, np.random.default_rng(1))


def test_rows_and_columns(table):
    assert table.columns == [*STABILITY.keys, "estimate", "low", "high", "n", *STABILITY.columns]
    assert table.height == 3 * 150
    assert table.equals(table.sort(STABILITY.keys))
    assert table["estimate"].is_between(0, 1).all()
    assert (
        table.select((pl.col("low") <= pl.col("estimate")) & (pl.col("estimate") <= pl.col("high"))).to_series().all()
    )
    plateau = table.filter(pl.col("regime") == "plateau")
    assert (plateau["rank"] <= plateau["n_plateau"]).all()
    assert plateau.group_by("token_class").agg(pl.len() == pl.col("n_plateau").first())["len"].all()
    assert table.filter("is_core").select((pl.col("regime") == "plateau").all()).item()


def test_the_planted_set_is_the_core_of_common_tokens(table):
    planted_neurons = set(np.flatnonzero(np.isin(np.random.default_rng(0).permutation(150), np.arange(12))).tolist())
    core = set(table.filter("is_core", pl.col("token_class") == "common")["neuron"].to_list())
    assert len(core & planted_neurons) >= 11
    assert len(core - planted_neurons) <= 1
    words = STABILITY.answer(table)
    assert "common tokens: a stable plateau set is **supported**" in words
    assert "(16 documents" in words


def test_noise_has_no_stable_set():
    sums = frame(np.ones(120), 12, np.random.default_rng(2))
    table = STABILITY.estimate(sums, np.random.default_rng(3))
    assert (table["verdict"] != "supported").all()
    assert table["is_core"].sum() <= 15
    assert (table["q"] >= 0.02).all()


def test_few_documents_and_an_absent_class():
    sums = frame(TRUE, 4, np.random.default_rng(4)).filter(pl.col("token_class") == "common")
    table = STABILITY.estimate(sums, np.random.default_rng(0))
    assert table["regime"].is_null().all()
    assert table["is_core"].is_null().all()
    assert table.select("estimate", "low", "high", "jaccard", "p", "q").to_numpy().size == 6 * 450
    assert np.isnan(table.select("estimate", "low", "high", "jaccard", "p", "q").to_numpy()).all()
    assert (table["verdict"] == "undecidable").all()
    common, rare = (table.filter(pl.col("token_class") == name) for name in ("common", "rare"))
    assert common["reason"].str.contains("only 4 documents").all()
    assert common["influence"].is_not_nan().all()
    assert rare["rank"].is_null().all()
    assert "no position of this class" in STABILITY.answer(table)
    assert STABILITY.excerpt(table).height == 2 * 6  # six neurons of each class
    draw("membership", {"plateau_stability": table}, {})


def test_no_rows_no_answer(table):
    empty = STABILITY.estimate(frame(TRUE, 5, np.random.default_rng(0)).head(0), np.random.default_rng(0))
    assert empty.schema == table.schema
    assert STABILITY.answer(empty) == ""
    assert STABILITY.excerpt(empty).is_empty()


def test_the_chart_draws_every_leading_neuron(table):
    figure = draw("membership", {"plateau_stability": table}, {})
    panels = [axes for cell in figure.subfigs for axes in cell.axes] if figure.subfigs else figure.axes
    assert [axes.get_title().split(":")[0] for axes in panels] == ["common tokens", "rare tokens"]
    size = table.filter(pl.col("token_class") == "common")["n_plateau"][0]
    drawn = sum(len(line.get_xdata()) for line in panels[0].get_lines() if line.get_marker() == "o")
    assert drawn == max(20, 2 * size)


def test_same_seed_same_table(table):
    sums = frame(TRUE, 16, np.random.default_rng(0), own=0.3, rare_true=SMOOTH)
    assert STABILITY.estimate(sums, np.random.default_rng(1)).equals(table)
