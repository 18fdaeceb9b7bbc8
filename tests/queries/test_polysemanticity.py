"""Cleaner with depth: planted trends are found by every measure, flat ones are not, loose counts tell no trend."""

import numpy as np
import polars as pl
import pytest

from queries import load, run
from queries.polysemanticity import CLEANER
from tests.lake import make_lake, planted_influence
from tests.layers import add_layers
from warehouse.connection import connect, frame

POLYSEMANTICITY = load("polysemanticity")


def lake_of(folder, **options):
    lake = make_lake(folder, planted_influence(6, elbow=3), documents=20, positions=28, losses=True)
    add_layers(lake, **options)
    return lake


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return lake_of(tmp_path_factory.mktemp("planted"), n_layers=9)


@pytest.fixture(scope="module")
def rows(planted):
    con = connect(planted)
    con.register("decodability", run(con, load("decodability")).to_arrow())
    return frame(con, POLYSEMANTICITY.sql)


@pytest.fixture(scope="module")
def table(rows):
    return POLYSEMANTICITY.estimate(rows, np.random.default_rng(0))


@pytest.mark.parametrize("measure", CLEANER)
def test_a_planted_trend_is_found(table, measure):
    assert table.columns == [*POLYSEMANTICITY.keys, "estimate", "low", "high", "n", *POLYSEMANTICITY.columns]
    row = table.filter(measure=measure).row(0, named=True)
    assert row["q"] < 0.05 or measure == "merged_types"
    assert CLEANER[measure] * row["trend"] > 0.8
    assert f"`{measure}`, which" in POLYSEMANTICITY.answer(table)


@pytest.mark.parametrize("measure", CLEANER)
def test_every_measure_has_an_interval_over_documents(table, measure):
    rows = table.filter(measure=measure)
    known = rows.filter(pl.col("low").is_finite())
    assert known.height >= 4  # where all neurons have one cluster, no document changes it
    assert (known["low"] <= known["estimate"]).all()
    assert (known["estimate"] <= known["high"]).all()
    assert (known["high"] > known["low"]).all()
    assert known.filter(pl.col("neuron_low") != pl.col("low")).height == known.height
    assert (CLEANER[measure] * rows["trend_low"] > 0).all()


def test_neurons_and_probes_together_say_whether_layers_disentangle(table):
    first = POLYSEMANTICITY.answer(table).splitlines()[0]
    assert "do layers disentangle? Single neurons get cleaner with depth by `kurtosis`" in first
    assert "less clean by nothing" in first
    said = POLYSEMANTICITY.answer(
        table.with_columns(probes_better=pl.lit(""), probes_worse=pl.lit("token, word_class"))
    )
    assert "linear probes read nothing better with depth and `token`, `word_class` worse" in said
    bare = table.with_columns(probes_better=pl.lit(""), probes_worse=pl.lit(""), q=pl.lit(0.2))
    words = "cleaner with depth by nothing and less clean by nothing; linear probes read nothing better with depth"
    assert words in POLYSEMANTICITY.answer(bare)
    unread = POLYSEMANTICITY.answer(table.with_columns(probes_better=None, probes_worse=None))
    assert "what linear probes read has no trend that can be told" in unread


def test_only_labels_whose_trend_no_walk_explains_are_better_or_worse(planted):
    con = connect(planted)
    made = run(con, load("decodability"))
    ends = {"token": (0.5, 0.9, 0.01), "position": (-0.9, -0.1, 0.01), "word_class": (0.5, 0.9, 0.2)}
    facts = pl.DataFrame([(task, *each) for task, each in ends.items()], ["task", "low", "high", "q"], orient="row")
    table = made.drop("low", "high", "q", "trend_low", "trend_high").join(facts, on="task")
    # a trend whose interval is not known is none: NaN is above every number in DuckDB
    nan = float("nan")
    unknown = table.filter(task="token").with_columns(task=pl.lit("previous_token"), low=nan, high=nan)
    table = pl.concat([table, unknown])
    con.register("decodability", table.with_columns(trend_low="low", trend_high="high").to_arrow())
    found = frame(con, POLYSEMANTICITY.sql).select("probes_better", "probes_worse").unique()
    assert found.rows() == [("token", "position")]


def test_contexts_are_the_top_of_each_tenth_of_the_documents(table, rows):
    assert rows["n_compared"].max() == 20  # fewer where a neuron is silent in most of a tenth
    assert rows["context_parts"].list.slice(0, 10).list.n_unique().max() == 10
    assert table.filter(measure="context_entropy")["context_share"].max() == pytest.approx(20 / 560, rel=0.1)
    assert table.filter(measure="kurtosis")["context_share"].is_nan().all()
    assert (table["n_neurons"] == 30).all()


def test_the_numbers_are_those_of_the_planted_neurons(table, planted):
    con = connect(planted)
    liked = table.filter(measure="types_90")
    assert liked["estimate"][0] > 6
    assert liked["estimate"][-1] == pytest.approx(2, abs=0.3)
    assert liked["slack"].sum() == 0
    kurtosis = frame(
        con, "select ln(moment_4 / moment_2 ** 2) as k from layer_neurons where layer = 3 and moment_2 > 0"
    )
    found = table.filter(measure="kurtosis", layer=3).row(0, named=True)
    assert found["estimate"] == pytest.approx(np.exp(kurtosis["k"].mean()))
    assert found["median"] == pytest.approx(np.exp(kurtosis["k"].median()))
    assert found["low"] <= found["estimate"] <= found["high"]


def test_a_condition_on_positions_leaves_out_contexts(planted):
    few = run(connect(planted, where="position >= 6"), POLYSEMANTICITY)
    every = run(connect(planted), POLYSEMANTICITY)
    moments = [each.filter(measure="kurtosis").drop("q") for each in (few, every)]  # q is over all measures
    assert moments[0].equals(moments[1], null_equal=True)
    kinds = [each.filter(measure="clusters") for each in (few, every)]
    assert (kinds[0]["n"] <= kinds[1]["n"]).all()
    assert kinds[0]["estimate"].sum() < kinds[1]["estimate"].sum()


def test_flat_layers_are_not_supported(tmp_path):
    found = run(connect(lake_of(tmp_path, n_layers=9, flat=True)), POLYSEMANTICITY)
    assert found.filter(pl.col("q") < 0.05).is_empty()


def test_types_that_are_counted_within_wide_bounds_tell_no_trend(rows):
    loose = rows.with_columns(types_high=pl.col("types_high") + 10)
    table = POLYSEMANTICITY.estimate(loose, np.random.default_rng(0)).filter(measure="types_90")
    assert table["trend"].is_nan().all()
    assert (table["slack"] == 5).all()
    assert (table["high"] - table["low"] > 9.99).all()


def test_few_layers_silent_neurons_and_no_rows(rows):
    few = POLYSEMANTICITY.estimate(rows.filter(pl.col("layer") < 3), np.random.default_rng(0))
    assert few["trend"].is_nan().all()
    assert few["reason"].str.ends_with("3 layers are too few for a trend (at least 5)").all()
    words = POLYSEMANTICITY.answer(few)
    assert "do layers disentangle? That cannot be told: 3 layers are too few for a trend (at least 5)." in words
    assert "by nothing" not in words
    silent = rows.filter(pl.col("neuron") < 4)
    table = POLYSEMANTICITY.estimate(silent, np.random.default_rng(0))
    assert table["low"].is_nan().all()
    assert table["reason"].str.contains("neurons with an answer; at least 5 are needed").all()
    none = rows.with_columns(token_ids=None, cosines=None).with_columns(
        pl.col("token_ids").cast(pl.List(pl.Int32)), pl.col("cosines").cast(pl.List(pl.Float32)), n_compared=None,
        context_parts=pl.lit(None).cast(pl.List(pl.Int32)),
    )  # fmt: skip
    found = POLYSEMANTICITY.estimate(none, np.random.default_rng(0))
    assert found.filter(measure="clusters")["estimate"].is_nan().all()
    assert POLYSEMANTICITY.answer(table.clear()) == ""
