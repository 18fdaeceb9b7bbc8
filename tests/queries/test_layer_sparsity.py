"""Slopes of sparsity on difficulty: planted ones are found, others are not, signs mean sparser, few have reasons."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from queries import load, run
from queries.stats.contrast import studentise
from tests.lake import make_lake, planted_influence
from tests.layers import add_layers
from warehouse.connection import connect, frame

SPARSITY = load("layer_sparsity")


def sums(slope, documents=25, positions=40, layers=3, measure="hoyer", rarity=0.0, types=0.0, n_types=100, seed=0):
    """Rows as of the SQL, for a sparsity that rises with the loss by `slope` and with rarity by `rarity`; the data.

    `types`: what the type that is read adds to both.
    """
    rng = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), positions)
    level = rng.standard_normal((2, documents))[:, document]
    data = {"document": document, "loss": rng.standard_normal(len(document)) + level[0]}
    data["type"] = rng.integers(0, n_types, len(document))
    of_type = types * rng.standard_normal(n_types)[data["type"]]
    data["loss"] += of_type
    data["rarity"] = 0.5 * data["loss"] + rng.standard_normal(len(document))
    parts = []
    for layer in range(layers):
        y = slope * data["loss"] + rarity * data["rarity"] + 0.5 * level[1] + rng.standard_normal(len(document))
        y += of_type
        names = ("document", "loss", "rarity", "type")
        rows = pl.DataFrame({**{name: data[name] for name in names}, "y": y}).with_columns(
            within_loss=pl.col("loss") - pl.col("loss").mean().over("type"),
            within_y=pl.col("y") - pl.col("y").mean().over("type"), n_alike=pl.len().over("type"),
        ).with_columns(
            n_positions=pl.lit(1), loss_loss=pl.col("loss") ** 2, rarity_rarity=pl.col("rarity") ** 2,
            loss_rarity=pl.col("loss") * pl.col("rarity"), y_y=pl.col("y") ** 2,
            loss_y=pl.col("loss") * pl.col("y"), rarity_y=pl.col("rarity") * pl.col("y"),
            within_n_positions=(pl.col("n_alike") > 1).cast(pl.Int64), within_free=1 - 1 / pl.col("n_alike"),
            within_loss_loss=pl.col("within_loss") ** 2, within_y_y=pl.col("within_y") ** 2,
            within_loss_y=pl.col("within_loss") * pl.col("within_y"),
        )  # fmt: skip
        keys = {"run": "r-1", "variant": "raw", "measure": measure, "layer": layer, "n_model_layers": 30}
        named = {name: pl.lit(value) for name, value in keys.items()}
        parts.append(rows.group_by("document").sum().with_columns(**named))
        data[f"y{layer}"] = y
    return pl.concat(parts), data


def one(table, predictor="loss", layer=0):
    return table.filter(predictor=predictor, layer=layer).row(0, named=True)


def test_slopes_are_those_of_statsmodels_and_intervals_of_the_jackknife():
    rows, data = sums(0.3, rarity=0.2)
    table = SPARSITY.estimate(rows, np.random.default_rng(0))
    assert table.columns == [*SPARSITY.keys, "estimate", "low", "high", "n", *SPARSITY.columns]
    for predictor, names in (("loss", ["loss"]), ("rarity", ["rarity"]), ("loss_given_rarity", ["loss", "rarity"])):
        x = sm.add_constant(np.column_stack([data[name] for name in names]))
        documents = np.unique(data["document"])
        kept = [np.ones(len(x), dtype=bool), *(data["document"] != each for each in documents)]
        fits = [sm.OLS(data["y1"][rows], x[rows]).fit().params[1] for rows in kept]
        scales = [data[names[0]][rows].std() / data["y1"][rows].std() for rows in kept]
        found = one(table, predictor, 1)
        assert found["slope"] == pytest.approx(fits[0])
        values = np.array(fits) * scales
        assert found["estimate"] == pytest.approx(values[0])
        other = studentise(values[:1], values[1:, None])
        assert [found["low"], found["high"]] == pytest.approx([other.low[0], other.high[0]])
        assert found["p"] == pytest.approx(other.p[0], rel=1e-6)


def test_planted_slopes_are_supported_and_rarity_is_held_fixed():
    table = SPARSITY.estimate(sums(0.0, rarity=0.8)[0], np.random.default_rng(0))
    assert one(table, "loss")["verdict"] == one(table, "rarity")["verdict"] == "supported"
    fixed = one(table, "loss_given_rarity")
    assert fixed["mean_low"] < 0 < fixed["mean_high"]
    assert "**supported**" in SPARSITY.answer(table)


def test_what_only_the_token_that_is_read_brings_is_gone_when_it_is_held_fixed():
    rows, data = sums(0.0, types=1.0)
    table = SPARSITY.estimate(rows, np.random.default_rng(0))
    assert one(table, "loss")["verdict"] == "supported"
    fixed = one(table, "loss_given_token")
    assert fixed["mean_low"] < 0 < fixed["mean_high"]
    x = pl.DataFrame({name: data[name] for name in ("loss", "type", "y0")})
    kinds = np.unique(data["type"], return_inverse=True)[1]
    dummies = np.eye(kinds.max() + 1)[kinds]
    direct = np.linalg.lstsq(np.column_stack([x["loss"], dummies]), x["y0"], rcond=None)[0][0]
    assert fixed["slope"] == pytest.approx(direct)
    there = one(SPARSITY.estimate(sums(0.3, types=1.0)[0], np.random.default_rng(0)), "loss_given_token")
    assert there["verdict"] == "supported"


def test_with_the_token_held_fixed_nothing_is_seldom_found_though_most_types_are_rare():
    """Of 1,000 positions 400 types: each mean takes a good part of what varies."""
    p = [
        one(SPARSITY.estimate(sums(0.0, layers=1, types=1.0, n_types=400, seed=s)[0], np.random.default_rng(0)),
            "loss_given_token")["p"]
        for s in range(80)
    ]  # fmt: skip
    assert np.mean(np.array(p) < 0.05) <= 0.1


@pytest.mark.parametrize("measure", ["entropy_rank", "l0_share"])
def test_measures_that_fall_with_sparsity_are_turned(measure):
    table = SPARSITY.estimate(sums(-0.5, measure=measure)[0], np.random.default_rng(0))
    found = one(table)
    assert found["slope"] < 0 < found["low"]
    assert found["verdict"] == "supported"


def test_denser_states_contradict_and_no_effect_is_seldom_supported():
    assert one(SPARSITY.estimate(sums(-0.5)[0], np.random.default_rng(0)))["verdict"] == "contradicted"
    verdicts = [
        one(SPARSITY.estimate(sums(0.0, seed=s, layers=1)[0], np.random.default_rng(0)))["verdict"] for s in range(60)
    ]
    assert verdicts.count("supported") <= 4


def test_few_documents_and_no_variation_have_reasons():
    few = SPARSITY.estimate(sums(0.3, documents=4)[0], np.random.default_rng(0))
    assert few["low"].is_nan().all()
    assert few["reason"].str.contains("only 4 documents").all()
    assert set(few["verdict"]) == {"undecidable"}
    assert "only 4 documents" in SPARSITY.answer(few)
    eight = SPARSITY.estimate(sums(0.3, documents=8)[0], np.random.default_rng(0))
    assert eight["low"].is_finite().all()
    why = "8 documents; a verdict needs at least 10; the mean is over 3 of 30 layers"
    assert (eight["reason"] == why).all()
    words = SPARSITY.answer(eight)
    assert "3 of 30 layers (each by q < 0.05 over these): `raw` **undecidable** (8 documents; a verdict needs" in words
    ones = pl.col("n_positions").cast(pl.Float64)
    still = sums(0.3)[0].with_columns(
        y=ones, y_y=ones, loss_y=pl.col("loss"), rarity_y=pl.col("rarity"), within_y_y=0 * ones, within_loss_y=0 * ones,
        within_y=0 * ones,
    )  # fmt: skip
    assert SPARSITY.estimate(still, np.random.default_rng(0))["reason"].str.contains("does not vary").all()


def test_layers_are_counted_by_q_over_the_layers_and_told_of_how_many():
    rng = np.random.default_rng(0)
    table = SPARSITY.estimate(sums(0.3)[0], rng)
    words = SPARSITY.answer(table)
    assert "Hoyer's sparsity on loss, 3 of 30 layers (each by q < 0.05 over these): `raw` **supported**: mean" in words
    assert "sparser in 3, denser in 0." in words
    assert (table["reason"] == "q < 0.05 and the mean slope is above 0; the mean is over 3 of 30 layers").all()
    # the smallest of three p, below 0.05 by itself, is not below it over the layers
    nan, layer = float("nan"), pl.col("layer")
    some = table.with_columns(layer_q=pl.when(layer == 0).then(0.06).when(layer == 1).then(nan).otherwise(0.01))
    assert "sparser in 1, denser in 0." in SPARSITY.answer(some)
    unknown = sums(0.3)[0].with_columns(n_model_layers=pl.lit(None, dtype=pl.Int64))
    assert "on loss, 3 layers (each" in SPARSITY.answer(SPARSITY.estimate(unknown, rng))
    many = SPARSITY.estimate(sums(0.0, layers=20, seed=3)[0], rng).filter(predictor="loss")
    assert (many["layer_q"] >= many["p"]).all()


def test_a_layer_without_an_interval_leaves_the_mean_without_one():
    rows = sums(0.3)[0]
    still = pl.when(pl.col("layer") == 1).then(0.0)
    rows = rows.with_columns(still.otherwise(pl.col(name)).alias(name) for name in ("y", "y_y", "loss_y", "rarity_y"))
    found = SPARSITY.estimate(rows, np.random.default_rng(0)).filter(predictor="loss")
    assert found["mean_low"].is_nan().all()
    assert set(found["verdict"]) == {"undecidable"}
    assert (found["reason"] == "sparsity or difficulty does not vary").all()
    assert found.filter(layer=0)["low"].is_finite().all()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparsity")
    lake = make_lake(folder, planted_influence(6, elbow=3), documents=20, positions=20, losses=True)
    add_layers(lake, 4)
    return lake


def test_the_planted_lake_is_found_and_the_sql_sums_what_is_there(lake):
    con = connect(lake)
    table = run(con, SPARSITY)
    row = table.filter(measure="hoyer", variant="raw", predictor="loss", layer=2).row(0, named=True)
    assert row["verdict"] == "supported"
    tokens = frame(
        con,
        "select document, loss, hoyer from tokens inner join layer_tokens using (run, token_index) "
        "where variant = 'raw' and layer = 2",
    )
    r = np.corrcoef(tokens["loss"], tokens["hoyer"])[0, 1]
    assert row["estimate"] == pytest.approx(r, rel=1e-4)
    assert row["n_positions"] == 400
    fixed = table.filter(measure="hoyer", variant="raw", predictor="loss_given_token", layer=2).row(0, named=True)
    kinds = frame(
        con,
        "select token_id, loss, hoyer from tokens inner join layer_tokens using (run, token_index) "
        "where variant = 'raw' and layer = 2",
    ).filter(pl.len().over("token_id") > 1)
    within = kinds.select(pl.col("loss", "hoyer") - pl.col("loss", "hoyer").mean().over("token_id"))
    assert fixed["n_positions"] == kinds.height
    assert fixed["estimate"] == pytest.approx(np.corrcoef(within["loss"], within["hoyer"])[0, 1], rel=1e-4)


def test_a_lake_without_the_effect_is_not_supported(tmp_path):
    lake = make_lake(tmp_path, planted_influence(6, elbow=3), documents=20, positions=20, losses=True)
    add_layers(lake, 4, sparser=0.0)
    table = run(connect(lake), SPARSITY).filter(measure="hoyer", predictor="loss")
    assert "supported" not in table["verdict"]
