"""What coordination's rows share: sizes and reasons before there is a number, intervals within their limits."""

import numpy as np
import polars as pl

from queries.shared.coordination import (
    KEYS,
    NO_TREND,
    SIZES,
    correct_judged,
    empty_row,
    estimate_runs,
    evidence,
    interval,
    judge,
    null_text,
)
from queries.shared.tables import schema_of
from queries.stats.coordination import CONTRAST, Effort
from tests.queries.activations import activation_frame

SCHEMA = schema_of(KEYS, [*SIZES, "p", "verdict", "reason"], counts=SIZES)


def test_every_run_is_designed_and_its_rows_sorted_and_named():
    frame = activation_frame(np.random.default_rng(0), n_neurons=60, n_plateau=8, n_documents=6)
    frame = pl.concat([frame.with_columns(run=pl.lit("r-2")), frame])
    draws = []

    def run_rows(plan, rng, effort):
        draws.append(len(plan.draws["plateau"]["any"]))
        return [empty_row(plan, name, "plateau", ["p"]) | {"measure": "m"} for name in ("rare", "common", CONTRAST)]

    table = estimate_runs(frame, np.random.default_rng(1), Effort(groups=7), run_rows, SCHEMA)
    assert draws == [7, 7]
    assert table.schema == SCHEMA
    assert table["run"].to_list() == ["r-1"] * 3 + ["r-2"] * 3
    assert table["token_class"].to_list() == ["common", "rare", CONTRAST] * 2
    assert (table["n"].unique().to_list(), table["n_positions"].unique().to_list()) == ([6], [60])
    assert table["n_neurons"].unique().to_list() == [8]
    assert table.select("estimate", "low", "high", "p").with_columns(pl.all().is_nan()).to_numpy().all()
    assert table["reason"].unique().to_list() == [""]


def test_a_row_says_why_it_is_empty():
    frame = activation_frame(np.random.default_rng(2), n_neurons=60, n_plateau=3, n_documents=6)
    rows = []
    estimate_runs(
        frame, np.random.default_rng(3), Effort(groups=7),
        lambda plan, rng, effort: rows.append(empty_row(plan, "rare", "decay", ["p"])) or [], SCHEMA,
    )  # fmt: skip
    assert "has 3 neurons of changing activation; at least 5" in rows[0]["reason"]
    assert (rows[0]["n_neurons"], rows[0]["verdict"]) == (0, None)


def test_intervals_end_at_their_limits_or_are_missing_with_a_reason():
    row = {"n": 4, "reason": ""}
    assert interval(row, 0.5, 0.25, 0.0) == {"estimate": 0.5, "low": 0.25, "high": 0.75}
    assert interval(row, 0.9, 2.0, -1.0) == {"estimate": 0.9, "low": -1.0, "high": 1.0}
    found = interval(row, 0.5, float("nan"), 0.0)
    assert (found["estimate"], np.isnan([found["low"], found["high"]]).all()) == (0.5, True)
    assert found["reason"] == "no interval: only 4 documents can be compared"


def test_evidence_is_what_the_row_says():
    row = {"estimate": 1.0, "low": 0.5, "high": 2.0, "q": 0.1, "reason": "", "null_any_mean": 3.0, "p_any": 0.2, "n": 9}
    found = evidence(row, ["any"])
    assert (found.null_mean, found.p) == ({"any": 3.0}, {"any": 0.2})
    assert (found.estimate, found.low, found.high, found.q, found.reason) == (1.0, 0.5, 2.0, 0.1, "")


ROW = {
    "estimate": 1.0, "low": 0.5, "high": 2.0, "q": 0.1, "reason": "", "null_any_mean": 3.0, "p_any": 0.001,
    "null_trend_mean": 2.0, "null_trend_low": 1.5, "null_trend_high": 2.5, "p_trend": 0.001,
}  # fmt: skip


def test_a_trend_that_there_is_not_is_no_evidence_and_is_named():
    row = dict(ROW)
    judge(row, ["any", "trend"], lambda known: ("supported", f"{sorted(known.null_mean)} {known.ends}"))
    assert row["reason"] == "['any', 'trend'] {'trend': (1.5, 2.5)}"
    row = ROW | {"p_trend": np.nan, "null_trend_mean": np.nan}
    judge(row, ["any", "trend"], lambda known: ("supported", f"{sorted(known.null_mean)} {known.ends}"))
    assert row["reason"] == f"['any'] {{}}; {NO_TREND}"
    row = ROW | {"p_trend": np.nan, "reason": "no documents"}
    judge(row, ["any", "trend"], lambda known: ("undecidable", known.reason))
    assert row["reason"] == "no documents"


def test_only_monte_carlo_p_have_a_floor():
    words = {"any": "groups", "trend": "trend"}
    assert null_text(ROW, words, [0.001]) == "groups 3 (p <= 0.001), trend 2 (p = 0.001)"
    assert null_text(ROW | {"p_trend": np.nan}, words, [0.001]) == "groups 3 (p <= 0.001)"


def test_judged_rows_are_corrected_among_themselves():
    rows = [{"measure": "m", "p": p} for p in (0.01, 0.02, 0.5, 0.9, 0.04)]
    correct_judged(rows, lambda row: row["p"] < 0.03)
    assert [round(row["q"], 9) for row in rows] == [0.02, 0.02, 0.75, 0.9, 0.12]
