"""Rows that come piece by piece are those of the statement, in its order."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from queries import Session, load
from queries.pieces import in_pieces
from queries.stats.phase_track import Effort
from warehouse.connection import frame
from warehouse.trajectories import connect_states

ORDER = ("run", "representation", "step", "sample")
SQL = f"select * from trajectory_states order by {', '.join(ORDER)}"


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    """Two files; the numbers of the samples of one leave a gap, and are below zero."""
    paths = []
    for name, samples in (("b", range(40)), ("a", [-9, -8, 1, 2, 3, 10**15, 10**15 + 1])):
        rows = [
            {"step": step, "sample": i, "vector": [float(i % 7), float(step), 1.0]}
            for step in (0, 8, 2)
            for i in samples
        ]
        paths.append(tmp_path_factory.mktemp("pieces") / f"{name}.parquet")
        pl.DataFrame(rows).reverse().write_parquet(paths[-1])
    return connect_states(paths)


@pytest.mark.parametrize("most", [1, 3, 40, 1000])
def test_they_are_the_rows_of_the_statement_in_its_order(con, most, monkeypatch):
    monkeypatch.setattr("queries.pieces.N_ROWS", most)
    found = list(in_pieces(con, SQL, {}, ORDER))
    assert pl.concat(found).equals(frame(con, SQL), null_equal=True)
    # ranges are of equal width: a gap makes fewer rows of one and more of another
    assert all(part.height <= most for part in found if part["run"][0] == "b")


def test_they_are_ordered_however_the_statement_is(con):
    found = pl.concat(in_pieces(con, "select * from trajectory_states where step > $least;", {"least": 1}, ORDER))
    assert found.equals(frame(con, SQL).filter(pl.col("step") > 1), null_equal=True)


def test_what_is_read_in_smaller_pieces_is_the_same_table(con, monkeypatch):
    phase = load("phase").with_effort(Effort(nulls=1, restarts=1, updates=5))
    whole = Session(con).table(phase)
    monkeypatch.setattr("queries.pieces.N_ROWS", 13)
    # moments are merged in other parts, so that they are rounded otherwise
    assert_frame_equal(Session(con).table(phase), whole, rel_tol=1e-6)
