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
    assert coupled.height == 3 * (3 * 7 + 6)
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
