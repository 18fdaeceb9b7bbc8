"""A report is whole or not at all, says what is missing, and outlives an analysis that fails."""

import re
from dataclasses import replace

import polars as pl
import pytest

import queries
from queries import Chart
from reports.report import write_report
from tests.reports.made_up import RUN_A, RUN_B, SHARE, fail, files, lake
from warehouse.errors import QueryError, RtError


def test_sections_and_files(shelf, one_run, tmp_path):
    said = []
    made = write_report(one_run, tmp_path / "new" / "report.md", progress=said.append, command="rt report")
    text = made.path.read_text()
    assert made.failed == ()
    assert made.html_path is None
    assert set(files(tmp_path / "new")) == {"report.md", "influence.svg", "influence.png", "influence.parquet"}
    for part in (
        "# What single neurons do in smollm2-135m main (r-aaaaaa)",
        "- Token frequencies: token ids as ranks",
        "- Weights (SHA-256): `abababababab`",
        "- Window: 256 tokens, no BOS, first 3 positions left out",
        "- Positions used: all 4",
        "- Positions (`--where`): all that were analysed",
        "- Seed of the analyses (`--seed`): 0",
        "Command: `rt report`",
        "1\u00a0[0.0100,\u00a02]",
        "| **supported** | [The first leads][influence] |",
        "[influence]: #which-neurons-matter",
        "- 18 rows.",
        "### Which neurons matter?",
        "(influence.png)](influence.svg)",
        "**Figure.** Neurons in the order of their influence",
        "smollm2-135m main (r-aaaaaa): 2 documents, 4 positions.",
        "[influence.parquet](influence.parquet)",
        "Read it from left to right.",
        "**Caveats.** It is made up.",
        "**Source.** Nobody (2026).",
        "- `rank`: Rank by influence.",
        "- `estimate`, `low`, `high`: The estimate, unit: nats, and the ends of its 95 % interval, by resampling",
        "- `neuron`: The neuron's index in its layer",
        "where 'target' = 'target'",
        "1. only 1 document holds a rare token",
        "12 of 18 rows",
    ):
        assert part in text, part
    assert text.index("## Influence") < text.index("## Zeal")
    assert "analysing influence" in said


def test_no_number_has_a_dash_and_its_reason(shelf, one_run, tmp_path):
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    line = next(line for line in text.splitlines() if re.match(r"\| rare +\| +3 \|", line))
    assert line.count("\u2013") == 3
    assert line.rstrip(" |").endswith("1")


def test_reasons_that_the_excerpt_left_out_are_shown_all_the_same(shelf, one_run, tmp_path):
    shelf["influence"] = replace(SHARE, excerpt=lambda table: table.drop("reason", "noise"))
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "Notes:\n\n1. only 1 document holds a rare token" in text


def test_the_parquet_copy_is_the_whole_table_unrounded(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md", seed=7)
    table = pl.read_parquet(tmp_path / "influence.parquet")
    again = queries.run(one_run, queries.load("influence"), 7)
    assert table.equals(again, null_equal=True)
    assert table["estimate"][2] == 1 / 3


def test_the_same_seed_gives_the_same_bytes(shelf, one_run, tmp_path):
    for name in ("a", "b"):
        write_report(one_run, tmp_path / name / "report.md", seed=3, html=True)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_sql_can_be_pasted(shelf, one_run, tmp_path):
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    sql = re.search(r"```sql\n(.*?)```", text, re.DOTALL).group(1)
    assert one_run.sql(sql).fetchall() == [(RUN_A, 4)]


def test_what_was_not_extracted_is_named(shelf, one_run, tmp_path):
    made = write_report(one_run, tmp_path / "report.md", only=["zeal"])
    text = made.path.read_text()
    assert made.failed == ()
    assert "**Not extracted.** This question needs `neuron_tokens.delta_loss`" in text
    assert "`rt extract`" in text
    assert "Which neurons matter?" not in text


def test_a_question_about_what_the_lake_has_not_is_named_and_left_out(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(shelf["zeal"], subject="a second corpus", subject_from="rt extract --corpus")
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "Not asked of this lake:\n\n- Is there zeal? It needs a second corpus (`rt extract --corpus`)." in text
    assert "### Is there zeal?" not in text
    text = write_report(one_run, tmp_path / "report.md", only=["zeal"]).path.read_text()
    assert "**Nothing to compare.** This question needs a second corpus (`rt extract --corpus`)." in text
    assert "Not asked of this lake" not in text


def test_the_checkpoints_of_a_training_are_in_its_provenance(shelf, tmp_path):
    con = lake((RUN_A, "tiny"), (RUN_B, "tiny"))
    con.execute("update runs set sweep = 's-1', step = case run when 'r-aaaaaaaaaa' then 0 else 8 end")
    con.execute("update runs set weights_sha256 = repeat(run[3], 64), revision = 'step' || step")
    text = write_report(con, tmp_path / "report.md").path.read_text()
    assert "The checkpoints of the training: 2 runs" in text
    assert "|    8 | `r-bbbbbbbbbb` | step8    | `bbbbbbbbbbbb`    | 2026-01-02 03:04:05 |" in text


def test_an_empty_lake_still_gives_a_report(shelf, tmp_path):
    made = write_report(lake(), tmp_path / "report.md", html=True)
    assert "**The lake has no run.**" in made.path.read_text()
    assert made.failed == ()


def test_an_analysis_that_fails_takes_only_its_section(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(SHARE, chapter="Zeal", question="Is there zeal?", estimate=fail)
    made = write_report(one_run, tmp_path / "report.md", html=True)
    text = made.path.read_text()
    assert made.failed == ("zeal",)
    assert "```text\nRuntimeError: no | luck <b>here</b>\n```" in text
    assert "(influence.png)](influence.svg)" in text
    assert "&lt;b&gt;here" in made.html_path.read_text()


@pytest.mark.parametrize("broken", ["answer", "excerpt", "chart"])
def test_any_part_of_an_analysis_may_fail(shelf, one_run, tmp_path, broken):
    bad = {"answer": lambda table: 1 / 0, "excerpt": lambda table: 1 / 0, "chart": Chart("nonsense", ("influence",))}
    shelf["influence"] = replace(SHARE, **{broken: bad[broken]})
    made = write_report(one_run, tmp_path / "report.md")
    assert made.failed == ("influence",)
    assert ("ZeroDivisionError" if broken != "chart" else "no chart of kind") in made.path.read_text()
    with pytest.raises((ZeroDivisionError, ValueError)):
        write_report(one_run, tmp_path / "report.md", strict=True)


def test_a_failed_report_leaves_the_old_one_whole(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md", html=True)
    before = files(tmp_path)
    shelf["zeal"] = replace(SHARE, estimate=fail)
    with pytest.raises(RuntimeError):
        write_report(one_run, tmp_path / "report.md", seed=1, strict=True)
    assert files(tmp_path) == before


def test_no_stale_figure_stays_beside_a_new_report(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md")
    (tmp_path / "notes.txt").write_text("mine")
    shelf["influence"] = replace(SHARE, estimate=fail)
    write_report(one_run, tmp_path / "report.md")
    assert set(files(tmp_path)) == {"report.md", "notes.txt"}


def test_a_figure_may_draw_what_was_not_asked_for(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(SHARE, question="Is there zeal?")
    write_report(one_run, tmp_path / "report.md", only=["zeal"])
    assert set(files(tmp_path)) == {"report.md", "zeal.svg", "zeal.png", "zeal.parquet"}
    shelf["influence"] = replace(SHARE, estimate=fail)
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "No figure: it also draws influence, which has no table here." in text


def test_data_cannot_become_markup(shelf, tmp_path):
    con = lake((RUN_A, "<script>x</script>|*a*"))
    made = write_report(con, tmp_path / "report.md", html=True)
    assert "\\<script\\>x\\</script\\>\\|\\*a\\*" in made.path.read_text()
    assert "<script" not in made.html_path.read_text()


def test_bad_requests_are_refused_before_anything_is_written(shelf, one_run, tmp_path):
    with pytest.raises(QueryError, match="no analysis `nothing`"):
        write_report(one_run, tmp_path / "a" / "report.md", only=["nothing"])
    with pytest.raises(RtError, match="Markdown file"):
        write_report(one_run, tmp_path / "a" / "report.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(RtError, match="cannot write a report"):
        write_report(one_run, tmp_path / "file" / "report.md")
    assert set(files(tmp_path)) == {"file"}


def test_answers_call_the_runs_by_name(shelf, tmp_path):
    shelf["influence"] = replace(SHARE, answer=lambda table: f"- `{RUN_A}`, rare tokens: no.\n- `{RUN_A}`: none.")
    one = write_report(lake((RUN_A, "one")), tmp_path / "one" / "report.md").path.read_text()
    assert "- Rare tokens: no.\n- None." in one
    two = write_report(lake((RUN_A, "one"), (RUN_B, "two")), tmp_path / "two" / "report.md").path.read_text()
    assert "- one main (r-aaaaaa), rare tokens: no.\n- one main (r-aaaaaa): none." in two
