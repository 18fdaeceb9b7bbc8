"""Labels of positions: rules that anybody can check, and rows that have none."""

import polars as pl
import pytest

from queries.shared.token_labels import FUNCTION_WORDS, N_TYPES, band, frequent, word_class


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("\n", "space"), ("  ", "space"), ("7", "number"), (" 1851", "number"), (".", "mark"), (" --", "mark"),
        ("ly", "piece"), ("The", "piece"), ("'s", "piece"), (" of", "function"), (" Of", "function"),
        (" sea", "content"), (" Queequeg", "name"), ("", "space"), (None, None),
    ],
)  # fmt: skip
def test_the_class_of_a_word(token, expected):
    assert word_class(token) == expected


def test_function_words_are_lower_case_words():
    assert len(FUNCTION_WORDS) > 100
    assert all(word.isalpha() and word.islower() for word in FUNCTION_WORDS)


def test_the_most_frequent_types_are_kept_ties_by_id():
    ids = pl.Series("token_id", [each for each in range(30) for _ in range(6)] + [99] * 4)
    labels = frequent(ids)
    assert labels.drop_nulls().unique().sort().to_list() == sorted(map(str, range(N_TYPES)))
    assert labels.null_count() == len(ids) - 6 * N_TYPES


def test_bands_hold_a_quarter_each():
    counts = band(pl.Series(range(100))).value_counts(name="n")
    assert set(counts["n"]) == {25}
    assert band(pl.Series([None, None], dtype=pl.Int64)).null_count() == 2
