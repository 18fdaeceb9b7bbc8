"""The SQL of a report, pasted into the shell on the lake, gives the rows that the report was made from."""

import re

import duckdb
import pytest
from polars.testing import assert_frame_equal

import queries
from reports.provenance import Source
from reports.report import write_report
from tests.lake import make_lake, planted_influence
from warehouse.catalog import refresh_catalog
from warehouse.connection import connect, frame

WHERE = "target_id % 3 > 0"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pasted")
    made = make_lake(folder, planted_influence(60, n_plateau=8, elbow=30), documents=8, positions=12)
    refresh_catalog(made)
    return made


@pytest.mark.parametrize("slug", ["ranking_reliability", "frequency_curve"])
def test_it_gives_the_rows_of_the_chosen_positions(slug, lake, tmp_path, monkeypatch):
    con = connect(lake, where=WHERE)
    report = write_report(con, tmp_path / "report.md", only=[slug], source=Source(WHERE), strict=True)
    sql = re.search(r"```sql\n(.*?)```", report.path.read_text(), re.DOTALL).group(1)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(lake / "warehouse.duckdb", read_only=True) as shell:
        *views, last = duckdb.extract_statements(sql)
        for view in views:
            shell.execute(view)
        pasted = shell.sql(last.query).pl()
    # the report left the tables that the SQL reads in `con`
    named = {name: value for name, value in queries.PARAMETERS.items() if f"${name}" in queries.load(slug).sql}
    assert_frame_equal(pasted, frame(con, queries.load(slug).sql, named))
    assert frame(con, "from tokens").height < frame(connect(lake), "from tokens").height
