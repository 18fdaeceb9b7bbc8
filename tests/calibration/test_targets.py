"""What is held against the truth: the row that a report picks, and the truth of the neuron in it."""

import polars as pl

from calibration.influence import LEADING
from calibration.targets import Interval, Rejection
from calibration.worlds import Corpus, Design, influence_world

DESIGN = Design("none", influence_world)


def test_the_row_that_is_found_is_the_one_with_the_smallest_p_above_the_network():
    table = pl.DataFrame(
        {
            "run": ["a", "a", "a", "b"], "neuron": [0, 1, 2, 0], "estimate": [0.5, -1.0, 0.2, float("nan")],
            "p": [0.3, 0.001, 0.1, float("nan")], "low": [0.0] * 4, "high": [1.0] * 4,
        }
    )  # fmt: skip
    target = Interval("found", {}, lambda world, corpus, row: float(row["neuron"]), first=LEADING)
    found = target.rows(table).sort("run")
    assert found["neuron"].to_list() == [2, 0]
    assert target.outcome(found.row(0, named=True), None, Corpus())["truth"] == 2.0


def test_a_target_is_for_its_designs_only():
    test = Rejection("one", {}, designs=("none",))
    assert test.is_for(DESIGN)
    assert not test.is_for(Design("strong", influence_world, effect=1.0))
    assert not Interval("one", {}, designs=("strong",)).is_for(DESIGN)
