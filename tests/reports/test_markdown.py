"""Numbers, escapes and tables: what a page shows must be what the data say."""

import math
from datetime import datetime

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.markdown import anchor, block, bounded, cell, code, escape, fill_in, literal, significant, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.500"),
        (-0.0123456, "-0.0123"),
        (1.0, "1"),
        (31.0, "31"),
        (-2.0, "-2"),
        (12345.0, "12,345"),
        (1.0001, "1.00"),
        (12.345, "12.3"),
        (123.4, "123"),
        (999.9, "1,000"),
        (1234.5, "1,230"),
        (123456.5, "123,000"),
        (9.999e6, "1.00e+07"),
        (1.23456e-6, "1.23e-06"),
        (0.000123456, "0.000123"),
        (0.00009999, "0.000100"),
        (0.0000994, "9.94e-05"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "\u2013"),
        (None, "\u2013"),
    ],
)
def test_significant(value, text):
    assert significant(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e200, max_value=1e200))
def test_significant_is_within_half_a_unit_of_the_third_digit(value):
    shown = float(significant(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5.001e-3, abs=0)


@pytest.mark.parametrize(
    ("value", "is_id", "text"),
    [
        (1326, False, "1,326"),
        (1326, True, "1326"),
        (True, False, "yes"),
        (None, False, "\u2013"),
        (0.25, False, "0.250"),
        (datetime(2026, 1, 2, 3, 4, 5), False, "2026-01-02 03:04"),
        ("a|b", False, "a\\|b"),
    ],
)
def test_cell(value, is_id, text):
    assert cell(value, is_id) == text


@given(st.text(max_size=30))
def test_any_text_in_a_cell_stays_one_cell_of_literal_text(text):
    markdown = table(pl.DataFrame({"token": [text], "n": [1]}))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    cells = [tokens[place + 1].children or [] for place, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2
    assert {child.type for child in cells[0]} <= {"text", "text_special"}


def test_a_p_at_its_floor_is_a_bound():
    assert bounded(1 / 1001, (1 / 1001,)) == "<= 0.001"
    assert bounded(0.002, (0.001,)) == "0.00200"
    assert bounded(math.nan, (0.001,)) == bounded(None, ()) == "\u2013"
    frame = pl.DataFrame({"p": [0.001], "p_any": [0.001], "tail_p": [0.5], "power": [0.001]})
    last = table(frame, floors=(0.001,)).splitlines()[-1]
    assert [each.strip() for each in last.strip("|").split("|")] == ["<= 0.001", "<= 0.001", "0.500", "0.00100"]


def test_escape_keeps_names_readable():
    assert escape("rare_minus_common") == "rare_minus_common"
    assert escape("_x_ *y* <b>") == "\\_x\\_ \\*y\\* \\<b\\>"
    assert escape("a\nb\tc") == "a\\\\nb\\\\tc"


def test_code_and_block_survive_backticks():
    assert code("a `b` c") == "``a `b` c``"
    assert block("x\n```\ny", "text").startswith("````text\n")


def test_table_aligns_numbers_right_and_is_readable_as_text():
    frame = pl.DataFrame({"class": ["rare", "all"], "estimate": [0.5, math.nan], "n": [1234, 5]})
    assert table(frame) == (
        "| class | estimate |     n |\n"
        "| ----- | -------: | ----: |\n"
        "| rare  |    0.500 | 1,234 |\n"
        "| all   |        \u2013 |     5 |"
    )


def test_anchor_is_that_of_github():
    assert anchor("Would other documents rank the neurons, in 2 halves?") == (
        "would-other-documents-rank-the-neurons-in-2-halves"
    )


@pytest.mark.parametrize("value", [None, True, 3, 5e-10, "it's", [1, 2], ["a", "b'"], math.inf])
def test_literal_reads_back(value):
    assert duckdb.sql(f"select {literal(value)}").fetchall() == [(value,)]


def test_fill_in_leaves_comments_and_strings_alone():
    sql = '-- by $q\nselect \'$q\' as text, $q as q, $by as by, "$q" from (select 1 as "$q")\n'
    filled = fill_in(sql, {"q": 0.5, "by": "target"})
    assert filled == "-- by $q\nselect '$q' as text, 0.5 as q, 'target' as by, \"$q\" from (select 1 as \"$q\");"
    assert duckdb.sql(filled).fetchall()[0][1:3] == (pytest.approx(0.5), "target")


def test_fill_in_ends_every_statement_once():
    assert fill_in("select 1;\n", {}) == "select 1;"
    assert fill_in("select 1 -- one", {}) == "select 1 -- one\n;"
