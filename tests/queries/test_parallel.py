"""Tables computed side by side: the same as one after the other, and errors that keep to their own analysis."""

import os
from functools import partial

import pytest

import queries
from queries import Session, load
from queries.parallel import Workers, processes
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect
from warehouse.errors import QueryError, RtError


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return make_lake(tmp_path_factory.mktemp("parallel"), planted_influence(60, elbow=30), documents=12, positions=6)


def test_the_tables_are_those_of_one_session(lake):
    said = []
    with Workers(partial(connect, lake), 3, queries.PARAMETERS, 2) as workers:
        found = workers.tables(["influence", "frequency_curve"], said.append)
    assert sorted(found) == ["frequency_curve", "influence", "plateau_stability"]
    assert sorted(said) == [f"analysing {slug}" for slug in sorted(found)]
    with connect(lake) as con:
        session = Session(con, 3)
        for slug, table in found.items():
            assert table.equals(session.table(load(slug)), null_equal=True), slug


def test_an_error_is_that_of_its_analysis(lake):
    wrong = {**queries.PARAMETERS, "rare_by": "neither"}
    with Workers(partial(connect, lake), 0, wrong, 2) as workers:
        found = workers.tables(["frequency_curve"], lambda line: None)
    assert isinstance(found["plateau_stability"], QueryError)
    assert found["frequency_curve"] is found["plateau_stability"]


def test_a_process_that_is_killed_is_an_error_with_a_hint(lake):
    ended = pytest.raises(RtError, match="ended from outside")
    with Workers(partial(os._exit, 9), 0, queries.PARAMETERS, 1) as workers, ended as error:
        workers.tables(["influence"], lambda line: None)
    assert "--processes 1" in error.value.hint


def test_other_work_is_given_back_with_what_it_raises(lake):
    with Workers(partial(connect, lake), 0, queries.PARAMETERS, 2) as workers:
        assert workers.start(os.getpid)() != os.getpid()
        with pytest.raises(ValueError, match="invalid literal"):
            workers.start(partial(int, "?"))()
        with pytest.raises(RtError, match="ended from outside"):
            workers.start(partial(os._exit, 9))()
        with pytest.raises(RtError, match="ended from outside"):
            workers.start(os.getpid)


def test_processes_are_those_of_this_machine():
    assert 1 <= processes() <= 4
