"""Moran's I by weight neighbours: planted neighbourhoods are found, none in noise, odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import load

ANALYSIS = load("influence_autocorrelation")


def frame(rng, *, strength=0.0, n=300, plateau=30, weights=True, gated=False):
    """One row per class and neuron; plateau neurons share `strength` of the variance of their direction."""
    direction = rng.standard_normal((n, 40))
    direction[:plateau] = np.sqrt(1 - strength) * direction[:plateau] + np.sqrt(strength) * rng.standard_normal(40)
    one = pl.DataFrame(
        {
            "run": ["r-1"] * n,
            "neuron": np.arange(n),
            "influence": rng.lognormal(size=n),
            "is_plateau": np.arange(n) < plateau,
            "is_gated": [gated] * n,
            "weight": direction.astype(np.float32).tolist() if weights else [None] * n,
        },
        schema_overrides={"weight": pl.List(pl.Float32)},
    )
    return pl.concat([one.with_columns(token_class=pl.lit(name)) for name in ("common", "rare")])


def rows(table, measure):
    return table.filter(pl.col("measure") == measure)


def test_planted_neighbours_are_found():
    table = ANALYSIS.estimate(frame(np.random.default_rng(0), strength=0.6), np.random.default_rng(1))
    assert table.columns == [*ANALYSIS.keys, "estimate", "low", "high", "n", *ANALYSIS.columns]
    member = rows(table, "membership")
    assert member["verdict"].to_list() == ["contradicted"] * 2
    assert (member["estimate"] > 0.7).all()
    assert (member["p"] == 1 / 2000).all()
    assert (member["low"] <= member["estimate"]).all()
    assert (rows(table, "influence")["q"] > 0.05).all()
    assert rows(table, "influence")["verdict"].is_null().all()
    assert "**contradicted**" in ANALYSIS.answer(table)


def test_the_trend_expects_neighbours_where_influence_is_alike_among_them():
    rng = np.random.default_rng(9)
    data = frame(rng, n=400, plateau=20)
    weight = np.array(data["weight"].to_list())
    influence = np.exp(weight[:, 0] + 0.3 * np.tile(rng.standard_normal(400), 2))
    core = influence >= np.sort(influence)[-40]
    data = data.with_columns(influence=pl.Series(influence), is_plateau=pl.Series(core))
    table = ANALYSIS.estimate(data, np.random.default_rng(10))
    member = rows(table, "membership")
    assert (member["p_null"] < 0.01).all()
    assert (member["trend_mean"] > member["null_mean"] + 0.01).all()
    assert member["p"].to_list() == np.fmax(member["p_null"], member["p_trend"]).to_list()
    assert "by the trend over the ranking" in ANALYSIS.answer(table)


def test_signs_of_a_gated_run_change_nothing():
    data = frame(np.random.default_rng(6), strength=0.4, gated=True)
    sign = np.tile(np.random.default_rng(7).choice([-1.0, 1.0], 300), 2)
    weight = np.array(data["weight"].to_list()) * sign[:, None]
    other = data.with_columns(pl.Series("weight", weight.tolist(), dtype=pl.List(pl.Float32)))
    table, turned = (ANALYSIS.estimate(each, np.random.default_rng(8)) for each in (data, other))
    assert turned.equals(table, null_equal=True)
    assert rows(table, "membership")["verdict"].to_list() == ["contradicted"] * 2
    # where signs mean something, opposite directions are far from each other
    signed = ANALYSIS.estimate(other.with_columns(is_gated=pl.lit(False)), np.random.default_rng(8))
    assert (rows(signed, "membership")["estimate"] < rows(table, "membership")["estimate"]).all()


def test_noise_has_no_neighbourhoods():
    table = ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3))
    member = rows(table, "membership")
    assert member["verdict"].to_list() == ["supported"] * 2
    assert (member["power"] > 0.8).all()
    assert table["null_mean"].to_list() == pytest.approx([-1 / 299] * 4, abs=0.002)
    assert ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3)).equals(table, null_equal=True)


def test_influence_alike_among_neighbours_is_seen():
    rng = np.random.default_rng(4)
    data = frame(rng)
    first = np.array(data["weight"].to_list())[:, 0]
    data = data.with_columns(influence=pl.Series(np.exp(3 * first)))
    table = ANALYSIS.estimate(data, rng)
    assert (rows(table, "influence")["q"] < 0.05).all()


def test_no_weights_few_members_ties_and_no_rows():
    rng = np.random.default_rng(5)
    bare = ANALYSIS.estimate(frame(rng, weights=False), rng)
    assert bare["estimate"].is_nan().all()
    assert (bare["reason"] == "this run has no output weights").all()
    few = ANALYSIS.estimate(frame(rng, plateau=3).with_columns(influence=pl.lit(1.0)), rng)
    assert rows(few, "membership")["reason"].str.contains("only 3 neurons").all()
    assert rows(few, "influence")["reason"].str.contains("same for all neurons").all()
    short = ANALYSIS.estimate(frame(rng, n=150, plateau=20), rng)
    assert short["p_trend"].is_nan().all()
    assert rows(short, "membership")["p"].is_finite().all()
    assert "too few neurons for a trend over the ranking" in ANALYSIS.answer(short)
    tiny = ANALYSIS.estimate(frame(rng, n=8, plateau=6), rng)
    assert tiny["reason"].str.contains("more than 10 are needed").all()
    absent = ANALYSIS.estimate(frame(rng).with_columns(influence=pl.lit(float("nan"))), rng)
    assert rows(absent, "influence")["reason"].str.contains("no influence on this class").all()
    empty = ANALYSIS.estimate(frame(rng).head(0), rng)
    assert empty.schema == bare.schema
    assert ANALYSIS.answer(empty) == ""
    assert ANALYSIS.excerpt(empty).height == 0
