"""A section is one that a person can read: long tables open on a click, the same SQL and empty figures are left out."""

import math
from dataclasses import replace

import polars as pl
import pytest

from queries import load
from reports.report import write_report
from reports.sections import _meanings
from tests.reports.made_up import RUN_A, RUN_B, SHARE, estimate, lake


@pytest.mark.parametrize("runs", [((RUN_A, "one"),), ((RUN_A, "one"), (RUN_B, "two"))])
@pytest.mark.parametrize(("times", "is_long"), [(1, False), (2, True)])
def test_a_long_table_opens_on_a_click(shelf, tmp_path, runs, times, is_long):
    def longer(frame, rng):
        parts = [estimate(frame, rng).with_columns(neuron=pl.col("neuron") + 6 * i) for i in range(times)]
        return pl.concat(parts)

    shelf["influence"] = replace(SHARE, estimate=longer, excerpt=lambda table: table)
    text = write_report(lake(*runs), tmp_path / "report.md", only=["influence"]).path.read_text()
    assert ("<summary>The table: 36 rows</summary>\n\n" in text) == is_long
    assert text.count("| rare ") == 6 * times


def test_sql_that_was_shown_is_named_and_not_shown_again(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(SHARE, question="Is there zeal?", sql="-- Another comment.\n" + SHARE.sql)
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert text.count("```sql") == 1
    assert "Made from the same rows as [Which neurons matter?](#which-neurons-matter), where the SQL is." in text
    shelf["zeal"] = replace(SHARE, question="Is there zeal?", sql=SHARE.sql.replace("as n", "as m"))
    assert write_report(one_run, tmp_path / "report.md").path.read_text().count("```sql") == 2


def test_what_n_counts_and_how_intervals_are_made_is_said():
    said = _meanings(load("layer_sparsity"), pl.DataFrame({"n": [1]}))
    assert "by documents, left out in turn." in said
    assert "- `n`: How many documents the estimate rests on." in said
    assert "How many neurons of the layer the estimate" in _meanings(load("polysemanticity"), pl.DataFrame({"n": [1]}))
    assert "by resampling documents." in _meanings(load("influence"), pl.DataFrame({"n": [1]}))
    assert "How many positions the estimate rests on" in _meanings(load("influence"), pl.DataFrame({"n": [1]}))


def test_no_figure_says_only_that_there_is_no_estimate(shelf, one_run, tmp_path):
    def nothing(frame, rng):
        return estimate(frame, rng).with_columns(estimate=pl.lit(math.nan))

    shelf["influence"] = replace(SHARE, estimate=nothing)
    made = write_report(one_run, tmp_path / "report.md", only=["influence"])
    assert made.failed == ()
    assert "*No figure: there is no estimate to draw; the table says why.*" in made.path.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "influence.parquet"}
