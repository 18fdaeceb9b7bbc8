import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from training.states import NAME, StateWriter


def test_any_engine_reads_sorted_rows_with_a_row_group_for_each_step(tmp_path):
    sample, label = np.array([3, 5, 9]), np.array([1, 0, 1])
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    with StateWriter(tmp_path, sample, label, seed=7) as writer:
        for step in (0, 4):
            writer.write(step, vectors + step, {"loss": 0.5, "train_accuracy": 1.0})
    rows = duckdb.sql(f"select * from '{tmp_path / NAME}'")
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    assert (types["step"], types["sample"], types["vector"], types["label"]) == (
        "BIGINT", "INTEGER", "FLOAT[]", "INTEGER",
    )  # fmt: skip
    found = rows.fetchall()
    assert [row[:2] for row in found] == [(step, each) for step in (0, 4) for each in (3, 5, 9)]
    assert found[4][2] == [8.0, 9.0, 10.0, 11.0]
    one = dict(zip(rows.columns, found[0], strict=True))
    assert (one["label"], one["loss"], one["train_accuracy"], one["seed"]) == (1, 0.5, 1.0, 7)
    assert np.isnan(one["test_loss"])
    assert pq.read_metadata(tmp_path / NAME).num_row_groups == 2


@pytest.mark.parametrize("kind", ["grokking", "simclr", "rotation"])
def test_every_step_has_the_same_held_out_samples(trained, kind):
    rows = duckdb.sql(
        f"""select step, count(*), min(sample), max(sample), sum(sample), sum(label), count(distinct loss),
        bool_and(list_bool_and(list_transform(vector, lambda x: isfinite(x)))) from '{trained(kind) / NAME}'
        group by step order by step"""
    ).fetchall()
    assert [row[0] for row in rows][:3] == [0, 1, 2]
    assert {row[1:6] for row in rows} == {rows[0][1:6]}
    assert 0 < rows[0][1] <= 2000
    assert all(row[6:] == (1, True) for row in rows)
