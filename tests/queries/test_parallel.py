"""Tables computed side by side: the same as one after the other, and errors that keep to their own analysis."""

import os
from functools import partial

import pytest

import queries
from queries import Session, load
from queries.parallel import processes, tables
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect
from warehouse.errors import QueryError, RtError


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return make_lake(tmp_path_factory.mktemp("parallel"), planted_influence(60, elbow=30), documents=12, positions=6)


def test_the_tables_are_those_of_one_session(lake):
    said = []
    found = tables(partial(connect, lake), ["influence", "frequency_curve"], 3, queries.PARAMETERS, 2, said.append)
    assert sorted(found) == ["frequency_curve", "influence", "plateau_stability"]
    assert sorted(said) == [f"analysing {slug}" for slug in sorted(found)]
    with connect(lake) as con:
        session = Session(con, 3)
        for slug, table in found.items():
            assert table.equals(session.table(load(slug)), null_equal=True), slug


def test_an_error_is_that_of_its_analysis(lake):
    wrong = {**queries.PARAMETERS, "rare_by": "neither"}
    found = tables(partial(connect, lake), ["frequency_curve"], 0, wrong, 2, lambda line: None)
    assert isinstance(found["plateau_stability"], QueryError)
    assert found["frequency_curve"] is found["plateau_stability"]


def test_a_process_that_is_killed_is_an_error_with_a_hint(lake):
    with pytest.raises(RtError, match="ended from outside") as error:
        tables(partial(os._exit, 9), ["influence"], 0, queries.PARAMETERS, 1, lambda line: None)
    assert "--processes 1" in error.value.hint


def test_processes_are_those_of_this_machine():
    assert 1 <= processes() <= 4
