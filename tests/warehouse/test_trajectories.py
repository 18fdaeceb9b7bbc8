"""Files of trajectories: what is one, what is refused and how it is said; and the view of a sweep in a lake."""

import numpy as np
import polars as pl
import pytest

from tests.lake import planted_influence
from tests.sweep import make_sweep
from warehouse.connection import batches, connect, frame
from warehouse.errors import QueryError
from warehouse.trajectories import COLUMNS, connect_states


def rows(steps=(0, 1), samples=3, width=2):
    step = np.repeat(steps, samples)
    sample = np.tile(np.arange(samples), len(steps))
    return pl.DataFrame({"step": step, "sample": sample}).with_columns(
        vector=pl.Series(np.arange(len(step) * width, dtype=np.float32).reshape(-1, width)).arr.to_list()
    )


def write(path, table):
    path.parent.mkdir(exist_ok=True, parents=True)
    table.write_parquet(path)
    return path


def test_columns_are_those_of_the_view_whatever_the_file_has(tmp_path):
    made = rows().with_columns(label=pl.lit("a"), loss=1.5, document=pl.lit(7))
    con = connect_states([write(tmp_path / "a.parquet", made)])
    found = frame(con, "from trajectory_states order by step, sample")
    assert tuple(found.columns) == COLUMNS
    assert found["run"].unique().to_list() == ["a"]
    assert found["document"].unique().to_list() == ["7"]
    assert found["seed"].null_count() == 6
    assert found["vector"].to_list() == made["vector"].to_list()


@pytest.mark.parametrize("kind", [pl.Array(pl.Float64, 2), pl.List(pl.Int16), pl.List(pl.Float32)])
def test_any_list_of_numbers_will_do(tmp_path, kind):
    con = connect_states([write(tmp_path / "a.parquet", rows().cast({"vector": kind}))])
    assert frame(con, "from trajectory_states")["vector"].dtype == pl.List(pl.Float32)


def test_files_are_called_by_as_much_of_their_path_as_tells_them_apart(tmp_path):
    paths = [write(tmp_path / name / "states.parquet", rows()) for name in ("one", "other's")]
    found = frame(connect_states(paths), "select distinct run from trajectory_states order by run")
    assert found["run"].to_list() == ["one/states", "other's/states"]
    with pytest.raises(QueryError, match="twice"):
        connect_states([paths[0], paths[0]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop("sample"), "lacks sample; it has step, vector"),
        (lambda t: t.cast({"step": pl.Float64}), "`step` is DOUBLE, not an integer"),
        (lambda t: t.with_columns(vector=pl.lit("x")), "`vector` is VARCHAR, not a list of numbers"),
        (lambda t: t.with_columns(loss=pl.lit("x")), "`loss` is VARCHAR, not a number"),
        (lambda t: t.clear(), "has no rows"),
        (lambda t: t.filter(pl.col("step") == 1), "one step only, 1"),
        (lambda t: t.with_columns(step=pl.col("step") - 1), "has the step -1"),
        (lambda t: pl.concat([t, t[:1]]), "sample 0 is twice at step 0"),
        (lambda t: t.with_columns(loss=pl.col("sample").cast(pl.Float64)), "`loss` differs within step 0"),
        (lambda t: t.with_columns(sample=pl.when(pl.col("sample") > 0).then("sample")), "2 rows lack"),
        (
            lambda t: t.with_columns(vector=pl.concat_list(pl.lit(float("nan")), pl.lit(1.0))),
            "a vector at step 0 has NaN",
        ),
        (
            lambda t: t.with_columns(vector=pl.concat_list(pl.lit(float("inf")), pl.lit(1.0))),
            "a vector at step 0 has NaN, infinite",
        ),
        (
            lambda t: t.with_columns(vector=pl.concat_list(pl.lit(None, dtype=pl.Float32), pl.lit(1.0))),
            "a vector at step 0 has NaN, infinite or missing",
        ),
        (
            lambda t: t.with_columns(vector=pl.when(pl.col("step") == 1).then(pl.lit([1.0])).otherwise("vector")),
            "vectors of 1 to 2 numbers",
        ),
    ],
)
def test_what_is_no_trajectory_is_refused(tmp_path, change, said):
    with pytest.raises(QueryError) as raised:
        connect_states([write(tmp_path / "a.parquet", change(rows()))])
    assert said in raised.value.message
    assert "a.parquet" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz", "a.parquet", "a"])
def test_other_formats_are_refused_with_how_to_convert_them(tmp_path, name):
    path = tmp_path / name
    path.write_text("step,sample\n0,1\n")
    with pytest.raises(QueryError, match="Parquet") as raised:
        connect_states([path])
    assert "parquet" in raised.value.hint or "one row per" in raised.value.hint
    with pytest.raises(QueryError, match="no file"):
        connect_states([tmp_path / "none.parquet"])


def test_rows_come_in_frames_in_the_order_of_the_statement(tmp_path):
    con = connect_states([write(tmp_path / "a.parquet", rows(steps=range(50)))])
    sql = "select step, sample from trajectory_states order by step desc, sample"
    parts = list(batches(con, sql, n_rows=40))
    assert max(part.height for part in parts) <= 40
    assert len(parts) > 1
    assert pl.concat(parts).equals(frame(con, sql))
    with pytest.raises(QueryError):
        list(batches(con, "select nothing from trajectory_states"))


def test_a_sweep_in_a_lake_is_a_trajectory_of_its_leading_neurons(tmp_path):
    """The neurons that lead at the last checkpoint, at every one, called by the last one's run."""
    influence = planted_influence(60, elbow=30)
    lake = make_sweep(tmp_path, {0: influence, 8: influence, 64: influence[::-1]}, documents=5, positions=4)
    con = connect(lake)
    found = frame(con, "from trajectory_states order by step, sample")
    last = frame(con, "select run from runs where step = 64")["run"][0]
    assert set(found["run"]) == {last}
    assert found["step"].unique().sort().to_list() == [0, 8, 64]
    assert found["representation"].unique().to_list() == ["leading neurons"]
    assert found["document"].n_unique() == 5
    leading = (
        "select neuron from ablations where run = $run group by neuron order by avg(abs(delta_loss)) desc limit 50"
    )
    sql = f"""
        select activation from activations inner join runs using (run)
        where step = 8 and token_index = 7 and neuron in ({leading}) order by neuron
    """
    chosen = frame(con, sql, {"run": last})["activation"].to_list()
    assert found.filter(pl.col("step") == 8, pl.col("sample") == 7)["vector"][0].to_list() == chosen
    loss = frame(con, "select avg(loss) as loss from tokens inner join runs using (run) where step = 8")["loss"][0]
    assert found.filter(pl.col("step") == 8)["loss"][0] == pytest.approx(loss)
