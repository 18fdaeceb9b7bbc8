"""What every analysis keeps to; the folder listing names them."""

import json
import os
import re
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import queries
from calibration.trajectories import write_states
from extract.importer import import_folder
from queries.needs import TRAJECTORY
from reports.charts import kinds
from reports.markdown import fill_in
from reports.markdown import table as markdown_table
from tests.atoms import add_atoms
from tests.heads import write_heads
from tests.lake import make_lake, planted_influence, write_folder
from tests.layers import add_layers
from tests.sweep import emerging, make_sweep
from warehouse.connection import connect, frame
from warehouse.lake import open_lake, remove_run
from warehouse.schema import TABLES
from warehouse.sweeps import last_checkpoints
from warehouse.trajectories import COLUMNS, add_states

ROOT = Path(__file__).parents[2]
SLUGS = queries.slugs()


def one_run(folder):
    lake = make_lake(
        folder, planted_influence(120, n_plateau=12, elbow=60),
        documents=12, positions=20, d_model=32, frozen=True, losses=True,
    )  # fmt: skip
    write_heads(lake)
    add_layers(lake)
    add_atoms(lake)
    return lake


def two_corpora(folder):
    for seed, corpus in enumerate(("one", "other")):
        influence = np.roll(planted_influence(40), 4 * seed)
        source = write_folder(folder / corpus, influence, documents=8, positions=20, seed=seed)
        import_folder(source, folder / "lake", "planted", corpus, "simulated counts", say=lambda line: None)
    return folder / "lake"


def swept(folder):
    """Four checkpoints, for analyses over training steps."""
    return make_sweep(folder, emerging(), d_model=32)


def trajectories(folder):
    """A lake beside files of trajectories, which the connections to it see too."""
    (folder / "trajectories").mkdir()
    for decay, middle in ((0.1, 700), (0.3, 300), (0.5, 150), (1.0, 60), (0.0, 1e9)):
        path = folder / f"trajectories/decay-{decay}.parquet"
        write_states(path, "late_escape", middle=middle, weight_decay=decay)
    return make_lake(folder, planted_influence(6, elbow=3), documents=5, positions=4)


def opened(lake, runs=()):
    con = connect(lake, runs)
    con.execute("set threads = 1")
    if files := sorted(lake.parent.glob("trajectories/*.parquet")):
        add_states(con, files)
    return con


# The lakes of analyses that one run is not enough for.
LAKES = {"corpus_contrast": two_corpora, "dynamics": swept, "phase": trajectories, "grokking": trajectories}


@pytest.fixture(scope="session")
def lake_of(tmp_path_factory):
    """The lake of an analysis, each kind made once."""
    made = cache(lambda make: make(tmp_path_factory.mktemp("contract")))
    return lambda slug: made(LAKES.get(slug, one_run))


@pytest.fixture
def lake(slug, lake_of):
    return lake_of(slug)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory):
    lake = make_lake(tmp_path_factory.mktemp("empty"), planted_influence(6, elbow=3), documents=2, positions=2)
    remove_run(lake, open_lake(lake).runs[0].name)
    return lake


def connected(lake):
    """A session as a report has one: of a sweep, all but analyses over steps see the last checkpoint."""

    runs = open_lake(lake).runs
    steps = partial(opened, lake, [run.name for run in runs])
    return queries.Session(opened(lake, last_checkpoints(runs)), steps=steps)


@pytest.fixture(scope="session")
def session_of():
    """A session on a lake, one for all analyses of it."""
    return cache(connected)


@pytest.fixture
def session(lake, session_of):
    return session_of(lake)


def prepared(con, slug, session):
    """The connection with the tables of the analyses that `slug` uses, as a report's folder has them in Parquet."""
    for used in queries.load(slug).uses:
        con.register(used, session.table(queries.load(used)).to_arrow())
    return con


@pytest.mark.parametrize("slug", SLUGS)
def test_the_folder_is_the_index(slug):
    for path in (
        f"queries/{slug}.py",
        f"queries/{slug}.sql",
        f"tests/queries/test_{slug}.py",
        f"tests/golden/{slug}.md",
        f"docs/methods/{slug}.md",
    ):
        assert (ROOT / path).is_file(), path


# Columns with a value per position, or of many per neuron: where the bytes of a lake are.
LARGE = {"delta_loss", "delta_frozen_norm", "delta_frozen_frequency", "activation", "weight", "state", "sum_abs_change"}


def columns_scanned(plan):
    """The large columns that each scan of a physical plan reads."""
    if plan["name"].strip() == "READ_PARQUET":
        read = plan["extra_info"].get("Projections", [])
        yield LARGE & set([read] if isinstance(read, str) else read)
    for child in plan["children"]:
        yield from columns_scanned(child)


@pytest.mark.parametrize("slug", SLUGS)
def test_nothing_large_is_read_twice(slug, lake, session):
    analysis = queries.load(slug)
    con = prepared(opened(lake), slug, session)
    sql = queries.statement(analysis.sql)
    named = {name: value for name, value in queries.PARAMETERS.items() if f"${name}" in sql}
    ((_, plan),) = con.execute(f"explain (format json) {sql}", named).fetchall()
    read = [name for columns in columns_scanned(json.loads(plan)[0]) for name in columns]
    assert sorted(read) == sorted(set(read))
    if analysis.matrix:  # its values come by a scan of their own
        assert not read or read == ["weight"]


@pytest.mark.parametrize("slug", SLUGS)
def test_it_says_what_it_is(slug):
    analysis = queries.load(slug)
    assert analysis.question.endswith("?")
    assert "\n" not in analysis.question
    assert all((analysis.explanation, analysis.caveats, analysis.source, analysis.unit, analysis.resampled))
    assert analysis.chart.kind in kinds()
    assert set(analysis.chart.tables) <= set(SLUGS)
    for need in analysis.needs:
        table, column = need.split(".")
        assert column in (COLUMNS if table == TRAJECTORY else {each.name for each in TABLES[table].columns})


@pytest.mark.parametrize("slug", SLUGS)
def test_its_sql_keeps_its_grain_and_order(slug, lake, session):
    sql = queries.load(slug).sql
    grain = re.search(r"^-- Grain: one row per \((.*)\)\.$", sql, re.MULTILINE).group(1)
    assert re.search(rf"order by {re.escape(grain)};?\s*$", sql)
    named = {name: value for name, value in queries.PARAMETERS.items() if f"${name}" in sql}
    rows = frame(prepared(opened(lake), slug, session), sql, named)
    keys = grain.split(", ")
    assert rows.height > 0
    assert rows.select(keys).equals(rows.select(keys).unique().sort(keys))


@pytest.mark.parametrize("slug", SLUGS)
def test_its_sql_runs_as_it_stands_in_the_shell(slug, lake, session):
    sql = fill_in(queries.load(slug).sql, queries.PARAMETERS)
    with duckdb.connect(lake / "warehouse.duckdb", read_only=True) as con:
        if files := sorted(lake.parent.glob("trajectories/*.parquet")):
            add_states(con, files)
        assert prepared(con, slug, session).execute(sql).fetchall()


@pytest.mark.parametrize("slug", SLUGS)
def test_its_table_is_as_declared(slug, session):
    analysis = queries.load(slug)
    table = session.table(analysis)
    assert table.columns == [*analysis.keys, *queries.ESTIMATE, *analysis.columns]
    assert table.height > 0
    assert table.select(analysis.keys).is_unique().all()
    known = table.filter(pl.all_horizontal(pl.col("estimate", "low", "high").is_finite()))
    assert known.height > 0
    assert known.filter((pl.col("low") > pl.col("estimate")) | (pl.col("high") < pl.col("estimate"))).height == 0
    for name in ("p", "q", "p_noise", "p_smooth", "q_smooth"):
        if name in table.columns:
            values = table[name].drop_nulls().drop_nans()
            assert values.is_between(0, 1, closed="right").all(), name
    unknown = table.filter(~pl.col("low").is_finite() | pl.col("low").is_null())
    if unknown.height:
        assert unknown["reason"].str.len_chars().min() > 0
    assert analysis.answer(table).strip()
    assert 0 < analysis.excerpt(table).height <= 60


@pytest.mark.parametrize("slug", SLUGS)
def test_the_same_seed_gives_the_same_table(slug, session, lake):
    analysis = queries.load(slug)
    assert connected(lake).table(analysis).equals(session.table(analysis), null_equal=True)


@pytest.mark.parametrize("slug", SLUGS)
def test_it_runs_on_an_empty_lake(slug, empty_lake, session):
    analysis = queries.load(slug)
    table = queries.run(connect(empty_lake), analysis)
    assert table.is_empty()
    assert table.schema == session.table(analysis).schema


@pytest.mark.parametrize("slug", SLUGS)
def test_golden(slug, session):
    analysis = queries.load(slug)
    table = session.table(analysis)
    text = f"# {slug}\n\n{analysis.answer(table)}\n\n{markdown_table(table.head(60))}\n"
    ids = table["run"].unique(maintain_order=True)
    for i, run in enumerate(ids.filter(ids.str.starts_with("r-"))):
        text = text.replace(run, f"RUN{i or ''}")  # it depends on the bytes that another version of Parquet writes
    path = ROOT / f"tests/golden/{slug}.md"
    if os.environ.get("RT_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "if the difference is meant: make golden"


@pytest.mark.parametrize("slug", ["influence", "ranking_reliability", "plateau_stability"])
def test_a_run_has_the_same_numbers_whatever_else_is_in_the_lake(slug, lake, session):
    analysis = queries.load(slug)
    alone = session.table(analysis)
    rows = frame(prepared(connect(lake), slug, session), analysis.sql, {**queries.PARAMETERS})
    other = rows.with_columns(pl.lit("r-0").alias("run"))
    beside = queries.Session(session.con)._estimate(analysis, pl.concat([other, rows]))
    assert beside.filter(pl.col("run") != "r-0").equals(alone)
    assert beside.filter(pl.col("run") == "r-0").drop("run").equals(alone.drop("run"))


@pytest.mark.parametrize("slug", SLUGS)
def test_numbers_of_documents_and_positions_are_names(slug, lake, session):
    """Any other numbers in the same order give the same table: nothing is computed from an id."""
    analysis = queries.load(slug)
    named = {name: value for name, value in queries.PARAMETERS.items() if f"${name}" in analysis.sql}
    rows = session.valued(analysis, frame(prepared(connect(lake), slug, session), analysis.sql, named))
    ids = [name for name in ("document", "token_index") if rows.schema.get(name, pl.String).is_integer()]
    other = rows.with_columns((pl.col(name) * 7 + 1000).cast(rows.schema[name]) for name in ids)
    if ids:
        again = queries.Session(session.con)._estimate(replace(analysis, matrix=""), other)
        assert again.equals(session.table(analysis), null_equal=True)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_key_has_a_meaning(slug):
    analysis = queries.load(slug)
    assert all(analysis.meanings.get(name) for name in analysis.keys)


@pytest.mark.parametrize("slug", SLUGS)
def test_its_claims_have_at_most_one_answer_a_run(slug, session):
    analysis = queries.load(slug)
    table = session.table(analysis)
    for claim in analysis.claims:
        found = claim.findings(table)
        assert found.schema == queries.FINDING
        assert found["run"].is_unique().all()
        assert found.height == 1 or "side gate" in claim.statement  # which not every model has
        assert set(found["verdict"].drop_nulls()) <= {"supported", "contradicted", "undecidable"}
        assert found.filter((pl.col("low") > pl.col("estimate")) | (pl.col("high") < pl.col("estimate"))).is_empty()
        assert claim.findings(table.clear()).is_empty()
