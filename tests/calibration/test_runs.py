"""Simulations through the real pipeline: the same each time, kept, not repeated; the published table holds."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import queries
from calibration import runs
from calibration.check import published_faults
from calibration.families import FAMILIES, slugs
from calibration.figure import write
from calibration.page import page
from calibration.rates import SCHEMA, missing_analyses, rates
from calibration.store import Key, keep, keys, outcomes, pack

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name in ("none", "strong"):
        runs.run(runs.Batch("graded", name, 0, ("frequency_curve", "rare_contrast"), size=2, folder=folder))
    return folder


def test_a_batch_is_the_same_each_time_and_its_draws_differ(folder):
    batch = runs.Batch("graded", "none", 0, ("frequency_curve", "rare_contrast"), size=2)
    again = runs.simulate(FAMILIES[0], FAMILIES[0].designs[0], batch)["rare_contrast"]
    kept, _ = outcomes("rare_contrast", "graded", "none", folder)
    assert kept.equals(again, null_equal=True)
    estimates = kept.filter(pl.col("target") == "relative, top neuron", pl.col("rejects").is_null())["estimate"]
    assert estimates.n_unique() == 2


def test_what_is_there_is_not_run_again(folder):
    wanted = ["frequency_curve", "rare_contrast"]
    left = {(batch.family, batch.design, batch.number) for batch in runs.missing(wanted, 20, folder)}
    assert ("graded", "none", 0) not in left
    assert ("graded", "weak", 0) in left
    assert ("graded", "none", 1) in left
    small = {batch.design for batch in runs.missing(wanted, 20, folder, is_small=True)}
    assert small == {"none", "none, 8 documents"}


def test_packed_outcomes_give_the_same_rates_and_are_not_run_again(folder, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(folder, copy)
    before, there = rates(copy), keys(copy)
    again = copy / "rare_contrast" / "graded-none" / "00000.parquet"
    content = again.read_bytes()
    pack(copy)
    assert not again.exists()
    assert keys(copy) == there
    assert_frame_equal(rates(copy), before)
    again.write_bytes(content)  # as if it had been stopped before it removed the file
    assert_frame_equal(rates(copy), before)
    keep(copy, Key("rare_contrast", "graded", "none", 1), pl.read_parquet(again).with_columns(run=pl.col("run") + 2))
    pack(copy)
    assert {path.name for path in copy.glob("packed/rare_contrast/*")} == {"000.parquet", "001.parquet"}
    assert not list(copy.glob("rare_contrast/*/*"))
    assert rates(copy).filter(analysis="rare_contrast", design="none")["n"].max() == 4


def test_power_needs_fewer_simulations(folder):
    left = [(batch.design, batch.number) for batch in runs.missing(["influence"], 1000, folder)]
    counts = {design: sum(each == design for each, _ in left) for design, _ in left}
    assert counts == {"none": 100, "weak": 20, "strong": 20, "none, 8 documents": 100}
    assert left.index(("weak", 10)) > left.index(("none", 49))


def test_every_analysis_is_calibrated():
    assert slugs() == queries.slugs()


def test_rates_page_and_figure_of_what_is_there(folder, tmp_path):
    table = rates(folder)
    assert dict(table.schema) == SCHEMA
    assert set(table["analysis"]) == {"rare_contrast", "frequency_curve"}
    assert set(table["kind"]) == {"coverage", "size", "power"}
    assert table["n"].max() == 2
    text = page(table)
    assert "Some have fewer than 1,000 simulations of a design so far" in text
    assert "## rare_contrast, graded" in text
    assert "influence_tail" in missing_analyses(table, queries.slugs())
    for name in ("one", "two"):
        write(table, tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_published_table_is_within_its_limits_or_says_why_not():
    assert published_faults(DOCS) == []


def test_a_missing_table_is_named(tmp_path):
    assert "make calibrate" in published_faults(tmp_path)[0]
