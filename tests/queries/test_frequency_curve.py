"""Influence by frequency band: a planted trend is found, what moves all neurons alike is none, odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import Session, load
from reports.charts import draw
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect
from warehouse.errors import RtError

CURVE = load("frequency_curve")


def sums(n_documents, rng, trend=0.0, n_plateau=20, documents_of_last=None):
    """Rows of the SQL: influence rises by 0.1 a band for all, by `trend` more for the plateau; bands thin out."""
    rows = []
    for d in range(n_documents):
        document = np.exp(0.3 * rng.standard_normal())
        for band in range(1, 11):
            count = rng.poisson(40 / band) + 1
            if band == 10 and documents_of_last is not None and d >= documents_of_last:
                continue
            hard = np.exp(0.6 * rng.standard_normal(count))
            for group, n, level, slope in (("plateau", n_plateau, 0.05, 0.1 + trend), ("rest", 100, 0.005, 0.1)):
                own = np.exp(0.3 * rng.standard_normal(count))
                total = n * level * document * np.exp(slope * band) * (hard * own).sum()
                rows.append(("r-1", group, band, d, n, count, total))
    names = ("run", "neuron_group", "band", "document", "n_neurons", "n_positions", "sum_abs_delta")
    return pl.DataFrame(rows, schema=names, orient="row").filter(pl.col("n_neurons") > 0)


@pytest.fixture(scope="module")
def table():
    return CURVE.estimate(sums(25, np.random.default_rng(0), trend=0.15), np.random.default_rng(0))


def test_rows_and_columns(table):
    assert table.columns == [*CURVE.keys, "estimate", "low", "high", "n", *CURVE.columns]
    assert table.height == 30
    assert table.equals(table.sort(CURVE.keys))
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()


def test_the_planted_trend_is_found_and_covered(table):
    assert table["trend_low"][0] <= 0.15 <= table["trend_high"][0]
    assert (table["verdict"] == "supported").all()
    plateau, rest, over = (
        table.filter(pl.col("curve") == name)["estimate"].to_numpy()
        for name in ("plateau", "rest", "plateau_over_rest")
    )
    np.testing.assert_allclose(over, np.log(plateau / rest))
    truth = np.log(10) + 0.15 * np.arange(1, 11)
    rows = table.filter(pl.col("curve") == "plateau_over_rest")
    assert ((rows["low"].to_numpy() <= truth) & (truth <= rows["high"].to_numpy())).sum() >= 8
    assert "**supported**" in CURVE.answer(table)


def test_what_moves_all_neurons_alike_is_no_trend():
    found = [CURVE.estimate(sums(10, np.random.default_rng(seed)), np.random.default_rng(0)) for seed in range(40)]
    assert np.mean([table["p"][0] < 0.05 for table in found]) <= 0.1
    plenty = CURVE.estimate(sums(60, np.random.default_rng(1)), np.random.default_rng(0))
    assert "**contradicted**" in CURVE.answer(plenty)


def test_thin_bands_and_a_missing_plateau():
    thin = CURVE.estimate(sums(12, np.random.default_rng(2), documents_of_last=3), np.random.default_rng(0))
    last = thin.filter(pl.col("band") == 10)
    assert last["low"].is_nan().all()
    assert last["reason"].str.contains("only 3 documents").all()
    assert thin["trend"].is_not_nan().all()
    none = CURVE.estimate(sums(12, np.random.default_rng(3), n_plateau=0), np.random.default_rng(0))
    assert none.filter(pl.col("curve") == "rest")["low"].is_not_nan().all()
    assert none["trend"].is_nan().all()
    assert (none["verdict"] == "undecidable").all()
    assert "0 neurons in the stable core" in CURVE.answer(none)
    few = CURVE.estimate(sums(4, np.random.default_rng(4)), np.random.default_rng(0))
    assert few["low"].is_nan().all()
    assert "only 4 documents" in CURVE.answer(few)
    draw("band_curve", {"frequency_curve": none}, {})


def test_no_rows_no_answer(table):
    empty = CURVE.estimate(sums(5, np.random.default_rng(0)).head(0), np.random.default_rng(0))
    assert empty.schema == table.schema
    assert CURVE.answer(empty) == ""


def test_the_sql_counts_every_position_once_and_says_what_is_allowed(tmp_path):
    lake = make_lake(tmp_path, planted_influence(60, n_plateau=8, elbow=30), documents=6, positions=15)
    con = connect(lake)
    table = Session(con).table(CURVE)
    for curve in ("plateau", "rest"):
        assert table.filter(pl.col("curve") == curve)["n_positions"].sum() == 90
    assert table.filter(pl.col("curve") != "plateau_over_rest").unique("curve")["n_neurons"].sum() == 60
    influence = Session(con).table(load("influence")).filter(pl.col("token_class") == "all")
    known = table.filter(pl.col("curve") != "plateau_over_rest", pl.col("n_positions") > 0)
    whole = known.select((pl.col("estimate") * pl.col("n_positions") * pl.col("n_neurons")).sum()).item()
    assert whole == pytest.approx(influence["estimate"].sum() * 90)
    with pytest.raises(RtError):
        Session(con, parameters={"rare_by": "loss"}).table(CURVE)


def test_a_gain_that_is_surely_small_is_supported_and_said_to_be_small(table):
    small = CURVE.estimate(sums(40, np.random.default_rng(1), trend=0.04), np.random.default_rng(0))
    assert 0 < small["trend_low"][0] < small["trend_high"][0] < np.log(2) / 9
    assert (small["verdict"] == "supported").all()
    assert "), less than a doubling from band 1 to band 10. The" in CURVE.answer(small)
    assert "less than a doubling" not in CURVE.answer(table)
