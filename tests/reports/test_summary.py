"""The table of claims: verdicts, and what is missing where they are not decidable."""

import re
from dataclasses import replace

import numpy as np

from queries import Claim
from queries.stats.set_verdict import decide_clusters
from reports import summary
from reports.report import write_report
from tests.reports.made_up import RUN_A, RUN_B, SHARE, lake
from tests.reports.test_lacking import WIDE


def claim_of(**changes):
    return Claim("it does", "nobody", "a number", lambda table: table, **changes)


def lack(found=WIDE, resampled="documents", counts="documents", **changes) -> summary.Lack | None:
    analysis = replace(SHARE, resampled=resampled, counts=counts)
    return summary._lack(found, analysis, claim_of(**changes))


def test_only_what_is_undecidable_lacks_something():
    assert lack().brief == "about 48 documents"
    assert lack({**WIDE, "verdict": "contradicted"}) is None
    assert lack({**WIDE, "verdict": None}) is None


def test_what_is_about_weights_asks_for_no_documents():
    for found in (
        lack(resampled="columns of the weights"),
        lack(resampled="documents, or weights", is_of_weights=True),
    ):
        assert found.brief == "more documents do not help"
    # n counts neurons there
    assert lack(resampled="documents, or weights", counts="neurons").brief == "about 4 times as many documents"


def test_a_verdict_with_what_it_rests_on_and_what_is_missing():
    found = {**WIDE, "lack": lack()}
    assert summary._verdict(found) == "not decidable; about 48 documents"
    assert summary._why(found).startswith("the interval is wide. With about 48 documents ")
    assert summary._verdict({**WIDE, "verdict": None, "lack": None}) == "\u2013"
    assert not summary._why({**WIDE, "verdict": None, "lack": None})


def test_the_page_asks_no_interval_of_an_absence():
    """A null model and the power decide "no clusters": the page must not say that an interval agreed."""
    row = {"p": 0.5, "power": 0.9, "reason": "", "estimate": 0.1, "low": np.nan, "high": np.nan, "any_mean": 0.1}
    assert decide_clusters(row, q=0.5)[0] == "supported"
    assert "of an absence (such as no clusters): a null model explains the data" in summary._READ


def test_two_runs_stand_side_by_side_with_names_that_differ(shelf, tmp_path):
    con = lake((RUN_A, "org/pythia"), (RUN_B, "org/pythia"))
    con.execute("update runs set seed = 1 where run = $run", {"run": RUN_B})
    text = write_report(con, tmp_path / "report.md").path.read_text()
    assert "pythia main seed 0 (r-aaaaaa)" in text
    header = next(line for line in text.splitlines() if line.startswith("| Claim"))
    assert "pythia main seed 1 (r-bbbbbb)" in header
    assert len(re.findall(r"\| \*\*supported\*\*; 1\u00a0\[0.0100,\u00a02\]; null 0", text)) == 2
