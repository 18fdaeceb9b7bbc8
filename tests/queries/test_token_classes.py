"""The macros `token_classes` and `document_influence` on hand-made tables: which tokens are rare, and the sums."""

import json

import duckdb
import pytest

from queries import FOLDER

SQL = FOLDER.parent / "warehouse" / "sql"


@pytest.fixture
def con():
    """Two documents of run r-1; types 0..9 have frequency ranks 1..10, type 10 (a control token) has none."""
    con = duckdb.connect()
    con.execute("set threads = 1")
    con.execute(
        "create table vocabulary as "
        "select 'r-1' as run, i::int as token_id, (i + 1)::int as frequency_rank from range(10) t(i)"
    )
    con.execute("insert into vocabulary values ('r-1', 10, null)")
    con.execute(
        "create table tokens as select * from (values ('r-1', 0, 0, 0, 4), ('r-1', 1, 0, 4, 5), ('r-1', 2, 0, 5, 10), "
        "('r-1', 3, 7, 9, 9)) t(run, token_index, document, token_id, target_id)"
    )
    con.execute(
        "create table ablations as select 'r-1' as run, n::int as neuron, t::int as token_index, "
        "((n + 1) * (t - 1))::float as delta_loss from range(2) a(n), range(4) b(t)"
    )
    for name in ("01_same_position", "10_token_classes", "20_document_influence"):
        con.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))
    yield con
    con.close()


def classes(con, *parameters):
    rows = con.execute(f"select token_index, token_class from token_classes({', '.join(parameters)})").fetchall()
    return dict(sorted(rows))


def test_rare_is_the_bottom_half_of_the_types_by_target(con):
    assert classes(con) == {0: "common", 1: "rare", 3: "rare"}  # the control token has no class


def test_rare_by_input_and_another_quantile(con):
    assert classes(con, "rare_by := 'input'") == {0: "common", 1: "common", 2: "rare", 3: "rare"}
    assert classes(con, "rare_quantile := 0.1") == {0: "common", 1: "common", 3: "rare"}
    # 0.9 of 10 types are 9, though 1 - 0.9 is a little less than 0.1 in floating point
    assert classes(con, "rare_quantile := 0.9", "rare_by := 'input'")[0] == "common"
    assert classes(con, "rare_quantile := 0.9", "rare_by := 'input'")[1] == "rare"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("rare_quantile := 1.0", "rare_quantile is 1.0; it must be between 0 and 1"),
        ("rare_quantile := 0", "rare_quantile is 0"),
        ("rare_quantile := null", "rare_quantile is null"),
        ("rare_by := 'loss'", "rare_by is loss; it must be 'target' or 'input'"),
    ],
)
def test_wrong_parameters_are_named(con, parameters, words):
    with pytest.raises(duckdb.Error, match=words):
        con.execute(f"select * from token_classes({parameters})").fetchall()
    con.execute("delete from tokens")  # also where there is nothing to classify
    with pytest.raises(duckdb.Error, match=words):
        con.execute(f"select * from token_classes({parameters})").fetchall()


def test_sums_per_document(con):
    rows = con.execute(
        "select token_class, document, neuron, n_positions, sum_delta, sum_abs_delta from document_influence() "
        "order by all"
    ).fetchall()
    assert rows == [
        ("common", 0, 0, 1, -1.0, 1.0),
        ("common", 0, 1, 1, -2.0, 2.0),
        ("rare", 0, 0, 1, 0.0, 0.0),
        ("rare", 0, 1, 1, 0.0, 0.0),
        ("rare", 7, 0, 1, 2.0, 2.0),
        ("rare", 7, 1, 1, 4.0, 4.0),
    ]


@pytest.mark.parametrize("slug", ["influence", "ranking_reliability", "regimes"])
def test_queries_take_the_parameters_and_return_the_sums(con, slug):
    sql = (FOLDER / f"{slug}.sql").read_text(encoding="utf-8")
    rows = con.sql(sql, params={"rare_quantile": 0.5, "rare_by": "target"})
    assert rows.columns == ["run", "token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta"]
    assert len(rows.fetchall()) == 6


def test_positions_are_not_paired_with_the_whole_vocabulary(con):
    """No step of the plan has more rows than positions and types together."""
    con.execute(
        "insert into vocabulary select 'r-2', i::int, (i + 1)::int from range(3000) t(i);"
        "insert into tokens select 'r-2', i::int, 0, (i % 3000)::int, (7 * i % 3000)::int from range(2000) t(i)"
    )
    for decider in ("target", "input"):
        query = f"explain (analyze, format json) select count(*) from token_classes(rare_by := '{decider}')"
        plan = json.loads(con.execute(query).fetchall()[0][1])
        assert largest(plan) <= 5100


def largest(step):
    """Rows of the largest step of a plan."""
    return max(step.get("operator_cardinality", 0), *(largest(each) for each in step.get("children", [])), 0)
