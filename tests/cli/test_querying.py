"""What asks the lake: sql, run, report, in every format and to every place that can be."""

import io
import json
import re
import shutil

import polars as pl
import pytest

import queries
from tests.cli.shell import failed, rt, write_format


def test_sql_formats(lake, tmp_path):
    query = "select neuron, avg(abs(delta_loss)) as influence from ablations group by neuron order by neuron limit 3"
    table = rt("sql", query, "--lake", str(lake))
    assert "influence" in table.stdout
    rows = json.loads(rt("sql", query, "--lake", str(lake), "--format", "json").stdout)
    assert [row["neuron"] for row in rows] == [0, 1, 2]
    csv = pl.read_csv(io.StringIO(rt("sql", query, "--lake", str(lake), "--format", "csv").stdout))
    assert csv["influence"].to_list() == pytest.approx([row["influence"] for row in rows])
    assert rt("sql", query, "--lake", str(lake), "--format", "markdown").stdout.startswith("| neuron | influence |")
    target = tmp_path / "x.parquet"
    assert rt("sql", query, "--lake", str(lake), "--format", "parquet", "--output", str(target)).returncode == 0
    assert pl.read_parquet(target)["influence"].to_list() == [row["influence"] for row in rows]
    failed(rt("sql", query, "--lake", str(lake), "--format", "parquet"), "needs a file")


def test_sql_takes_several_statements_and_writes_nothing(lake, tmp_path):
    at = ("--lake", str(lake))
    both = rt("sql", "select 1 as one; select 2 as two", *at, "--format", "csv")
    assert both.stdout == "one\n1\ntwo\n2\n"
    failed(rt("sql", "select 1; select 2", *at, "--output", str(tmp_path / "x.csv")), "--output takes one statement")
    failed(rt("sql", f"copy tokens to '{tmp_path / 'x.csv'}'", *at), "it does not run COPY", "--output FILE")
    failed(rt("sql", f"from enable_logging(storage='file', storage_path='{tmp_path / 'log'}')", *at), "locked")
    failed(rt("sql", "select window from tokens", *at), 'write tokens.window or "window"')
    failed(rt("sql", "from tokenz", *at), 'Did you mean "tokens"', "tables and views are")
    failed(rt("sql", *at, "--format", "csv"), "need a query")
    assert list(tmp_path.iterdir()) == []


def test_the_format_follows_the_suffix(lake, tmp_path):
    at = ("--lake", str(lake))
    assert rt("sql", "select 1 as a", *at, "--output", "x.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.csv").read_text() == "a\n1\n"
    result = rt("run", "influence", *at, "--output", str(tmp_path / "x.parquet"))
    assert result.returncode == 0, result.stderr
    assert {"estimate", "low", "high", "n"} <= set(pl.read_parquet(tmp_path / "x.parquet").columns)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "influence", "--output", "none/x.csv"), "no folder none"),
        (("run", "influence", "--output", "x"), "no format follows"),
        (("run", "influence", "--format", "parquet"), "needs a file"),
        (("sql", "from tokens", "--output", "."), "is a folder"),
        (("sql", "from tokens", "--output", "none/x.md"), "no folder none"),
        (("report", "--output", "report.pdf"), "a report is a Markdown file"),
        (("report", "--only", "influenza"), "no analysis `influenza`"),
        (("report", "--output", "{lake}/runs/report.md"), "is in the lake"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_computed(lake, tmp_path, words, said):
    """A lake that cannot be read at all shows that nothing was asked of it."""
    broken = tmp_path / "broken"
    (broken / "runs/run=r-1").mkdir(parents=True)
    words = [word.format(lake=broken) for word in words]
    failed(
        rt(*words, "--lake", str(broken), "--run", "r-1", cwd=tmp_path)
        if words[0] != "sql"
        else rt(*words, "--lake", str(broken), cwd=tmp_path),
        said,
    )


def test_sql_opens_the_real_shell_read_only(lake, tmp_path):
    shell = rt(
        "sql", "--lake", str(lake), cwd=tmp_path, stdin="select count(*) as n from tokens;\ncreate table t (a int);\n"
    )
    assert "48" in shell.stdout
    assert "read-only" in shell.stderr


def test_run_lists_and_prints(lake):
    listed = rt("run", "--list").stdout
    for slug in queries.slugs():
        assert re.search(rf"^{slug} +.*\?$", listed, re.MULTILINE)
    result = rt("run", "influence", "--lake", str(lake), "--format", "csv", "--where", "document < 7")
    assert result.returncode == 0, result.stderr
    found = pl.read_csv(io.StringIO(result.stdout))
    assert found.filter(pl.col("token_class") == "all")["n"].unique().to_list() == [42]


def test_the_questions_of_the_list_stand_below_each_other():
    lines = rt("run", "--list").stdout.splitlines()
    start = max(map(len, queries.slugs())) + 2
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)


def test_a_lake_without_a_readable_run_has_no_report(lake, tmp_path):
    lake = shutil.copytree(lake, tmp_path / "lake")
    (run,) = lake.glob("runs/*")
    at = ("--lake", str(lake), "--output", str(tmp_path / "report/report.md"))
    write_format(run, 99)
    failed(rt("report", *at), "cannot be read", "hint: upgrade rt to read this lake")
    (lake / "staging").mkdir(exist_ok=True)
    run.rename(lake / "staging/r-begun")
    failed(
        rt("report", *at), "no run to report on", "r-begun is unfinished", "hint: run the command that began it again"
    )
    shutil.rmtree(lake / "staging/r-begun")
    failed(rt("report", *at), "no run to report on", "hint: run `rt extract`")
    assert not (tmp_path / "report").exists()
