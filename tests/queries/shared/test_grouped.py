"""Rows of positions become arrays: lists of the first row describe the neurons, gaps are left out or told apart."""

import numpy as np
import polars as pl

from queries.shared.grouped import grouped

ACTIVATION = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]


def frame(run="r-1", activation=ACTIVATION, weight=((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))):
    """Three positions of three neurons; what is known of them stands in the first row only."""
    first = {
        "regime": (["plateau", None, "decay"], pl.List(pl.String)),
        "is_core": ([True, None, False], pl.List(pl.Boolean)),
        "influence": ([2.0, None, 1.0], pl.List(pl.Float64)),
        "is_gated": (True, pl.Boolean),
        "out_weight": (None if weight is None else [list(row) for row in weight], pl.List(pl.List(pl.Float32))),
    }
    rows = pl.DataFrame(
        {
            "run": [run] * 3, "token_index": [3, 4, 8], "document": pl.Series([0, 0, 1], dtype=pl.Int32),
            "token_class": ["rare", "common", "rare"],
            "activation": pl.Series(activation, dtype=pl.Array(pl.Float32, 3)),
        }
    )  # fmt: skip
    return rows.with_columns(pl.Series(name, [value, None, None], dtype=kind) for name, (value, kind) in first.items())


def test_shapes_types_and_what_is_not_known():
    ((run, known),) = grouped(frame())
    assert run == "r-1"
    np.testing.assert_array_equal(known.activation, np.array(ACTIVATION, dtype=np.float32))
    assert known.activation.dtype == np.float32
    assert (known.document.dtype, known.document.tolist()) == (np.int64, [0, 0, 1])
    assert known.is_rare.tolist() == [True, False, True]
    assert known.regime.tolist() == ["plateau", None, "decay"]
    assert (known.is_core.dtype, known.is_core.tolist()) == (np.bool_, [True, False, False])
    np.testing.assert_array_equal(known.influence, [2.0, np.nan, 1.0])
    assert (known.out_weight.dtype, known.out_weight.shape) == (np.float32, (3, 2))
    assert known.is_gated is True


def test_a_run_without_weights_or_without_regimes():
    rows = frame(weight=None).with_columns(regime=pl.lit([None] * 3), is_core=pl.lit([None] * 3))
    ((_, known),) = grouped(rows)
    assert known.out_weight is None
    assert known.regime.tolist() == [None] * 3
    assert not known.is_core.any()


def test_a_position_that_lacks_a_neuron_is_left_out_and_finite_leaves_out_more():
    ((_, known),) = grouped(frame(activation=[[1.0, 2.0, 3.0], None, [7.0, float("nan"), 9.0]]))
    assert known.document.tolist() == [0, 1]
    finite = known.finite()
    np.testing.assert_array_equal(finite.activation, [[1.0, 2.0, 3.0]])
    assert (finite.document.tolist(), finite.is_rare.tolist()) == ([0], [True])
    assert finite.finite() is finite
    ((_, nothing),) = grouped(frame(activation=[[float("inf")] * 3] * 3))
    assert nothing.finite().activation.shape == (0, 3)


def test_runs_come_by_name_each_with_its_own_neurons():
    rows = pl.concat([frame("r-b"), frame("r-a", [[0.0] * 3] * 3, weight=None)])
    (a, of_a), (b, of_b) = grouped(rows)
    assert (a, b) == ("r-a", "r-b")
    assert of_a.out_weight is None
    assert of_b.out_weight is not None
    assert not of_a.activation.any()
    assert list(grouped(rows.head(0))) == []
