import polars as pl
import pytest

from reports.terminal import table

REASON = "a step stands out from what a smooth law gives, but fewer breakpoints describe the curve as well"


def estimates(rows=4):
    return pl.DataFrame(
        {
            "run": ["r-0123456789"] * rows,
            "token_class": [("rare", "common")[i % 2] for i in range(rows)],
            "quantity": [f"plateau_number_{i}" for i in range(rows)],
            "estimate": [0.123456 * 10**i for i in range(rows)],
            "low": [float("nan")] * rows,
            "high": [None] * rows,
            "n": [8] * rows,
            **{f"statistic_{i}": [i + 0.5 + row for row in range(rows)] for i in range(9)},
            "reason": [REASON if i else "" for i in range(rows)],
        },
        schema_overrides={"high": pl.Float64},
    )


@pytest.mark.parametrize("width", [40, 80, 100, 140, 400])
def test_keys_and_cells_are_whole_at_every_width(width):
    frame = estimates()
    text = table(frame, width, keys=("run", "token_class", "quantity"))
    assert max(map(len, text.splitlines())) <= max(width, 43)  # two keys and a number need as much
    blocks = text.split("\n\n")
    tables = [block for block in blocks if "\n--" in block]
    for block in tables:
        for key in ("token_class", "quantity"):
            assert key in block.splitlines()[0].split()
        assert all(f"plateau_number_{i}" in block for i in range(4))
    header = " ".join(block.splitlines()[0] for block in tables).split()
    said = " ".join(" ".join(blocks).split())
    for name in frame.columns:
        assert name in header or f"{name} = " in said
    assert REASON in said
    assert "0.123 " in said
    assert "0.123456" not in said


def test_what_is_equal_in_all_rows_is_said_once_and_long_texts_are_notes():
    text = table(estimates(), 100, keys=("run", "token_class", "quantity"))
    assert text.startswith("in every row: run = r-0123456789, n = 8")
    assert text.count(REASON[:40]) == 1
    assert text.count("[1]") == 4  # three cells and the note


def test_a_table_that_fits_is_left_as_it_is():
    frame = pl.DataFrame({"neuron": [7, 12], "token": ["a\n", "\u4f60"], "delta": [1234.0, -2e-6]})
    assert table(frame, 80).splitlines() == [
        "neuron  token      delta",
        "------  -----  ---------",
        "     7  a\\n        1,234",
        "    12  \u4f60     -2.00e-06",
    ]


def test_rows_without_keys_are_numbered_and_the_rest_is_counted():
    frame = pl.DataFrame({f"column_{i}": list(range(5)) for i in range(9)})
    text = table(frame, 40, limit=3)
    assert text.count("\n1  ") == text.count("\n#  ") + 1
    assert "... and 2 more rows" in text
    assert table(frame.head(0), 40)


def test_a_long_list_is_cut_with_its_length():
    frame = pl.DataFrame({"ids": [list(range(256)), [1, 2], None]})
    lines = table(frame, 80).splitlines()
    assert lines[2:] == ["[0, 1, 2, 3, 4, 5, ... 256 in all]", "[1, 2]", "\u2013"]


def test_a_plan_is_printed_as_it_is_drawn():
    assert table(pl.DataFrame({"explain_key": ["a"], "explain_value": ["x\ny"]}), 3) == "x\ny"


def test_a_p_that_the_draws_bound_is_shown_as_in_a_report():
    frame = pl.DataFrame({"estimate": [0.002, 1.0], "p": [0.002, 0.04], "p_noise": [0.5, 0.002]})
    assert table(frame, 80, floors=(0.002,)).splitlines()[2:] == [
        " 0.00200  <= 0.002     0.500",
        "       1    0.0400  <= 0.002",
    ]
    assert "<=" not in table(frame, 80)
