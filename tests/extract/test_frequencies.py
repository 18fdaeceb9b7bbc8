import numpy as np
import polars as pl
import pytest

from extract.frequencies import choose_frequencies, count_rare
from extract.windows import Plan, Window
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect, frame

TEXTS = [f"w{i}" for i in range(10)]


def plan(targets, counts):
    window = Window(0, 0, np.array([0, 0, *targets], dtype=np.int32))
    return Plan([window], {0: ("d", 1, 1)}, np.array(counts), 1, 0, 1)


def choose(option, targets, counts):
    said = []
    found = choose_frequencies(option, plan(targets, counts), 1, TEXTS, [False] * 10, said.append)
    return found, said


def test_corpus_counts_that_make_some_target_rare_are_used():
    found, said = choose("auto", [0, 9], [9, 8, 7, 6, 5, 4, 3, 2, 1, 1])
    assert (found.chosen["used"], found.chosen["n_rare_targets"], said) == ("corpus", 1, [])
    assert found.source == "counts of the corpus (46 tokens)"


def test_a_corpus_that_shows_half_of_the_vocabulary_falls_back_on_token_ids():
    found, said = choose("auto", [0, 1, 9], [0, 5, 5, 0, 0, 0, 0, 0, 0, 3])
    assert found.chosen == {"option": "auto", "used": "token-id", "n_rare_targets": 1, "rare_quantile": 0.5}
    assert found.vocabulary["frequency_rank"].to_pylist() == list(range(1, 11))
    for text in (found.source, *said):
        assert "by the counts of the corpus none of 3 analysed targets is rare" in text
    assert "token ids as merge ranks" in found.source


def test_what_was_asked_for_is_kept_and_its_lack_recorded():
    found, said = choose("corpus", [1, 9], [0, 5, 5, 0, 0, 0, 0, 0, 0, 3])
    assert found.chosen["used"] == "corpus"
    assert found.source == (
        "counts of the corpus (13 tokens); none of 2 analysed targets is in the rarer half of the vocabulary"
    )
    assert said[0].startswith("warning: none of 2")
    assert "none of 2" in choose("token-id", [1, 1], [0] * 10)[0].source


@pytest.mark.parametrize("n", [4, 5, 10])
def test_rare_is_as_the_macro_of_the_lake_has_it(tmp_path, n):
    lake = make_lake(tmp_path, planted_influence(4, elbow=2), documents=2, positions=6, vocabulary=n)
    con = connect(lake)
    vocabulary = frame(con, "from vocabulary order by token_id").to_arrow()
    targets = frame(con, "select target_id from tokens")["target_id"].to_numpy()
    classes = frame(con, "select token_class from token_classes()")
    assert count_rare(vocabulary, targets) == classes.filter(pl.col("token_class") == "rare").height
