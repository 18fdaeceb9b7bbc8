"""Hopkins among the plateau neurons: tight planted clusters are found, none in noise, odd input is named."""

import numpy as np
import polars as pl

from queries import load
from queries.stats.groups import FIRST_DRAWS, floor_p
from queries.stats.set_tests import Effort
from tests.queries.clustered import frame

ANALYSIS = load("hopkins").with_effort(Effort(groups=120, clouds=100, other=20, planted=40))


def test_tight_clusters_are_found_and_others_are_not():
    """Five clusters: four axes tell them apart, which is as many dimensions as 24 neurons are projected to."""
    table = ANALYSIS.estimate(frame(np.random.default_rng(0), strength=0.95, n_clusters=5), np.random.default_rng(1))
    assert table.columns == [*ANALYSIS.keys, "estimate", "low", "high", "n", *ANALYSIS.columns]
    assert table.height == 9
    plateau = table.filter(pl.col("group") == "plateau")
    assert plateau["verdict"].to_list() == ["contradicted"] * 3
    assert (plateau["estimate"] > plateau["gaussian_high"]).all()
    assert (plateau["low"] <= plateau["estimate"]).all()
    assert (plateau["high"] >= plateau["estimate"]).all()
    assert "**contradicted**" in ANALYSIS.answer(table)
    assert table.filter(pl.col("group") != "plateau")["verdict"].is_null().all()


def test_noise_is_not_clustered_and_low_power_is_said():
    table = ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3))
    plateau = table.filter(pl.col("group") == "plateau")
    assert (plateau["p"] > 0.01).all()
    assert plateau["verdict"].to_list() == ["undecidable"] * 3
    assert plateau["reason"].str.contains("would be seen in only").all()
    assert ANALYSIS.estimate(frame(np.random.default_rng(2)), np.random.default_rng(3)).equals(table, null_equal=True)


def test_all_groups_are_drawn_only_where_the_first_leave_it_open():
    analysis = load("hopkins").with_effort(Effort(groups=400, clouds=100, other=20, planted=10))
    clustered, noise = (
        analysis.estimate(frame(np.random.default_rng(0), **options), np.random.default_rng(1)).filter(group="plateau")
        for options in ({"strength": 0.95, "n_clusters": 5}, {})
    )
    assert (clustered["p_any"] == floor_p(400)).all()
    for row in noise.iter_rows(named=True):
        n_draws = 400 if row["p"] < 0.1 else FIRST_DRAWS
        places = [row[f"p_{null}"] * (n_draws + 1) for null in ("any", "activation", "influence")]
        assert np.allclose(places, np.round(places))
    assert sorted(noise["p"] < 0.1) == [False, False, True]


def test_few_documents_no_weights_and_no_rows():
    data = frame(np.random.default_rng(4), documents=3, positions=60, weights=False)
    table = ANALYSIS.estimate(data, np.random.default_rng(5))
    activations = table.filter(pl.col("space") == "activation")
    assert activations["estimate"].is_finite().all()
    assert activations["low"].is_nan().all()
    assert table.filter(pl.col("space") == "weight")["reason"].unique().to_list() == ["this run has no output weights"]
    empty = ANALYSIS.estimate(data.head(0), np.random.default_rng(0))
    assert empty.schema == table.schema
    assert ANALYSIS.answer(empty) == ""
    assert ANALYSIS.excerpt(empty).height == 0
