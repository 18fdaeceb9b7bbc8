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


def frame(rng, *, helps=0.0, more=0.0, n_documents=30, heads=12, per_document=6, losses=(2.0, 2.0)):
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
                        "sum_loss": losses[token_class == "common"] * n, "input_gap": 0.1, "position_gap": None,
                    }
                )
            )  # fmt: skip
    return pl.concat(parts)


def of(table, token_class, head=5, scale="nats"):
    return table.filter(token_class=token_class, layer=head // 4, head=head % 4, scale=scale).row(0, named=True)


def test_a_head_for_rare_targets_is_found_and_covered():
    rng = np.random.default_rng(0)
    table = LOSS.estimate(frame(rng, helps=0.02, more=0.05), rng)
    assert table.height == 2 * 3 * 12
    for token_class, truth in (("rare", 0.07), ("common", 0.02), ("rare_minus_common", 0.05)):
        row = of(table, token_class)
        assert row["low"] < truth < row["high"], token_class
        assert row["q"] < 0.05 or token_class == "common"
        other = of(table, token_class, scale="relative")
        assert other["estimate"] == pytest.approx(row["estimate"] / 2)
        assert other["low"] < truth / 2 < other["high"]
    for scale in ("nats", "relative"):
        others = table.filter(token_class="rare_minus_common", scale=scale).filter(pl.col("q") < 0.05)
        assert others.height == 1
    assert "relative to the loss of the class, 1 do so more on rare than on common ones (most L1H1: 0.0" in LOSS.answer(
        table
    )
    assert "input" not in LOSS.answer(table)
    assert "0.1 sd in ln rank of the token read" in LOSS.answer(table)
    assert LOSS.excerpt(table).height == 24


def test_a_head_that_adds_the_same_share_to_every_loss_is_no_head_for_rare_tokens():
    """Rare targets have three times the loss, and three times the change."""
    rng = np.random.default_rng(7)
    table = LOSS.estimate(frame(rng, helps=0.05, more=0.1, losses=(6.0, 2.0)), rng)
    assert of(table, "rare_minus_common")["q"] < 0.05
    relative = of(table, "rare_minus_common", scale="relative")
    assert relative["low"] < 0 < relative["high"]
    assert relative["p"] > 0.05
    assert of(table, "rare", scale="relative")["mean_loss"] == pytest.approx(6.0)


def test_the_visible_effect_is_found_as_often_as_it_says():
    """Planted in one head of 12, at the size that is said to be visible; at no effect it is seldom found."""
    found = []
    size = np.median(
        [
            of(LOSS.estimate(frame(rng, n_documents=24), rng), "rare_minus_common", scale="relative")["visible"]
            for rng in map(np.random.default_rng, range(10))
        ]
    )
    for seed in range(60):
        rng = np.random.default_rng([seed, 8])
        table = LOSS.estimate(frame(rng, more=2 * size, n_documents=24), rng)  # losses are 2
        found.append(of(table, "rare_minus_common", scale="relative")["q"] < 0.05)
    assert 0.65 < np.mean(found) < 0.95


def test_what_one_document_decides_has_no_visible_effect_and_does_not_lead():
    """In one head all of the difference is a single document's; its interval is wide, its estimate the largest."""
    rng = np.random.default_rng(9)
    rows = frame(rng, more=0.05)
    wild = (
        (pl.col("layer") == 2) & (pl.col("head") == 0) & (pl.col("document") == 7) & (pl.col("token_class") == "rare")
    )
    rows = rows.with_columns(sum_delta=pl.when(wild).then(40.0).otherwise("sum_delta"))
    table = LOSS.estimate(rows, rng)
    for scale in ("nats", "relative"):
        row = of(table, "rare_minus_common", head=8, scale=scale)
        assert np.isnan(row["visible"])
        assert "fewer than 5 documents make up the error" in row["reason"]
        assert row["low"] < 0 < row["high"] or scale == "nats"
        other = of(table, "rare_minus_common", scale=scale)
        assert other["visible"] < 0.2
        assert other["reason"] == ""
        first = LOSS.excerpt(table).filter(scale=scale, token_class="rare_minus_common").row(0, named=True)
        assert (first["layer"], first["head"]) == (1, 1)
    assert "would be found with a chance of 80 %" in LOSS.answer(table)
    assert "1 do so more on rare" in LOSS.answer(table)
    blind = LOSS.answer(table.with_columns(visible=pl.lit(float("nan"))))
    assert "cannot be told: in most heads few documents, or none, make up the error" in blind


def test_losses_that_are_not_known_leave_nats():
    rng = np.random.default_rng(8)
    table = LOSS.estimate(frame(rng, more=0.05).with_columns(sum_loss=pl.lit(None, dtype=pl.Float64)), rng)
    relative = table.filter(scale="relative")
    assert relative["estimate"].is_nan().all()
    assert (relative["reason"] == "the loss of some position is not known").all()
    assert "the loss of some position is not known; in nats 1 do so more" in LOSS.answer(table)


def test_without_an_effect_few_intervals_leave_zero_out():
    rng = np.random.default_rng(1)
    rows = [
        LOSS.estimate(frame(rng), rng).filter(token_class="rare_minus_common", scale="nats") for _ in range(8)
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
    lake = make_lake(tmp_path, planted_influence(30, elbow=15), documents=12, positions=30, losses=True)
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
    for _, of_scale in table.group_by("scale"):
        inside = of_scale.select(((pl.col("low") <= 0) & (pl.col("high") >= 0)).mean()).item()
        assert 0.93 < inside < 0.97
        assert 0.03 < (of_scale["p"] < 0.05).mean() < 0.07
