import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
import typer

import cli
import queries
from tests.lake import make_lake, planted_influence

ROOT = Path(__file__).parents[1]
GROUP = typer.main.get_command(cli.app)
COMMANDS = sorted(GROUP.commands)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return make_lake(tmp_path_factory.mktemp("cli"), planted_influence(30, elbow=15), documents=8, positions=6)


def rt(*arguments, cwd=ROOT, stdin="", **environment):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from cli import main; main()",
            *arguments,
        ],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def failed(result, *words):
    assert result.returncode == 1, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) <= 2, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_examples(name):
    command = GROUP.commands[name]
    assert command.help
    assert f"`rt {name}" in command.epilog
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_accepted_by_the_parser(name):
    for example in re.findall(r"`rt (.*)`", GROUP.commands[name].epilog):
        import shlex

        words = shlex.split(example)
        GROUP.commands[name].make_context(name, words[1:])


HEAVY = ("torch", "transformers", "polars", "duckdb", "pyarrow", "numpy", "matplotlib", "scipy")
LIGHT = f"""
import sys
import cli
try:
    cli.main()
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["--help", "run --help", "ls --lake {lake}"])
def test_light_commands_do_not_import_heavy_packages(command, lake):
    rt("sql", "select 1", "--lake", str(lake))  # the catalog is there
    words = [sys.executable, "-c", LIGHT, *command.format(lake=lake).split()]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stderr.splitlines()[-1] == "[]"


def test_ls_brings_the_catalog_up_to_date(tmp_path):
    own = make_lake(tmp_path, planted_influence(30, elbow=15), documents=8, positions=6)
    catalog = own / "warehouse.duckdb"
    for damage in (catalog.unlink, lambda: catalog.write_bytes(b"not a database")):
        damage()
        assert "pairs" in rt("ls", "--lake", str(own)).stdout
        with duckdb.connect(catalog, read_only=True) as con:
            assert con.execute("select count(*) from tokens").fetchone() == (48,)
    moved = own.rename(tmp_path / "moved")
    rt("ls", "--lake", str(moved))
    with duckdb.connect(moved / "warehouse.duckdb", read_only=True) as con:
        assert con.execute("select count(*) from tokens").fetchone() == (48,)


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


def test_a_damaged_manifest_blocks_only_its_own_run(lake, tmp_path):
    lake = shutil.copytree(lake, tmp_path / "lake")
    (whole,) = (path.name.removeprefix("run=") for path in lake.glob("runs/*"))
    shutil.copytree(lake / f"runs/run={whole}", lake / "runs/run=r-damaged")
    at = ("--lake", str(lake))
    listed = rt("ls", *at)
    assert "48 positions" in listed.stdout
    assert re.search(r"^r-damaged  unreadable: .* holds the run", listed.stdout, re.MULTILINE)
    checked = rt("check", *at)
    assert f"{whole}: 6 files as the manifest says" in checked.stdout
    assert "r-damaged: " in checked.stdout
    failed(checked, "1 runs have no readable manifest")
    for command in (("sql", "select run from runs"), ("run", "ranking_reliability"), ("sql",)):
        result = rt(*command, *at, stdin="select run from runs;\n")
        assert result.returncode == 0, result.stderr
        assert whole in result.stdout
        assert "warning: r-damaged is left out: " in result.stderr
    alone = rt("run", "ranking_reliability", *at, "--run", whole)
    assert alone.returncode == 0
    assert "warning" not in alone.stderr
    failed(rt("run", "influence", *at, "--run", "r-damaged"), "holds the run")
    failed(rt("check", "r-dam", *at), "holds the run")
    failed(rt("rm", "r-dam", *at), "is only the beginning", "r-damaged")
    assert rt("rm", "r-damaged", *at).stdout == "removed r-damaged\n"
    assert rt("check", *at).returncode == 0


def test_sql_opens_the_real_shell_read_only(lake, tmp_path):
    shell = rt(
        "sql", "--lake", str(lake), cwd=tmp_path, stdin="select count(*) as n from tokens;\ncreate table t (a int);\n"
    )
    assert "48" in shell.stdout
    assert "read-only" in shell.stderr


def test_the_lake_can_be_named_by_the_environment(lake):
    assert "48 positions" in rt("ls", RT_LAKE=str(lake)).stdout


def test_run_lists_and_prints(lake):
    listed = rt("run", "--list").stdout
    for slug in queries.slugs():
        assert re.search(rf"^{slug} +.*\?$", listed, re.MULTILINE)
    result = rt("run", "influence", "--lake", str(lake), "--format", "csv", "--where", "document < 7")
    assert result.returncode == 0, result.stderr
    found = pl.read_csv(io.StringIO(result.stdout))
    assert found.filter(pl.col("token_class") == "all")["n"].unique().to_list() == [42]


def test_what_the_user_can_mend_is_one_line(lake, tmp_path):
    at = ("--lake", str(lake))
    failed(rt("ls", "--lake", str(tmp_path / "none")), "no lake at", "rt extract")
    failed(rt("sql", "selekt 1", *at))
    failed(rt("sql", "select nothing from tokens", *at), "nothing")
    failed(rt("run", "influenza", *at), "no analysis `influenza`", "influence")
    failed(rt("run", "influence", *at, "--where", "wrong > 1"), "wrong > 1", "target_rank")
    failed(rt("run", "influence", *at, "--rare-quantile", "2"), "--rare-quantile 2")
    failed(rt("run", "influence", *at, "--rare-by", "mood"), "target, input")
    failed(rt("run", "influence", *at, "--run", "r-9999"), "no run r-9999")
    failed(rt("run", "regimes", *at, "--where", "false"), "the condition `false` leaves none of 48 positions")
    failed(rt("report", *at, "--where", "document > 99"), "leaves none of 48 positions")
    failed(rt("run", "spectra", *at), "no values in weights.weight", "rt import")
    failed(rt("check", "", *at), "no run")
    failed(rt("check", "r-9999", *at), "no run r-9999")
    failed(rt("rm", "r-9999", *at), "no run r-9999")
    failed(rt("import", str(tmp_path), *at), "no tokens.parquet")
    failed(rt("verify", "r-", *at), "was imported")
    failed(rt("extract", *at, "--context", "3"), "--context 3")
    failed(rt("report", *at, "--output", str(lake / "warehouse.duckdb" / "r.md")))


def test_wrong_usage_is_exit_code_two(lake):
    assert rt("sql", "select 1", "--lake", str(lake), "--format", "xml").returncode == 2
    assert rt("nothing").returncode == 2


def test_import_check_and_remove(lake, tmp_path):
    source = lake.parent / "source"
    other = tmp_path / "lake"
    imported = rt("import", str(source), "--lake", str(other), "--model", "mine")
    assert re.search(r"imported 48 positions x 30 neurons as r-[0-9a-f]{10}", imported.stdout)
    assert "nothing to do" in rt("import", str(source), "--lake", str(other), "--model", "mine").stdout
    assert "6 files as the manifest says" in rt("check", "--lake", str(other)).stdout
    (path,) = other.glob("runs/*/tokens/*.parquet")
    path.write_bytes(path.read_bytes()[:-5])
    result = rt("check", "--lake", str(other))
    assert "tokens/part-00000.parquet: truncated" in result.stdout
    failed(result, "1 files are not as their manifest says")
    failed(rt("sql", "from tokens", "--lake", str(other)), "tokens/part-00000.parquet has")
    name = rt("ls", "--lake", str(other)).stdout.split()[0]
    assert rt("rm", name, "--lake", str(other)).stdout == f"removed {name}\n"
    assert "no runs" in rt("ls", "--lake", str(other)).stderr
