"""What probes read from planted states: a label that fades with depth, one that is not there, and too few documents."""

import numpy as np
import polars as pl
import pytest

from queries import load

DECODABILITY = load("decodability")
WORDS = (" the", " sea", " Ahab", "ing", ",", " 7", " of", " ship")
D = 16


def frame(documents=14, positions=40, layers=9, seed=0):
    """States that hold the token's direction, weaker in later layers, and the previous token's in layer 2 alone."""
    rng = np.random.default_rng(seed)
    T = documents * positions
    index = np.arange(T)
    token = rng.integers(0, len(WORDS), T)
    previous = np.where(index % positions == 0, -1, np.roll(token, 1))
    facts = {
        "run": "r-1", "token_index": index, "document": index // positions, "position": index % positions,
        "token_id": token, "token": np.array(WORDS)[token], "frequency_rank": 1 + token,
        "previous_id": [None if each < 0 else int(each) for each in previous],
    }  # fmt: skip
    words = rng.standard_normal((2, len(WORDS), D))
    parts = []
    for layer in range(layers):
        states = rng.standard_normal((T, D)) + (3 - 0.35 * layer) * words[0][token]
        if layer == 2:
            states += 2 * words[1][previous]
        column = pl.Series("state", states.astype(np.float32), dtype=pl.Array(pl.Float32, D)).arr.to_list()
        parts.append(pl.DataFrame(facts).with_columns(pl.lit(layer).alias("layer"), column))
    return pl.concat(parts)


@pytest.fixture(scope="module")
def table():
    return DECODABILITY.estimate(frame(), np.random.default_rng(0))


def of(table, task):
    return table.filter(task=task).sort("layer")


def test_a_label_that_fades_is_found_to_fade(table):
    assert table.columns == [*DECODABILITY.keys, "estimate", "low", "high", "n", *DECODABILITY.columns]
    for task in ("token", "word_class", "frequency_band"):
        rows = of(table, task)
        row = rows.row(0, named=True)
        assert row["estimate"] > 0.9
        assert row["trend"] < -0.9
        assert row["p"] < 0.05
        # a table of token types knows these labels without any state
        assert rows["baseline"][0] == rows["by_token"][0] == 1.0
        assert (rows["gain"] <= 0).all()
        assert rows["estimate"][0] - rows["shuffled"][0] > 0.3
    assert of(table, "token")["n_classes"][0] == len(WORDS)


def test_what_only_one_layer_holds_is_read_there_alone(table):
    rows = of(table, "previous_token")
    assert rows["estimate"].arg_max() == 2
    assert rows["estimate"][2] > 0.8
    assert (rows.filter(pl.col("layer") != 2)["gain_low"] < 0.05).all()
    assert rows["n_positions"][0] == 14 * 39
    assert rows["baseline"][2] < 0.3
    assert rows["gain_low"][2] > 0.4
    assert "without a state, surely more in 1 of 9 layers" in DECODABILITY.answer(table)


def test_layers_without_an_interval_are_not_counted_as_surely_more(table):
    """NaN is above every number in Polars."""
    nan = pl.lit(float("nan"))
    none = DECODABILITY.answer(table.with_columns(gain_low=nan, gain_high=nan))
    assert "surely more" not in none
    assert "whether a state says more cannot be told: no layer has an interval" in none
    holes = table.with_columns(gain_low=pl.when(pl.col("layer") > 3).then(nan).otherwise("gain_low"))
    assert "surely more in 1 of 4 layers whose gain has an interval" in DECODABILITY.answer(holes)
    few = DECODABILITY.answer(DECODABILITY.estimate(frame(documents=3), np.random.default_rng(0)))
    assert "surely more" not in few


def test_few_layers_have_no_trend_and_say_so():
    found = DECODABILITY.estimate(frame(layers=3), np.random.default_rng(0))
    assert found["reason"].str.contains("3 layers are too few for a trend (at least 5)", literal=True).all()
    assert "3 layers are too few for a trend (at least 5)" in DECODABILITY.answer(found)


def test_what_is_not_there_is_as_good_as_shuffled(table):
    rows = of(table, "position")
    assert (rows["estimate"] - rows["shuffled"]).abs().max() < 0.12
    assert (rows["gain_low"] < 0.02).all()
    assert (rows["majority"] == 0.25).all()


@pytest.mark.parametrize("documents", [1, 3])
def test_few_documents_have_reasons(documents):
    found = DECODABILITY.estimate(frame(documents=documents), np.random.default_rng(0))
    assert found["low"].is_nan().all()
    words = "at least 5 are needed" if documents > 1 else "fewer than 2 documents"
    assert found["reason"].str.contains(words).all()
    assert DECODABILITY.answer(found)


def test_a_label_of_one_class_is_not_asked():
    found = DECODABILITY.estimate(frame().with_columns(token=pl.lit("ing")), np.random.default_rng(0))
    rows = of(found, "word_class")
    assert rows["estimate"].is_nan().all()
    assert rows["reason"].str.contains("fewer than 2 classes").all()
    assert "`word_class` was not asked" in DECODABILITY.answer(found)
    assert DECODABILITY.answer(found.clear()) == ""
