"""Dimensions of states over depth: planted ones are covered, a trend is found where there is one, nothing is not."""

import numpy as np
import polars as pl
import pytest

from queries import load

DIMENSION = load("layer_dimension")
D = 24


def frame(planted, documents=12, positions=60, seed=0):
    """States of layers that spread evenly over so many of 24 dimensions, in random directions."""
    rng = np.random.default_rng(seed)
    parts = []
    for layer, k in enumerate(planted):
        basis = np.linalg.qr(rng.standard_normal((D, D)))[0][:k]
        states = (rng.standard_normal((documents * positions, k)) @ basis).astype(np.float32)
        index = np.arange(len(states))
        columns = {"run": "r-1", "layer": layer, "token_index": index, "document": index // positions}
        parts.append(pl.DataFrame({**columns, "state": states}, schema_overrides={"state": pl.Array(pl.Float32, D)}))
    return pl.concat(parts).with_columns(pl.col("state").arr.to_list())


def of(table, measure, variant="whole"):
    return table.filter(measure=measure, variant=variant).sort("layer")


def test_planted_dimensions_are_covered_and_their_trend_is_found():
    planted = [3, 4, 6, 8, 10, 13, 16, 20, 24]
    table = DIMENSION.estimate(frame(planted), np.random.default_rng(0))
    assert table.columns == [*DIMENSION.keys, "estimate", "low", "high", "n", *DIMENSION.columns]
    found = of(table, "participation")
    np.testing.assert_allclose(found["estimate"], planted, rtol=0.06)
    assert (found["low"] < found["estimate"]).all()
    assert (found["estimate"] < found["high"]).all()
    assert set(found["n"]) == {12}
    assert set(found["n_positions"]) == {720}
    row = found.row(0, named=True)
    assert row["trend"] == 1.0
    assert row["p"] < 0.02
    assert row["q"] < 0.05
    assert of(table, "anisotropy")["trend"][0] < -0.8
    assert "participation ratio: whole" in DIMENSION.answer(table)
    assert DIMENSION.excerpt(table).height == 30


def test_intervals_cover_the_dimensions_of_endless_documents():
    """The truth is known from very many documents: a sample of 720 positions is a little below 12 dimensions."""

    def participation(seed):
        table = DIMENSION.estimate(frame([12], seed=seed), np.random.default_rng(0))
        return of(table, "participation").row(0, named=True)

    truth = np.mean([participation(seed)["estimate"] for seed in range(1000, 1040)])
    rows = [participation(seed) for seed in range(60)]
    covered = sum(row["low"] <= truth <= row["high"] for row in rows)
    assert covered >= 52


def test_no_trend_is_found_where_there_is_none():
    small = 0
    for seed in range(20):
        table = DIMENSION.estimate(frame([8] * 9, seed=seed, positions=20), np.random.default_rng(seed))
        small += of(table, "participation")["p"][0] < 0.05
    assert small <= 4


@pytest.mark.parametrize("documents", [1, 4])
def test_few_documents_have_no_interval_but_a_reason(documents):
    table = DIMENSION.estimate(frame([5] * 6, documents=documents), np.random.default_rng(0))
    assert table["low"].is_nan().all()
    assert table["reason"].str.contains("at least 5 are needed").all()
    assert table["estimate"].is_finite().all()
    assert DIMENSION.answer(table)


def test_one_layer_has_no_trend_and_no_rows_have_no_answer():
    table = DIMENSION.estimate(frame([5]), np.random.default_rng(0))
    assert table["trend"].is_nan().all()
    assert (table["reason"] == "1 layer is too few for a trend (at least 5)").all()
    assert "1 layer is too few for a trend (at least 5)" in DIMENSION.answer(table)
    assert DIMENSION.answer(table.clear()) == ""
