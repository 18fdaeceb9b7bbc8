"""Reliability on simulated sums: high where neurons differ, none in noise, reasons where documents are too few."""

import numpy as np
import polars as pl

from queries import load
from tests.queries.simulated import LAWS, frame

RELIABILITY = load("ranking_reliability")


def rows(table, token_class):
    return {row["measure"]: row for row in table.filter(pl.col("token_class") == token_class).iter_rows(named=True)}


def test_a_strong_ranking():
    rng = np.random.default_rng(0)
    table = RELIABILITY.estimate(frame(LAWS["lognormal"](250, rng), 24, rng), rng)
    assert table.columns == [*RELIABILITY.keys, "estimate", "low", "high", "n", *RELIABILITY.columns]
    assert table.equals(table.sort(RELIABILITY.keys))
    assert ((table["low"] <= table["estimate"]) & (table["estimate"] <= table["high"])).all()
    everything = rows(table, "all")
    assert set(everything) == {"spearman", "top_10", "top_30", "top_100"}
    assert everything["spearman"]["estimate"] > 0.95
    assert everything["spearman"]["estimate"] > everything["spearman"]["half"]
    assert everything["top_30"]["estimate"] == everything["top_30"]["half"]
    assert everything["spearman"]["p"] < 0.01
    assert "the ranking is reliable" in RELIABILITY.answer(table)


def test_noise_is_not_reliable():
    rng = np.random.default_rng(1)
    table = RELIABILITY.estimate(frame(LAWS["noise"](250, rng), 24, rng), rng)
    spearman = rows(table, "all")["spearman"]
    assert spearman["low"] < 0.2
    assert spearman["p"] > 0.01
    assert "unreliable" in RELIABILITY.answer(table)


def test_too_few_documents_and_no_rows():
    rng = np.random.default_rng(2)
    sums = frame(np.ones(30), 4, rng)
    table = RELIABILITY.estimate(sums, rng)
    assert table["estimate"].is_nan().all()
    assert table["reason"].str.contains("at least 5 documents").all()
    assert "no answer" in RELIABILITY.answer(table)
    empty = RELIABILITY.estimate(sums.head(0), rng)
    assert empty.schema == table.schema
    assert RELIABILITY.answer(empty) == ""
