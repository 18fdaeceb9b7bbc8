import duckdb
import pytest

from warehouse.connection import connect, frame
from warehouse.errors import QueryError, RtError
from warehouse.statements import reading_statements

READING = (
    "select 1",
    "from tokens",
    "-- a comment\nfrom tokens",
    "describe tokens",
    "summarize tokens",
    "show tables",
    "values (1)",
    "with x as (select 1) from x",
    "explain select 1",
    "explain analyze select 1",
    "explain (analyze, format json) select 1",
    "pivot tokens on document using count(*)",
    "/* c */ from (pivot tokens on document)",
)
WRITING = (
    "create table t as select 1",
    "create temp table t (a int)",
    "create or replace view tokens as select 1",
    "drop view tokens",
    "insert into t values (1)",
    "with x as (select 1) insert into t from x",
    "update t set a = 1",
    "delete from t",
    "copy tokens to 'x.csv'",
    "copy (pivot tokens on document) to 'x.csv'",
    "explain analyze copy tokens to 'x.csv'",
    "explain /* a */ analyze copy tokens to 'x.csv'",
    "explain (analyze) copy tokens to 'x.csv'",
    "export database 'x'",
    "import database 'x'",
    "attach 'x.duckdb'",
    "install httpfs",
    "load httpfs",
    "set threads = 1",
    "pragma enable_profiling",
    "call enable_logging()",
    "use memory",
    "begin",
    "checkpoint",
    "vacuum",
    "prepare x as select 1",
    "select 1; drop view tokens",
)


@pytest.mark.parametrize("sql", READING)
def test_what_reads_is_run(sql):
    assert len(reading_statements(sql)) == 1


@pytest.mark.parametrize("sql", WRITING)
def test_what_could_write_is_refused_by_name(sql):
    with pytest.raises(QueryError, match=r"rt sql only reads; it does not run [A-Z]+$") as error:
        reading_statements(sql)
    assert "--output FILE" in error.value.hint


def test_statements_are_told_apart():
    assert len(reading_statements("select ';'; select 2;; -- three\nselect 3;")) == 3
    for nothing in ("", ";", "-- nothing"):
        with pytest.raises(QueryError, match="no statement to run"):
            reading_statements(nothing)


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("selekt 1", 'syntax error at or near "selekt"', "at: selekt 1"),
        ("select window from tokens", "syntax error", 'write tokens.window or "window"'),
    ],
)
def test_a_syntax_error_is_shown_where_it_is(sql, message, hint):
    with pytest.raises(QueryError, match=message) as error:
        reading_statements(sql)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("select neurn from neurons", 'Referenced column "neurn" not found', 'Candidate bindings: "neuron"'),
        ("from token", "Table with name token does not exist", "tables and views are: ablations, activations, "),
        ("from token", "Table with name token does not exist", 'Did you mean "tokens"?'),
        ("select neuron, count(*) from neurons", 'column "neuron" must appear in the GROUP BY', "Either add it"),
        ("select 'x'::int", "Could not convert string 'x' to INT32", ""),
        ("select interval 1 day", "a column has a type that cannot be shown", "cast it"),
        ("from read_csv('/none.csv')", "No files found", "rt check"),
    ],
)
def test_what_duckdb_says_is_passed_on_with_its_suggestion(tmp_path, sql, message, hint):
    (tmp_path / "runs").mkdir()
    with pytest.raises(RtError) as error:
        frame(connect(tmp_path), sql)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert hint in error.value.hint


def test_functions_that_open_files_to_write_are_locked(tmp_path):
    con = duckdb.connect()
    con.execute("set lock_configuration = true")
    with pytest.raises(QueryError, match="locked"):
        frame(con, f"from enable_logging(storage = 'file', storage_path = '{tmp_path / 'log'}')")
    assert not (tmp_path / "log").exists()
