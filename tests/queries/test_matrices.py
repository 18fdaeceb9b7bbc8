"""The values of all neurons at the positions of a run, as an array beside the rows."""

import numpy as np
import polars as pl
import pytest

from queries import Session, load
from queries.matrices import with_values
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect, frame

SQL = "select run, token_index, document from tokens order by run, token_index"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    made = tmp_path_factory.mktemp("matrices")
    return make_lake(made, planted_influence(40, n_plateau=6, elbow=20), documents=6, positions=10)


@pytest.mark.parametrize("of", ["activations.activation", "ablations.delta_loss"])
@pytest.mark.parametrize("n_rows", [1 << 20, 77])
def test_it_is_the_pivot_of_the_view(lake, of, n_rows, monkeypatch):
    monkeypatch.setattr("queries.matrices.N_ROWS", n_rows)
    con = connect(lake)
    view, column = of.split(".")
    found = with_values(con, frame(con, SQL), of)
    long = frame(con, f"select token_index, neuron, {column} from {view}")
    pivot = long.sort("neuron").pivot("neuron", index="token_index", values=column).sort("token_index")
    assert found[column].dtype == pl.Array(pl.Float32, 40)
    np.testing.assert_array_equal(found[column].to_numpy(), pivot.drop("token_index").to_numpy())
    assert found.drop(column).equals(frame(con, SQL))


def test_only_the_positions_of_the_rows_in_their_order(lake):
    con = connect(lake)
    rows = frame(con, SQL)
    some = rows.filter(pl.col("document") != 2).reverse()
    everything = with_values(con, rows, "activations.activation")
    found = with_values(con, some, "activations.activation")
    assert found.equals(everything.filter(pl.col("document") != 2).reverse())


def test_a_position_that_lacks_a_neuron_is_null_and_a_run_without_values_has_no_rows(lake):
    con = connect(lake)
    con.execute("create or replace temp view fewer as from activations where not (token_index = 7 and neuron = 3)")
    con.execute("create or replace temp view nothing as from activations where false")
    found = with_values(con, frame(con, SQL), "fewer.activation")
    assert found.filter(pl.col("activation").is_null())["token_index"].to_list() == [7]
    assert with_values(con, frame(con, SQL), "nothing.activation").is_empty()


def test_a_session_reads_the_matrix_of_a_run_once(lake, monkeypatch):
    read = []

    def counted(con, rows, of):
        read.append((rows["run"][0], of))
        return with_values(con, rows, of)

    monkeypatch.setattr("queries.with_values", counted)
    session = Session(connect(lake))
    for slug in ("coactivation", "effective_dimension", "plateau_contrast"):
        session.table(load(slug))
    assert [of for _, of in read] == ["activations.activation", "ablations.delta_loss"]
