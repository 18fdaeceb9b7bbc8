"""Pooled rates: what no single row of a small run shows, and draws as clusters."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from calibration.pooled import answers, pool, pooled_faults
from calibration.rates import binomial_interval, faults
from calibration.targets import OUTCOME

DRAWS, ROWS = 120, 12


def table(shares, *, is_common=False, seed=0, least=0.90, most=0.98):
    """Hits of 120 draws in as many rows as there are `shares`; `is_common`: all rows of a draw say the same."""
    rng = np.random.default_rng(seed)
    hit = rng.random((DRAWS, 1 if is_common else len(shares))) < np.asarray(shares)
    rows = [
        ("influence", f"row {i}", "coverage", least, most, str(draw), float(hit[draw, i]))
        for draw in range(DRAWS)
        for i in range(len(shares))
    ]
    names = ["analysis", "target", "kind", "least", "most", "cluster", "hit"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_independent_rows_give_the_exact_interval_nearly():
    cluster, hit = np.repeat(np.arange(200), 5), np.random.default_rng(1).random(1000) < 0.9
    found = pool(cluster, hit.astype(float))
    assert (found.n_draws, found.n) == (200, 1000)
    assert (found.low, found.high) == pytest.approx(binomial_interval(int(hit.sum()), 1000), abs=0.01)


def test_rows_that_say_the_same_count_once():
    once = (np.random.default_rng(2).random(100) < 0.9).astype(float)
    found = pool(np.repeat(np.arange(100), 8), np.repeat(once, 8))
    low, high = binomial_interval(int(once.sum()), 100)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    assert pool(np.arange(100), np.ones(100)).low == pytest.approx(stats.beta.ppf(0.025, 100, 1), abs=1e-9)


def test_its_interval_covers():
    """Clusters of 6 whose rates vary (sd 0.05): the 95 % interval holds the mean rate in at least 92 %."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        rate = rng.beta(18, 1.5, (60, 1))
        found = pool(np.repeat(np.arange(60), 6), (rng.random((60, 6)) < rate).astype(float).ravel())
        covered += found.low <= 18 / 19.5 <= found.high
    assert covered >= 0.92 * 200


def test_what_is_a_little_wrong_everywhere_fails_although_no_row_does():
    found = table([0.85] * ROWS)
    by_row = found.group_by("target").agg(pl.col("hit").sum()).with_columns(n=pl.lit(20))
    assert all(binomial_interval(round(hits / 6), 20, 0.95)[1] > 0.90 for hits in by_row["hit"])
    assert any("all 12 rows" in fault for fault in pooled_faults(found, 0.95))


def test_what_covers_always_fails_where_it_may_not():
    assert pooled_faults(table([0.999] * ROWS), 0.95)
    assert not pooled_faults(table([0.999] * ROWS, most=1.0), 0.95)
    # one draw that covers covers all its rows: 120 of 120 are compatible with 98 %
    assert not pooled_faults(table([0.999] * ROWS, is_common=True), 0.95)


@pytest.mark.parametrize("is_common", [False, True])
def test_what_is_right_passes(is_common):
    for seed in range(20):
        assert not pooled_faults(table([0.95] * ROWS, is_common=is_common, seed=seed), 0.95)


def test_a_target_is_pooled_over_its_designs():
    both = pl.concat([table([0.96] * 6), table([0.80]).with_columns(target=pl.lit("rank"))])
    assert [fault.split(",")[1].strip() for fault in pooled_faults(both, 0.95)] == ["rank"]


def test_outcomes_of_a_folder_are_read_with_their_limits(tmp_path):
    rows = [
        dict.fromkeys(OUTCOME) | {"run": i, "target": "rank, top neuron", "low": 1.0, "high": 2.0, "truth": 1.5}
        for i in range(10)
    ]
    rows += [dict.fromkeys(OUTCOME) | {"run": i, "target": "sign test, top neuron", "rejects": 0.0} for i in range(10)]
    path = tmp_path / "influence" / "graded-none" / "00000.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame(rows, schema=OUTCOME).write_parquet(path)
    found = answers(tmp_path)
    assert found.group_by("kind", "least", "most", "hit").len().sort("kind").rows() == [
        ("coverage", 0.80, 0.98, 1.0, 10), ("size", 0.0, 0.08, 0.0, 10),
    ]  # fmt: skip
    assert answers(tmp_path / "nothing").is_empty()
    assert faults(pl.DataFrame(schema={})) == []
