"""Spectra of planted weights: aligned plateau rows are found, independent ones are not, odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import load
from queries.stats.groups import sparse_strata
from queries.stats.spectra_groups import Effort
from reports.charts import draw

FEWER = Effort(groups=99, halves=30, permuted=19)
SPECTRA = load("spectra").with_effort(FEWER)


def weights(rng, n=200, d=64, plateau=20, strength=0.0, sides=("in", "out"), shared=(), sizes=(1.0, 0.5, 0.3)):
    """One row per (neuron, side); plateau rows of the first side lie along a few directions of falling strength.

    `shared`: a group of other neurons, as large, that does so too; `sizes` of the directions.
    """
    parts = []
    for side in sides:
        rows = rng.standard_normal((n, d))
        if side == sides[0] and strength:
            for members in (range(plateau), shared):
                for size in sizes:
                    loading = rng.standard_normal(len(members))[:, None]
                    rows[list(members)] += strength * size * loading * rng.standard_normal(d)
        regime = np.where(np.arange(n) < plateau, "plateau", np.where(np.arange(n) < n // 2, "power_law", "decay"))
        parts.append(
            pl.DataFrame(
                {
                    "run": "r-1", "neuron": np.arange(n), "side": side, "weight": rows.astype(np.float32).tolist(),
                    "regime": regime, "is_core": np.arange(n) < plateau, "influence": rng.random(n),
                }
            )
        )  # fmt: skip
    return pl.concat(parts).sort("run", "neuron", "side")


def claim(table, side="in", group="plateau"):
    return table.filter(
        pl.col("side") == side, pl.col("group") == group, pl.col("measure") == "hill_alpha"
    ).row(0, named=True)  # fmt: skip


def rest_of(table):
    return table.filter(pl.col("measure") == "hill_alpha_rest", pl.col("group") == "plateau").row(0, named=True)


def test_aligned_rows_have_a_heavier_tail():
    table = SPECTRA.estimate(weights(np.random.default_rng(0), strength=2.0), np.random.default_rng(1))
    assert table.columns == [*SPECTRA.keys, "estimate", "low", "high", "n", *SPECTRA.columns]
    assert table.height == 2 * 3 * 9
    assert table.equals(table.sort(SPECTRA.keys), null_equal=True)
    without = table["measure"].is_in(["csn_alpha", "edge_share"])
    known = table.filter(~without)
    assert ((known["low"] <= known["estimate"]) & (known["estimate"] <= known["high"])).all()
    assert table.filter(without).select(pl.col("low", "high").is_nan()).to_numpy().all()
    assert table.filter(without)["reason"].str.starts_with("no interval: ").all()
    row = claim(table)
    assert row["verdict"] == "supported"
    assert row["high"] < row["null_mean"] < row["permuted_mean"] + 2
    assert row["m"] == 20
    assert row["p"] >= 1 / 100
    assert row["edge"] == pytest.approx((1 + np.sqrt(20 / 64)) ** 2)
    assert claim(table, "out")["verdict"] != "supported"
    rank = table.filter(pl.col("measure") == "stable_rank", pl.col("side") == "in")
    by_group = dict(rank.select("group", "estimate").iter_rows())
    assert by_group["plateau"] < 0.6 * min(by_group["decay"], by_group["power_law"])
    words = SPECTRA.answer(table)
    assert "side `in`: heavier tails of rare-token neurons are **supported**" in words
    assert SPECTRA.excerpt(table).height == 2 * 3 * 3


def test_what_all_influential_neurons_share_is_not_supported():
    """The second group is as influential: groups that are matched on influence are as heavy-tailed."""
    rng = np.random.default_rng(2)
    table = weights(rng, plateau=20, strength=2.0, sides=("in",), shared=range(20, 60))
    table = table.with_columns(influence=pl.when(pl.col("neuron") < 60).then(1.0 + pl.col("influence")).otherwise(0.1))
    row = claim(SPECTRA.estimate(table, rng))
    assert row["p_any"] < 0.05
    assert row["verdict"] != "supported"


def test_one_direction_that_the_rows_share_is_no_tail():
    """One large eigenvalue lowers the index; without that direction the spectrum is that of any rows."""
    rng = np.random.default_rng(8)
    table = SPECTRA.estimate(weights(rng, strength=3.0, sides=("in",), sizes=(1.0,)), rng)
    row = claim(table)
    assert row["p"] < 0.05
    assert row["high"] < row["null_mean"]
    assert row["verdict"] == "undecidable"
    assert "without the direction that the rows share most it is not lower" in row["reason"]
    assert rest_of(table)["p"] > 0.05


def test_unequal_shares_of_one_direction_are_no_tail_either():
    """What is left of rows that hold more of a direction is less, and its spectrum is wide until they have one size."""
    rng = np.random.default_rng(9)
    rows = rng.standard_normal((200, 64))
    rows[:20] += rng.lognormal(0.5, 1.0, 20)[:, None] * rng.standard_normal(64)
    table = weights(rng, sides=("in",)).with_columns(weight=pl.Series(rows.astype(np.float32).tolist()))
    table = SPECTRA.estimate(table, rng)
    assert claim(table)["p"] < 0.05
    assert claim(table)["verdict"] == "undecidable"
    assert rest_of(table)["p"] > 0.05


def test_random_plateaus_are_rarely_supported():
    supported = 0
    for seed in range(10):
        rng = np.random.default_rng([seed, 3])
        supported += (
            claim(SPECTRA.estimate(weights(rng, n=80, d=32, plateau=12, sides=("in",)), rng))["verdict"] == "supported"
        )
    assert supported <= 2


@pytest.mark.slow
def test_size_and_coverage_under_the_null():
    """200 random plateaus: at most 5 % are called heavier-tailed."""
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 4])
        row = claim(SPECTRA.estimate(weights(rng, n=120, d=48, plateau=15, sides=("in",)), rng))
        rejected += row["p"] < 0.05
    assert rejected <= 10


def test_a_large_plateau_is_measured_on_subgroups():
    rng = np.random.default_rng(5)
    table = SPECTRA.estimate(weights(rng, n=330, d=40, plateau=110, sides=("in",)), rng)
    assert claim(table)["m"] == 100
    assert claim(table, group="power_law")["reason"].startswith("the group has 55 neurons")
    assert np.isnan(claim(table, group="power_law")["estimate"])
    assert np.isfinite(claim(table, group="decay")["estimate"])


def test_too_small_a_plateau_constant_rows_and_no_rows():
    rng = np.random.default_rng(6)
    few = SPECTRA.estimate(weights(rng, plateau=4), rng)
    assert few["estimate"].is_nan().all()
    assert few["reason"].str.contains("the plateau's core has 4 neurons").all()
    assert "undecidable" in SPECTRA.answer(few)
    unknown = weights(rng).with_columns(regime=pl.lit(None, pl.String), is_core=pl.lit(None, pl.Boolean))
    assert SPECTRA.estimate(unknown, rng)["reason"].str.contains("core has 0 neurons").all()
    constant = weights(rng, sides=("in",)).with_columns(
        weight=pl.when(pl.col("neuron") < 3).then(pl.lit([1.0] * 64, pl.List(pl.Float32))).otherwise("weight")
    )
    assert claim(SPECTRA.estimate(constant, rng))["n_neurons"] == 17
    empty = SPECTRA.estimate(constant.head(0), rng)
    assert empty.schema == few.schema
    assert SPECTRA.answer(empty) == ""


def test_strata_that_the_plateau_fills_are_widened_or_given_up():
    values = np.arange(100.0)
    assert sparse_strata(values, np.arange(90, 100)).max() == 4
    assert sparse_strata(values, np.arange(95, 100)).max() == 9
    assert sparse_strata(values, np.arange(40, 100)) is None


def test_the_figure_draws_all_sides():
    rng = np.random.default_rng(7)
    table = SPECTRA.estimate(weights(rng, strength=1.0), rng)
    figure = draw("group_spectra", {"spectra": table}, {})
    panels = [axes for cell in figure.subfigs for axes in cell.axes]
    assert len(panels) == 3
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["side in", "side out"]
    for mark, column in (("D", "influence_mean"), ("s", "norm_mean")):
        drawn = [float(line.get_xdata()[0]) for line in panels[0].lines if line.get_marker() == mark]
        alpha = table.filter(measure="hill_alpha", group="plateau").sort("side")
        assert drawn == alpha[column].to_list()
