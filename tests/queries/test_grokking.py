"""Grokking: planted steps lie in their intervals, the planted law is found, what does not escape is censored."""

import numpy as np
import polars as pl
import pytest

from calibration.trajectories import write_states
from queries import Session, load
from queries.stats.phase_track import Effort
from warehouse.trajectories import connect_states

GROKKING = load("grokking")
STEPS = [0, 10, 30, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000]
# Yang (2026), arXiv 2605.24057
PUBLISHED = {0.1: 147_167, 0.2: 88_033, 0.3: 38_150, 0.5: 22_433, 0.7: 16_633, 1.0: 8_900}


def rows(escapes, crossing=46.0, steps=None, seed=0):
    """Accuracies of trainings as the SQL gives them: weight decay and seed -> step of the escape."""
    parts = []
    for (decay, number), escape in escapes.items():
        grid = np.unique(np.round(np.exp(np.linspace(0, np.log(200_000), 600)))).astype(int) if steps is None else steps
        parts.append(
            pl.DataFrame({"step": grid}).with_columns(
                run=pl.lit(f"wd{decay}-{number}"), representation=pl.lit("states"),
                train_accuracy=pl.when(pl.col("step") >= 40).then(1.0).otherwise(0.2),
                test_accuracy=pl.when(pl.col("step") >= escape).then(1.0).otherwise(0.02),
                weight_decay=pl.lit(decay), seed=pl.lit(number, dtype=pl.Int64),
                crossing=pl.lit(crossing, dtype=pl.Float64), crossing_low=pl.lit(30.0), crossing_high=pl.lit(60.0),
                crossing_reason=pl.lit(""), crossing_verdict=pl.lit("of_vectors"),
            )
        )  # fmt: skip
    return pl.concat(parts)


def found(table, run, measure):
    return table.filter(run=run, measure=measure).row(0, named=True)


def test_steps_lie_in_their_intervals():
    table = GROKKING.estimate(rows({(1.0, 0): 8900}), np.random.default_rng(0))
    for measure, truth in (("memorisation", 40), ("escape", 8900)):
        row = found(table, "wd1.0-0", measure)
        assert row["low"] < truth <= row["high"]
        assert row["low"] < row["estimate"] < row["high"]
    plateau, escape = found(table, "wd1.0-0", "plateau"), found(table, "wd1.0-0", "escape")
    assert (plateau["low"], plateau["high"]) == (escape["low"] - 60, escape["high"] - 30)


def test_the_published_escapes_give_the_published_law_and_no_decay_is_censored():
    escapes = {(decay, 0): step for decay, step in PUBLISHED.items()} | {(0.0, 0): 10**9}
    table = GROKKING.estimate(rows(escapes), np.random.default_rng(0))
    law = found(table, "all runs", "power_exponent")
    assert law["estimate"] == pytest.approx(-1.225, abs=0.05)
    assert law["low"] < -1.225 < law["high"]
    assert (law["n"], law["n_censored"]) == (6, 1)
    assert found(table, "all runs", "aic_difference")["estimate"] > 2
    assert found(table, "all runs", "bic_difference")["estimate"] > 2
    never = found(table, "wd0.0-0", "escape")
    assert "censored" in never["reason"]
    assert np.isnan(never["estimate"])
    assert "1 training without an escape left out; the power law is preferred" in GROKKING.answer(table)


def test_seeds_of_a_weight_decay_have_a_geometric_mean_with_an_interval():
    escapes = {(1.0, seed): step for seed, step in enumerate((8000, 9000, 10_000))}
    table = GROKKING.estimate(rows(escapes), np.random.default_rng(0))
    row = found(table, "weight decay 1", "escape")
    assert row["n"] == 3
    assert row["low"] < 8963 < row["high"]
    assert "at least 4 are needed" in found(table, "all runs", "power_exponent")["reason"]
    assert "No law over weight decays" in GROKKING.answer(table)


def test_a_training_without_a_crossing_has_no_plateau_but_a_reason():
    data = rows({(1.0, 0): 8900}, crossing=None).with_columns(
        crossing_low=pl.lit(None, dtype=pl.Float64), crossing_high=pl.lit(None, dtype=pl.Float64),
        crossing_reason=pl.lit("never below 0"),
    )  # fmt: skip
    table = GROKKING.estimate(data, np.random.default_rng(0))
    assert found(table, "wd1.0-0", "plateau")["reason"] == "never below 0"
    assert np.isfinite(found(table, "wd1.0-0", "escape")["estimate"])


def test_a_crossing_that_is_the_probes_own_has_no_plateau():
    data = rows({(1.0, 0): 8900}).with_columns(
        crossing_verdict=pl.lit("of_probe"), crossing_reason=pl.lit("structureless vectors cross there too")
    )
    table = GROKKING.estimate(data, np.random.default_rng(0))
    plateau = found(table, "wd1.0-0", "plateau")
    assert np.isnan([plateau["estimate"], plateau["low"], plateau["high"]]).all()
    assert plateau["reason"] == "structureless vectors cross there too"
    assert found(table, "wd1.0-0", "crossing")["estimate"] == 46


def test_a_law_is_preferred_from_a_difference_of_two_on():
    table = GROKKING.estimate(rows({(wd, 0): step for wd, step in PUBLISHED.items()}), np.random.default_rng(0))
    for aic, words in ((2.1, "the power law is preferred"), (-2.1, "an exponential is preferred"), (1.9, "neither")):
        changed = table.with_columns(estimate=pl.when(measure="aic_difference").then(pl.lit(aic)).otherwise("estimate"))
        assert words in GROKKING.answer(changed)
    assert "preferred to an exponential" not in GROKKING.answer(changed)


def test_from_files_through_sql(tmp_path):
    write_states(tmp_path / "a.parquet", "delayed_escape", middle=300, weight_decay=0.5, samples=200, width=6)
    write_states(tmp_path / "b.parquet", "late_escape", middle=300, weight_decay=0.5)
    session = Session(connect_states([tmp_path / "a.parquet", tmp_path / "b.parquet"]))
    session.give("phase", session.table(load("phase").with_effort(Effort(nulls=1, restarts=1))))
    table = session.table(GROKKING)
    assert np.isfinite(found(table, "a", "plateau")["estimate"])
    assert "the crossing is the probe's own" in found(table, "b", "plateau")["reason"]
    escape, crossing = found(table, "a", "escape"), found(table, "a", "crossing")
    assert (escape["low"], escape["high"]) == (200, 400)
    assert 0 < crossing["low"] <= crossing["estimate"] <= crossing["high"] < 200
    assert found(table, "a", "memorisation")["high"] == 30


def test_files_without_accuracies_have_no_rows(tmp_path):
    path = tmp_path / "a.parquet"
    write_states(path, "no_arc")
    pl.read_parquet(path).with_columns(test_accuracy=float("nan")).write_parquet(path)
    session = Session(connect_states([path]))
    session.give("phase", session.table(load("phase").with_effort(Effort(nulls=1, restarts=1))))
    assert session.table(GROKKING).is_empty()
