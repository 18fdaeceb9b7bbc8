"""Dimensions of groups on simulated activations: a planted low rank is found, noise is not, gaps are named."""

import numpy as np
import polars as pl
import pytest

from queries import load
from tests.queries.activations import activation_frame

ANALYSIS = load("effective_dimension")


def run(seed=0, **options):
    return ANALYSIS.estimate(activation_frame(np.random.default_rng(seed), **options), np.random.default_rng(seed + 1))


def plateau(table, token_class="rare", measure="d95"):
    keys = {"token_class": token_class, "group": "plateau", "measure": measure}
    (row,) = table.filter(*(pl.col(name) == value for name, value in keys.items())).iter_rows(named=True)
    return row


@pytest.fixture(scope="module")
def planted():
    return run(rank=4, n_neurons=240)


def test_rows_and_columns(planted):
    assert planted.columns == [*ANALYSIS.keys, "estimate", "low", "high", "n", *ANALYSIS.columns]
    assert planted.height == 3 * 3 * 3
    assert planted.equals(planted.sort(ANALYSIS.keys))
    assert (
        planted.select((pl.col("low") <= pl.col("estimate")) & (pl.col("estimate") <= pl.col("high"))).to_series().all()
    )
    assert planted["n_neurons"].unique().to_list() == [20]
    assert planted["n_positions"].unique().to_list() == [120]


def test_a_planted_low_rank_is_found_in_the_plateau_only(planted):
    for token_class in ("rare", "common"):
        row = plateau(planted, token_class)
        assert row["verdict"] == "supported"
        assert row["q"] < 0.05
    others = planted.filter(pl.col("group") != "plateau")
    assert others["p"].min() > 0.01
    contrast = plateau(planted, "rare_minus_common", "participation")
    assert contrast["low"] < 0 < contrast["high"]
    assert "**supported**" in ANALYSIS.answer(planted)


def test_independent_neurons_are_contradicted():
    row = plateau(run(3, positions=40))
    assert row["verdict"] == "contradicted"
    assert row["p"] > 0.05


def test_what_all_neurons_share_is_no_property_of_the_plateau():
    row = plateau(run(4, document_sd=1.0))
    assert row["verdict"] != "supported"


def test_a_smooth_dependence_on_influence_is_no_property_of_the_plateau():
    """Random groups from the plateau's stratum span more, since it leads; it is on the line of the trend."""
    row = plateau(run(11, n_neurons=400, n_plateau=16, smooth=0.5), measure="participation")
    assert max(row[f"p_{name}"] for name in ("any", "activation", "influence")) < 0.02
    assert row["null_trend_low"] < row["estimate"] < row["null_trend_high"]
    assert row["p"] == row["p_trend"]


def test_a_low_rank_beyond_the_trend_is_found(planted):
    row = plateau(planted)
    assert row["p_trend"] < 0.01
    assert row["p_any"] == pytest.approx(1 / 1001)
    assert "trend over the ranking" in ANALYSIS.answer(planted)


def test_fewer_positions_than_neurons():
    table = run(5, n_plateau=60, positions=8, n_documents=10)
    row = plateau(table)
    assert row["n_positions"] == 40
    assert row["estimate"] <= 39 / 60
    assert row["null_any_high"] <= 39 / 60


def test_too_few_documents_a_missing_class_and_no_core():
    few = plateau(run(6, n_documents=4, positions=40))
    assert np.isfinite(few["estimate"])
    assert np.isnan(few["low"])
    assert "only 4 documents" in few["reason"]
    assert few["verdict"] == "undecidable"
    frame = activation_frame(np.random.default_rng(7))
    rare = ANALYSIS.estimate(frame.filter(pl.col("token_class") == "rare"), np.random.default_rng(0))
    assert plateau(rare, "common")["verdict"] == "undecidable"
    assert "no positions of the class" in plateau(rare, "rare_minus_common")["reason"]
    assert np.isfinite(plateau(rare)["estimate"])
    assert "no answer" in ANALYSIS.answer(rare)
    nobody = frame.with_columns(is_core=pl.lit([False] * 200))
    table = ANALYSIS.estimate(nobody, np.random.default_rng(0))
    assert table["estimate"].is_nan().all()
    assert table["reason"].str.contains("stable core").all()
    missing = frame.with_columns(is_core=pl.lit([None] * 200, dtype=pl.List(pl.Boolean)))
    assert ANALYSIS.estimate(missing, np.random.default_rng(0))["estimate"].is_nan().all()


def test_constant_neurons_are_left_out():
    frame = activation_frame(np.random.default_rng(8), n_neurons=60, n_plateau=10)
    values = frame["activation"].to_numpy().copy()
    values[:, 2] = 0.0
    table = ANALYSIS.estimate(frame.with_columns(activation=pl.Series(values)), np.random.default_rng(0))
    assert table["n_neurons"].unique().to_list() == [9]
    assert table["estimate"].is_not_nan().all()


def test_no_rows_no_answer(planted):
    empty = ANALYSIS.estimate(activation_frame(np.random.default_rng(0)).head(0), np.random.default_rng(0))
    assert empty.schema == planted.schema
    assert ANALYSIS.answer(empty) == ""
    assert ANALYSIS.excerpt(empty).height == 0
