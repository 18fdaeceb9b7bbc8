import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from extract.importer import import_folder
from tests.lake import make_lake, planted_influence, write_folder
from warehouse.catalog import refresh_catalog
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, QueryError
from warehouse.lake import find_run, open_lake, remove_run
from warehouse.schema import TABLES

SHELL = Path(sys.executable).with_name("duckdb")


@pytest.fixture
def lake(tmp_path):
    return make_lake(tmp_path, planted_influence(20, elbow=10), documents=6, positions=5)


def shell(lake: Path, sql: str, cwd: Path) -> str:
    """The real DuckDB shell on the lake's catalogue, from another working directory."""
    command = [SHELL, "-readonly", "-csv", lake.resolve() / "warehouse.duckdb", "-c", sql]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def test_every_table_has_a_typed_commented_view(lake):
    con = connect(lake)
    for table in TABLES.values():
        found = {row[0]: row[1] for row in con.execute(f"describe {table.name}").fetchall()}
        assert found == {"run": "VARCHAR", **{column.name: column.type for column in table.columns}}
    with duckdb.connect(refresh_catalog(lake), read_only=True) as shell_sees:
        sql = "select comment from duckdb_columns() where table_name = 'tokens'"
        for connection in (con, shell_sees):
            written = connection.execute(sql).fetchall()
            assert written
            assert all(bool(comment) == (connection is shell_sees) for (comment,) in written)


def test_views_of_tables_that_were_never_written_are_typed_and_empty(lake, tmp_path):
    assert frame(connect(lake), "from residuals").height == 0
    assert shell(lake, "select count(*) as n from residuals", tmp_path).split() == ["n", "0"]


def test_shell_query_of_the_documentation_works_from_anywhere(lake, tmp_path):
    sql = "select neuron, avg(abs(delta_loss)) from ablations group by neuron order by neuron"
    ours = frame(connect(lake), sql)
    theirs = pl.read_csv(shell(lake, sql, tmp_path).encode())
    assert ours["neuron"].to_list() == theirs["neuron"].to_list()
    np.testing.assert_allclose(ours[:, 1], theirs[:, 1], rtol=1e-6)


def test_a_moved_lake_is_mended(lake, tmp_path):
    moved = tmp_path / "else where's [1]"
    shutil.move(lake, moved)
    refresh_catalog(moved)
    assert shell(moved, "select count(*) as n from tokens", Path("/")).split() == ["n", "30"]


def test_catalogue_is_left_alone_when_nothing_changed(lake):
    before = (lake / "warehouse.duckdb").stat().st_ino
    refresh_catalog(lake)
    assert (lake / "warehouse.duckdb").stat().st_ino == before


def test_neurons_are_stored_in_order_with_the_declared_encodings(lake):
    import pyarrow.parquet as pq

    (path,) = lake.glob("runs/run=*/neuron_tokens/*.parquet")
    table = pq.read_table(path, partitioning=None)
    keys = pl.from_arrow(table)
    assert keys.equals(keys.sort("neuron", "token_index"))
    columns = pq.read_metadata(path).row_group(0)
    for index in range(columns.num_columns):
        column = columns.column(index)
        wanted = "BYTE_STREAM_SPLIT" if column.physical_type == "FLOAT" else "DELTA_BINARY_PACKED"
        assert wanted in column.encodings
        assert column.compression == "ZSTD"


def test_other_engines_read_the_files_without_rt(lake):
    found = pl.scan_parquet(lake / "runs/*/neuron_tokens/*.parquet", hive_partitioning=True).collect()
    assert found.height == 600
    assert found["run"].unique().to_list() == [open_lake(lake).runs[0].name]


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "truncated"),
        (flip_a_byte, "altered"),
    ],
)
def test_check_names_every_fault(lake, harm, fault):
    (path,) = lake.glob("runs/run=*/neuron_tokens/*.parquet")
    harm(path)
    (found,) = open_lake(lake).runs[0].faults()
    assert found.startswith(f"neuron_tokens/part-00000.parquet: {fault}")


def test_a_truncated_or_missing_file_is_named_before_any_query(lake):
    (path,) = lake.glob("runs/run=*/tokens/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LakeError, match=r"tokens/part-00000.parquet has [\d,]+ of [\d,]+ bytes"):
        connect(lake)
    path.unlink()
    with pytest.raises(LakeError, match="is missing"):
        connect(lake)


def test_an_unknown_file_is_a_fault(lake):
    (path,) = lake.glob("runs/run=*/tokens/*.parquet")
    shutil.copy(path, path.with_name("part-9.parquet"))
    assert open_lake(lake).runs[0].faults() == ["tokens/part-9.parquet: not in the manifest"]
    with pytest.raises(LakeError, match=r"tokens/part-9.parquet is not in the run's manifest"):
        connect(lake)


def test_no_lake_and_a_file_instead_of_one(tmp_path):
    with pytest.raises(LakeError, match="no lake at"):
        connect(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="is a file"):
        connect(tmp_path / "file")


def test_a_run_is_found_by_the_beginning_of_its_id(lake):
    name = open_lake(lake).runs[0].name
    assert find_run(lake, name[:6]).name == name
    with pytest.raises(LakeError, match="no run r-zzz"):
        find_run(lake, "r-zzz")


def test_where_chooses_positions_and_run_chooses_runs(lake):
    name = open_lake(lake).runs[0].name
    con = connect(lake, [name], "document < 2")
    assert con.execute("select count(*) from tokens").fetchone() == (10,)
    with pytest.raises(QueryError, match="cannot use the condition `nothing = 1`"):
        connect(lake, where="nothing = 1")
    for nothing in ("false", "document > 99", "null", "false -- or not"):
        with pytest.raises(QueryError, match=f"the condition `{nothing}` leaves none of 30 positions"):
            connect(lake, where=nothing)
    for broken in ("true) --", "true; drop view tokens", "true) or (true"):
        with contextlib.suppress(QueryError):
            assert frame(connect(lake, [name], broken), "from tokens").height == 30
    with pytest.raises(LakeError, match="no run r-x"):
        connect(lake, ["r-x"])


def test_removing_the_last_run_leaves_an_empty_lake(lake, tmp_path):
    remove_run(lake, open_lake(lake).runs[0].name)
    refresh_catalog(lake)
    assert open_lake(lake).runs == ()
    assert frame(connect(lake), "from tokens").height == 0
    assert shell(lake, "select count(*) as n from tokens", tmp_path).split() == ["n", "0"]


def test_a_query_that_does_not_fit_is_one_line(lake):
    with pytest.raises(QueryError) as error:
        frame(connect(lake), "select nothing from tokens")
    assert "\n" not in error.value.message


def test_a_lake_on_a_read_only_catalogue_is_still_read(lake):
    with duckdb.connect(lake / "warehouse.duckdb", read_only=True):
        assert frame(connect(lake), "select count(*) as n from tokens")["n"].item() == 30
        refresh_catalog(lake)


def test_runs_are_joined_with_their_own_positions_only(lake, tmp_path):
    """With several runs, with one of them chosen, and in the shell, the sums of a run are the same."""
    source = write_folder(tmp_path / "other", planted_influence(20, elbow=10), documents=6, positions=5, seed=1)
    import_folder(source, lake, "other", "simulated", "simulated counts", say=lambda line: None)
    sums = "from document_influence() order by run, token_class, document, neuron"
    together = frame(connect(lake), sums)
    names = [run.name for run in open_lake(lake).runs]
    assert len(names) == 2
    alone = pl.concat([frame(connect(lake, [name]), sums) for name in sorted(names)])
    assert together["n_positions"].sum() == 2 * 20 * 30
    assert_frame_equal(together, alone, rel_tol=1e-12)
    with duckdb.connect(lake / "warehouse.duckdb", read_only=True) as con:
        assert_frame_equal(con.sql(sums).pl(), alone, rel_tol=1e-12)
