"""Heads that matter for the loss: planted ones are found on their class, the others are not."""

import numpy as np
import polars as pl
import pytest

from queries import load, run
from queries.stats.nulls import sign_flip_p
from queries.stats.paired import paired_differences
from tests.heads import write_heads
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect

LOSS = load("head_loss")


def frame(rng, *, helps=0.0, more=0.0, n_documents=30, heads=12, per_document=6):
    """Sums of each document for 3 layers; head 1 of layer 1 helps by `helps`, and by `more` on rare targets."""
    parts = []
    for token_class in ("rare", "common"):
        n = rng.integers(1, per_document + 1, n_documents)
        level = 0.01 * rng.standard_normal((n_documents, 1))  # of a text, whatever head
        for head in range(heads):
            effect = (helps + more * (token_class == "rare")) * (head == 5)
            delta = effect * n + 0.02 * np.sqrt(n) * rng.standard_normal(n_documents) + level[:, 0] * n * 0.5
            parts.append(
                pl.DataFrame(
                    {
                        "run": "r-1", "ablation": "mean", "layer": head // 4, "head": head % 4,
                        "token_class": token_class, "document": np.arange(n_documents), "n_positions": n,
                        "sum_delta": delta, "sum_abs_delta": abs(delta) + 0.01,
                    }
                )
            )  # fmt: skip
    return pl.concat(parts)


def of(table, token_class, head=5):
    return table.filter(token_class=token_class, layer=head // 4, head=head % 4).row(0, named=True)


def test_a_head_for_rare_targets_is_found_and_covered():
    rng = np.random.default_rng(0)
    table = LOSS.estimate(frame(rng, helps=0.02, more=0.05), rng)
    assert table.height == 3 * 12
    for token_class, truth in (("rare", 0.07), ("common", 0.02), ("rare_minus_common", 0.05)):
        row = of(table, token_class)
        assert row["low"] < truth < row["high"], token_class
        assert row["q"] < 0.05 or token_class == "common"
    others = table.filter(token_class="rare_minus_common").filter(pl.col("q") < 0.05)
    assert others.height == 1
    assert "1 do so more on rare than on common ones (most L1H1: 0.0" in LOSS.answer(table)
    assert LOSS.excerpt(table).height == 18


def test_without_an_effect_few_intervals_leave_zero_out():
    rng = np.random.default_rng(1)
    rows = [
        LOSS.estimate(frame(rng), rng).filter(token_class="rare_minus_common") for _ in range(8)
    ]  # 96 heads, of which 5 % may
    table = pl.concat(rows)
    outside = table.filter((pl.col("low") > 0) | (pl.col("high") < 0))
    assert outside.height <= 12
    assert (table["p"] < 0.05).mean() < 0.12


def test_few_documents_are_said_to_be_few():
    rng = np.random.default_rng(2)
    table = LOSS.estimate(frame(rng, more=0.5, n_documents=5), rng)
    assert "with 5 documents no p is below 0.062" in LOSS.answer(table)
    table = LOSS.estimate(frame(rng, n_documents=4), rng)
    assert table["low"].is_nan().all()
    assert table["reason"].str.contains("only 4 documents").all()
    assert "only 4 documents" in LOSS.answer(table)


def test_differences_are_within_documents():
    """A text that is hard for both classes must not count, whatever share of each it has."""
    rng = np.random.default_rng(3)
    n, m = rng.integers(1, 9, (2, 40)).astype(float)
    level = 5.0 * rng.standard_normal(40)
    top, bottom = ((level + 0.3) * n)[:, None], (level * m)[:, None]
    sums, weights = paired_differences(top, n, bottom, m)
    assert sums.sum() / weights.sum() == pytest.approx(0.3)
    alone = paired_differences(top, np.where(np.arange(40) == 0, n, 0), bottom, m)
    assert alone[1].nonzero()[0].tolist() == [0]
    assert sign_flip_p(sums, rng)[0] < 0.001


def test_other_classes_need_no_other_extraction(tmp_path):
    lake = make_lake(tmp_path, planted_influence(30, elbow=15), documents=12, positions=30)
    write_heads(lake, help_rare=0.1)
    con = connect(lake)
    table, other = (run(con, LOSS, parameters=each) for each in ({}, {"rare_quantile": 0.25}))
    row = of(table, "rare_minus_common")
    assert row["low"] < 0.1 < row["high"]
    assert row["q"] < 0.05
    assert of(other, "rare")["n_positions"] < of(table, "rare")["n_positions"]
    assert of(other, "common")["estimate"] > of(table, "common")["estimate"]
    cut = run(connect(lake, where="document < 6"), LOSS)
    assert of(cut, "rare")["n"] == 6


@pytest.mark.slow
def test_intervals_cover_and_the_test_keeps_its_size():
    """Of 1,200 contrasts without an effect 95 % of the intervals hold 0, and 5 % of the p are below 5 %."""
    rng = np.random.default_rng(4)
    table = pl.concat(
        LOSS.estimate(frame(rng, n_documents=24), rng).filter(token_class="rare_minus_common") for _ in range(100)
    )
    inside = table.select(((pl.col("low") <= 0) & (pl.col("high") >= 0)).mean()).item()
    assert 0.93 < inside < 0.97
    assert 0.03 < (table["p"] < 0.05).mean() < 0.07
