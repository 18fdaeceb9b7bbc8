"""The table of claims: verdicts, and how many documents would decide what is not decidable."""

import math
import re

import pytest

from reports.report import write_report
from reports.summary import _verdict, documents_needed
from tests.reports.made_up import RUN_A, RUN_B, lake

WIDE = {"verdict": "undecidable", "estimate": 0.2, "low": -0.2, "high": 0.6, "null": 0.0, "n": 12}


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, 48),
        ({"estimate": -0.2, "low": -0.4, "high": 0.1}, 27),  # below the null its upper end counts
        ({"low": 0.1}, None),  # the null is excluded already
        ({"estimate": 0.0, "low": -0.4, "high": 0.4}, None),
        ({"low": math.nan}, None),
        ({"null": math.nan}, None),
    ],
)
def test_documents_needed(changes, needed):
    assert documents_needed({**WIDE, **changes}, 12) == needed


def test_only_what_is_undecidable_and_about_documents_asks_for_more():
    assert _verdict(WIDE, True) == "not decidable; about 48 documents"
    assert _verdict(WIDE, False) == "not decidable"
    assert _verdict({**WIDE, "verdict": "contradicted"}, True) == "**contradicted**"
    assert _verdict({**WIDE, "estimate": 0.01}, True) == "not decidable; over 100 times as many documents"
    assert _verdict({**WIDE, "verdict": None}, True) == "–"


def test_two_runs_stand_side_by_side_with_names_that_differ(shelf, tmp_path):
    con = lake((RUN_A, "org/pythia"), (RUN_B, "org/pythia"))
    con.execute("update runs set seed = 1 where run = $run", {"run": RUN_B})
    text = write_report(con, tmp_path / "report.md").path.read_text()
    assert "pythia main seed 0 (r-aaaaaa)" in text
    header = next(line for line in text.splitlines() if line.startswith("| Claim"))
    assert "pythia main seed 1 (r-bbbbbb)" in header
    assert len(re.findall(r"\| \*\*supported\*\*; 1\u00a0\[0.0100,\u00a02\]; null 0", text)) == 2
