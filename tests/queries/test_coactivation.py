"""Coactivation on simulated activations: planted coupling and opposition are found, noise is not, gaps are named."""

import numpy as np
import polars as pl
import pytest

from queries import load
from tests.queries.activations import activation_frame

ANALYSIS = load("coactivation")


def run(seed=0, **options):
    return ANALYSIS.estimate(activation_frame(np.random.default_rng(seed), **options), np.random.default_rng(seed + 1))


def one(table, group, measure, token_class="rare"):
    keys = {"token_class": token_class, "group": group, "measure": measure}
    (row,) = table.filter(*(pl.col(name) == value for name, value in keys.items())).iter_rows(named=True)
    return row


@pytest.fixture(scope="module")
def coupled():
    return run(coupling=0.3)


def test_rows_and_columns(coupled):
    assert coupled.columns == [*ANALYSIS.keys, "estimate", "low", "high", "n", *ANALYSIS.columns]
    assert coupled.height == 3 * (3 * 7 + 6 + 2 * 7)
    assert coupled.equals(coupled.sort(ANALYSIS.keys))
    assert (
        coupled.select((pl.col("low") <= pl.col("estimate")) & (pl.col("estimate") <= pl.col("high"))).to_series().all()
    )


def test_planted_coupling_is_found_and_covered(coupled):
    for token_class in ("rare", "common"):
        row = one(coupled, "plateau", "mean_abs_r", token_class)
        assert row["verdict"] == "supported"
        mean = one(coupled, "plateau", "mean_r", token_class)
        assert mean["low"] < 0.3 < mean["high"]
        assert one(coupled, "plateau_x_rest", "mean_r", token_class)["verdict"] != "supported"
        assert one(coupled, "decay", "mean_abs_r", token_class)["p"] > 0.01
    assert "coupled is **supported**" in ANALYSIS.answer(coupled)


def test_planted_opposition_is_found():
    table = run(2, against=0.2)
    row = one(table, "plateau_x_rest", "mean_r")
    assert row["verdict"] == "supported"
    assert row["low"] < -0.2 < row["high"]
    assert one(table, "plateau_x_rest", "share_negative")["estimate"] > 0.6


def test_noise_is_at_its_floor():
    table = run(3)
    row = one(table, "plateau", "mean_abs_r")
    assert row["verdict"] == "contradicted"
    assert row["noise"] == pytest.approx(np.sqrt(2 / (np.pi * 120)), rel=0.02)
    for null in ("any", "activation", "influence", "shift"):
        assert row[f"null_{null}_mean"] == pytest.approx(row["noise"], abs=0.005)


def test_what_documents_do_is_no_coupling():
    """Documents move every neuron: all groups correlate, turned neurons as much."""
    row = one(run(4, document_sd=1.0), "plateau", "mean_abs_r")
    assert row["estimate"] > 1.5 * row["noise"]
    assert row["null_shift_low"] < row["estimate"] < row["null_shift_high"]
    assert row["verdict"] != "supported"


def test_pairs_with_the_other_regimes(coupled):
    for name in ("power_law", "decay"):
        row = one(coupled, f"plateau_x_{name}", "median_r")
        assert row["low"] < 0 < row["high"]
    opposed = one(run(2, against=0.2), "plateau_x_power_law", "median_r")
    assert opposed["low"] < -0.2 < opposed["high"]


def test_a_regime_too_small_to_pair_with_says_so():
    regime = ["plateau"] * 20 + ["power_law"] * 5 + ["decay"] * 175
    frame = activation_frame(np.random.default_rng(0)).with_columns(regime=pl.lit(regime))
    table = ANALYSIS.estimate(frame, np.random.default_rng(1))
    row = one(table, "plateau_x_power_law", "mean_r")
    assert (np.isnan(row["estimate"]), "fewer than the 20" in row["reason"]) == (True, True)
    assert np.isfinite(one(table, "plateau_x_decay", "mean_r")["estimate"])
    assert "power law neurons nan" not in ANALYSIS.answer(table)


def test_a_smooth_dependence_on_influence_is_no_coupling_of_the_plateau(monkeypatch):
    """Random groups from the plateau's stratum correlate less, since it leads; it is on the line of the trend."""
    monkeypatch.setattr("queries.stats.coordination.FIRST_DRAWS", 1000)  # the trend settles it: all, to see small p
    row = one(run(11, n_neurons=400, n_plateau=16, smooth=0.5), "plateau", "mean_abs_r")
    assert max(row[f"p_{name}"] for name in ("any", "activation", "influence", "shift")) < 0.01
    assert row["null_trend_low"] < row["estimate"] < row["null_trend_high"]
    assert (row["p"], row["verdict"] == "supported") == (row["p_trend"], False)
    assert "not higher than the trend over the ranking" in row["reason"]


def test_coupling_beyond_the_trend_is_found():
    row = one(run(12, n_neurons=400, n_plateau=16, smooth=0.3, coupling=0.5), "plateau", "mean_abs_r")
    assert (row["verdict"], row["p_trend"] < 0.01) == ("supported", True)


def test_without_windows_there_is_no_trend_and_that_is_said():
    table = run(0, n_neurons=100, coupling=0.3)
    row = one(table, "plateau", "mean_abs_r")
    assert np.isnan([row["null_trend_mean"], row["p_trend"]]).all()
    assert row["p"] == max(row[f"p_{name}"] for name in ("any", "activation", "influence"))
    assert "no trend over the ranking could be made" in row["reason"]
    assert "trend nan" not in ANALYSIS.answer(table)


def test_signs_mean_nothing_in_a_gated_mlp():
    table = run(2, against=0.2, is_gated=True)
    row = one(table, "plateau_x_rest", "mean_r")
    assert (row["verdict"], "gated" in row["reason"]) == ("undecidable", True)
    assert "gated" not in one(table, "plateau", "mean_abs_r")["reason"]
    assert one(table, "plateau", "share_positive")["reason"] == row["reason"]
    assert one(table, "plateau", "share_strong")["reason"] == ""
    text = ANALYSIS.answer(table)
    assert "against the rest is **undecidable**: the MLP is gated" in text
    assert "Mean r with the rest" not in text
    shown = ANALYSIS.excerpt(table).filter(pl.col("reason").is_not_null())
    assert shown["measure"].unique().sort().to_list() == ["mean_r", "median_r", "share_negative", "share_positive"]
    (claim,) = (each for each in ANALYSIS.claims if "against" in each.statement)
    assert claim.findings(table)["verdict"].to_list() == ["undecidable"]
    assert "gated" in claim.findings(table)["reason"][0]


def test_tests_of_a_claim_are_one_sided_and_corrected_among_themselves(coupled):
    rows = [one(coupled, "plateau", "mean_abs_r", token_class) for token_class in ("rare", "common")]
    assert rows[0]["p_any"] == pytest.approx(1 / 1001)
    assert max(row["q"] for row in rows) == max(row["p"] for row in rows)


def test_too_few_documents_a_missing_class_and_no_core():
    few = one(run(5, n_documents=4, positions=40), "plateau", "mean_abs_r")
    assert (few["verdict"], np.isnan(few["low"])) == ("undecidable", True)
    assert "only 4 documents" in few["reason"]
    frame = activation_frame(np.random.default_rng(6))
    common = ANALYSIS.estimate(frame.filter(pl.col("token_class") == "common"), np.random.default_rng(0))
    assert "no positions of the class" in one(common, "plateau", "mean_abs_r")["reason"]
    assert np.isfinite(one(common, "plateau", "mean_abs_r", "common")["estimate"])
    nobody = ANALYSIS.estimate(frame.with_columns(is_core=pl.lit([False] * 200)), np.random.default_rng(0))
    assert nobody["estimate"].is_nan().all()
    assert nobody["reason"].str.contains("stable core").all()
    assert "stable core" in ANALYSIS.answer(nobody)


def test_no_rows_no_answer(coupled):
    empty = ANALYSIS.estimate(activation_frame(np.random.default_rng(0)).head(0), np.random.default_rng(0))
    assert empty.schema == coupled.schema
    assert ANALYSIS.answer(empty) == ""
