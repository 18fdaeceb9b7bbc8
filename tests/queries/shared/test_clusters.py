"""What the analyses of clusters share: which spaces are tested and judged, and the sentence of a row."""

import numpy as np
import polars as pl

from queries.shared.clusters import CLOSEST, KEYS, Clustering, claims, columns_of, sentences
from queries.stats.set_tests import Effort
from tests.queries.clustered import PLATEAU, frame, with_signs

COLUMNS = columns_of("columns dealt anew", "", "the plateau")


def of_mean(gram, rng):
    """Two measures of Gram matrices (B, m, m): their mean, and nothing at all."""
    return lambda grams, rng: np.stack([grams.mean(axis=(1, 2)), np.zeros(len(grams))], axis=1)


CLUSTERING = Clustering({"mean": (0.0, 0.5), "zero": (0.0, 1.0)}, ("mean",), COLUMNS, of_mean, turns_activations=False)


def estimate(**options):
    rows = frame(np.random.default_rng(0), **options)
    return CLUSTERING.estimate(rows, np.random.default_rng(1), Effort(groups=30, clouds=20, other=10, planted=10))


def test_every_space_class_and_group_has_a_row_per_measure():
    table = estimate()
    assert table.columns == [*KEYS, "estimate", "low", "high", "n", *COLUMNS]
    assert table.height == 3 * 3 * 2
    assert table.equals(table.sort(KEYS), null_equal=True)
    spaces = table.select("space", "token_class").unique().sort("space", "token_class").rows()
    assert spaces == [("activation", "common"), ("activation", "rare"), ("weight", "all")]
    assert set(table["n"]) == {PLATEAU}
    judged = table.filter(pl.col("verdict").is_not_null())
    assert set(judged.select("group", "measure").rows()) == {("plateau", "mean")}
    assert judged.height == 3
    assert table.filter(pl.col("measure") == "zero")["q"].is_nan().all()
    known = table.filter(pl.col("high").is_not_nan())
    assert (known["high"] <= pl.Series([0.5 if name == "mean" else 1.0 for name in known["measure"]])).all()


def test_a_run_without_weights_says_so():
    weights = estimate(weights=False).filter(pl.col("space") == "weight")
    assert weights["reason"].unique().to_list() == ["this run has no output weights"]
    assert weights["estimate"].is_nan().all()


def few(rows):
    return CLUSTERING.estimate(rows, np.random.default_rng(1), Effort(groups=30, clouds=20, other=10, planted=10))


def test_signs_of_a_gated_run_change_nothing():
    rows = frame(np.random.default_rng(0), strength=0.3, gated=True)
    turned = with_signs(rows, np.random.default_rng(2))
    assert few(turned).equals(few(rows), null_equal=True)
    signed = few(turned.with_columns(is_gated=pl.lit(False)))
    assert not signed.equals(few(rows), null_equal=True)


def test_a_position_with_nan_is_left_out():
    rows = frame(np.random.default_rng(0))
    values = rows["activation"].to_numpy().copy()
    values[7, 3] = np.nan
    damaged = rows.with_columns(pl.Series("activation", values))
    table = few(damaged).filter(pl.col("space") == "activation")
    assert table.filter(pl.col("measure") == "mean")["estimate"].is_finite().all()
    columns = table.group_by("token_class").agg(pl.col("n_columns").first())["n_columns"].sum()
    assert columns == rows.height - 1


def test_the_trend_needs_windows_and_says_so():
    judged = few(frame(np.random.default_rng(0))).filter(pl.col("verdict").is_not_null())
    assert judged["p_trend"].is_nan().all()
    assert judged["trend_mean"].is_nan().all()
    assert "too few neurons for a trend over the ranking" in sentences(judged, "Mean", {})
    # a smaller core leaves enough windows of its size
    rows = frame(np.random.default_rng(0))
    core = [i < 10 for i in range(160)]
    small = rows.with_columns(pl.Series("is_core", [core] * rows.height))
    judged = few(small).filter(pl.col("verdict").is_not_null())
    assert judged["p_trend"].is_between(0, 1).all()
    assert (judged["p"] >= judged["p_trend"]).all()
    assert (judged["trend_low"] < judged["trend_mean"]).all()
    assert "the trend over the ranking" in sentences(judged, "Mean", {})


def test_a_sentence_per_verdict():
    table = estimate(weights=False)
    lines = sentences(table, "Mean", {"mean": "by mean"}).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("- `r-1`, activations on common tokens, by mean: no clusters among the plateau")
    assert "Mean 0" in lines[0]
    assert lines[2].startswith("- `r-1`, output weights, by mean: ")
    assert lines[2].endswith("**undecidable**: this run has no output weights.")
    assert "on rare tokens: no clusters" in sentences(table, "Mean", {})
    assert sentences(table.head(0), "Mean", {}) == ""


def test_the_columns_name_every_null_and_both_claims_find_their_row():
    assert set(CLOSEST) | set(CLOSEST.values()) <= set(COLUMNS)
    of_activation, of_weight = claims("means", "the mean", "mean")
    assert of_activation.statement == "Plateau neurons form no clusters (means, activations)"
    table = estimate()
    for claim, space, token_class in ((of_activation, "activation", "rare"), (of_weight, "weight", "all")):
        found = claim.findings(table)
        row = table.filter(space=space, token_class=token_class, group="plateau", measure="mean")
        assert found["estimate"].to_list() == row["estimate"].to_list()
