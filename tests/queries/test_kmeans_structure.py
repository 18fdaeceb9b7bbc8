"""Clusters among the plateau neurons: planted ones are found, none are found in noise, odd input is named."""

import numpy as np
import polars as pl

from queries import load
from queries.stats.set_tests import Effort
from tests.queries.clustered import PLATEAU, N, frame, with_signs

ANALYSIS = load("kmeans_structure").with_effort(Effort(groups=120, clouds=100, other=20, planted=40))
SILHOUETTES = ("kmeans_silhouette", "ward_silhouette")


def judged(table, **where):
    kept = table.filter(pl.col("group") == "plateau", pl.col("measure").is_in(SILHOUETTES))
    return kept.filter(*(pl.col(name) == value for name, value in where.items()))


def test_planted_clusters_are_found_counted_and_covered():
    table = ANALYSIS.estimate(frame(np.random.default_rng(0), strength=0.6), np.random.default_rng(1))
    assert table.columns == [*ANALYSIS.keys, "estimate", "low", "high", "n", *ANALYSIS.columns]
    assert table.equals(table.sort(ANALYSIS.keys), null_equal=True)
    assert table.height == 3 * 3 * 7
    rows = judged(table)
    assert rows["verdict"].to_list() == ["contradicted"] * 6
    # clusters that share 0.6 of the variance: distances sqrt(2 * 0.4) within, sqrt(2) between
    rows = judged(table, measure="kmeans_silhouette")
    np.testing.assert_allclose(rows["estimate"], 1 - np.sqrt(0.4), atol=0.06)
    assert (rows["low"] < rows["estimate"]).all()
    assert (rows["high"] > rows["estimate"]).all()
    counts = table.filter(
        pl.col("group") == "plateau", pl.col("measure").is_in(["kmeans_clusters", "ward_clusters", "gap_clusters"])
    )
    assert (counts["estimate"] == 3).mean() >= 8 / 9
    assert "**contradicted**" in ANALYSIS.answer(table)
    others = table.filter(pl.col("group") != "plateau")
    assert others["verdict"].is_null().all()
    assert (others["q"].drop_nans() > 0.05).all()


def test_signs_of_a_gated_run_neither_make_clusters_nor_hide_them():
    rng = np.random.default_rng(10)
    factor = with_signs(frame(rng, strength=0.4, n_clusters=1, gated=True), rng)
    table = ANALYSIS.estimate(factor, np.random.default_rng(11))
    assert "contradicted" not in judged(table)["verdict"].to_list()
    assert (judged(table)["p"] > 0.05).all()
    # read as if signs meant something, one factor is two opposite clusters
    signed = ANALYSIS.estimate(factor.with_columns(is_gated=pl.lit(False)), np.random.default_rng(11))
    assert (judged(signed, measure="kmeans_silhouette")["p"] < 0.05).all()
    clusters = with_signs(frame(rng, strength=0.6, gated=True), rng)
    table = ANALYSIS.estimate(clusters, np.random.default_rng(12))
    assert judged(table)["verdict"].to_list() == ["contradicted"] * 6


def test_noise_has_no_clusters_and_the_same_seed_gives_the_same_table():
    table = ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3))
    assert "contradicted" not in judged(table)["verdict"].to_list()
    assert judged(table, space="weight")["verdict"].to_list() == ["supported"] * 2
    assert (judged(table)["p"] > 0.01).all()
    assert ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3)).equals(table, null_equal=True)


def test_few_documents_no_weights_and_constant_neurons():
    data = frame(np.random.default_rng(4), documents=4, positions=60, weights=False)
    values = data["activation"].to_numpy().copy()
    values[:, :3] = 0.25
    data = data.with_columns(pl.Series("activation", values))
    table = ANALYSIS.estimate(data, np.random.default_rng(5))
    activations, weights = (table.filter(pl.col("space") == name) for name in ("activation", "weight"))
    assert (activations.filter(pl.col("group") == "plateau")["n"] == PLATEAU - 3).all()
    assert activations.filter(pl.col("group") == "plateau")["estimate"].is_finite().all()
    assert activations["low"].is_nan().all()
    unjudged = activations.filter(pl.col("verdict").is_null())
    assert unjudged["reason"].str.contains("only 4 documents").all()
    assert weights["estimate"].is_nan().all()
    assert (weights["reason"] == "this run has no output weights").all()
    assert "this run has no output weights" in ANALYSIS.answer(table)


def test_an_absent_class_a_small_plateau_and_no_segmentation():
    data = frame(np.random.default_rng(6)).filter(pl.col("token_class") == "common")
    regime = ["plateau"] * 4 + ["decay"] * (N - 4)
    table = ANALYSIS.estimate(data.with_columns(pl.Series("regime", [regime] * data.height)), np.random.default_rng(7))
    rare = table.filter(pl.col("token_class") == "rare")
    assert rare["estimate"].is_nan().all()
    assert rare["reason"].str.contains("only 0 positions").all()
    small = table.filter(pl.col("token_class") == "common", pl.col("group") == "plateau")
    assert small["reason"].str.contains("only 4 neurons").all()
    unknown = data.with_columns(
        pl.Series("regime", [[None] * N] * data.height, dtype=pl.List(pl.String)),
        pl.Series("is_core", [[None] * N] * data.height, dtype=pl.List(pl.Boolean)),
    )
    assert ANALYSIS.estimate(unknown, np.random.default_rng(8))["estimate"].is_nan().all()


def test_no_rows_no_answer():
    empty = ANALYSIS.estimate(frame(np.random.default_rng(9)).head(0), np.random.default_rng(0))
    assert empty.height == 0
    assert ANALYSIS.answer(empty) == ""
    assert ANALYSIS.excerpt(empty).height == 0
