"""What the analyses of clusters share: which spaces are tested and judged, and the sentence of a row."""

import numpy as np
import polars as pl

from queries.shared.clusters import CLOSEST, KEYS, Clustering, claims, columns_of, sentences
from queries.stats.set_tests import Effort
from tests.queries.clustered import PLATEAU, frame

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
