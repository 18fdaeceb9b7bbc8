"""Rare minus common, position by position: a planted difference is found, labels without meaning are not."""

import numpy as np
import polars as pl
import pytest

from queries import load, plateau_contrast
from queries.stats.three_regimes import QUANTITIES
from tests.queries.simulated import planted

CONTRAST = load("plateau_contrast")
FLAT, HIGH = planted(200, plateau=1, excess=0.0, elbow=80.0), planted(200, plateau=10, excess=1.5, elbow=80.0)


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr(plateau_contrast, "N_REPLICATES", 300)
    monkeypatch.setattr(plateau_contrast, "N_PERMUTATIONS", 199)


def positions(rare, common, rng, *, documents=30, each=40, rare_share=0.2):
    """One row per position: signed deltas whose sizes have the means `rare` or `common` (N,)."""
    document = np.repeat(np.arange(documents), each)
    is_rare = rng.random(len(document)) < rare_share
    factor = np.exp(0.3 * rng.standard_normal(documents))[document][:, None]
    token = np.exp(0.5 * rng.standard_normal((len(document), 1)))
    true = np.where(is_rare[:, None], rare, common) * factor * token
    delta = true * rng.lognormal(-0.5, 1.0, true.shape) * np.where(rng.random(true.shape) < 0.7, 1, -1)
    delta *= np.where(np.arange(len(rare)) % 2, 1, -1)
    return pl.DataFrame(
        {
            "run": "r-1", "token_index": np.arange(len(document)), "document": document,
            "token_class": np.where(is_rare, "rare", "common"), "delta_loss": delta.astype(np.float32),
        }
    )  # fmt: skip


def row(table, quantity="plateau_excess", sign_group="all"):
    return table.filter((pl.col("quantity") == quantity) & (pl.col("sign_group") == sign_group)).row(0, named=True)


def test_a_plateau_that_only_rare_tokens_have_is_supported():
    rng = np.random.default_rng(0)
    table = CONTRAST.estimate(positions(HIGH, FLAT, rng), rng)
    assert table.columns == [*CONTRAST.keys, "estimate", "low", "high", "n", *CONTRAST.columns]
    assert table.height == 3 * len(QUANTITIES)
    assert table.equals(table.sort(CONTRAST.keys))
    found = row(table)
    assert found["verdict"] == "supported"
    assert found["p"] == pytest.approx(2 / 200)
    assert found["low"] > 0 > found["null_low"]
    assert (found["n"], found["n_rare"] + found["n_common"]) == (30, 1200)
    assert "**supported**" in CONTRAST.answer(table)
    assert CONTRAST.excerpt(table).height == 12


def test_noise_makes_curves_differ_and_the_null_knows_it():
    """Same influences, few noisy positions in one class: its curve is steeper, and so it is under permuted labels."""
    rng = np.random.default_rng(1)
    table = CONTRAST.estimate(positions(FLAT, FLAT, rng, each=20, rare_share=0.03), rng)
    kappa = row(table, "kappa")
    assert kappa["null_mean"] > 0.05
    assert kappa["null_low"] <= kappa["segmented"] <= kappa["null_high"]
    assert row(table)["verdict"] != "supported"


def test_labels_without_meaning_are_seldom_supported():
    supported, rejected = 0, 0
    for draw in range(20):
        rng = np.random.default_rng([draw, 2])
        table = CONTRAST.estimate(positions(HIGH, HIGH, rng, documents=14, each=40), rng)
        supported += row(table)["verdict"] == "supported"
        rejected += row(table)["p"] < 0.05
    assert supported <= 2
    assert rejected <= 4


def test_few_documents_and_absent_classes_have_reasons():
    rng = np.random.default_rng(3)
    few = CONTRAST.estimate(positions(HIGH, FLAT, rng, documents=8), rng)
    assert row(few)["verdict"] == "undecidable"
    assert "8 documents" in row(few)["reason"]
    none = CONTRAST.estimate(positions(HIGH, FLAT, rng, documents=8, rare_share=0.0), rng)
    assert none["reason"].str.contains("rare: no position").all()
    assert none["low"].is_nan().all()
    assert "no position" in CONTRAST.answer(none)
    assert CONTRAST.answer(none.head(0)) == ""
    small = CONTRAST.estimate(positions(HIGH[:30], FLAT[:30], rng), rng)
    assert small["reason"].str.contains("at least 50 are needed").all()
