"""Shares of an effect that go through the norm or along the frequencies: planted ones are found, others are not."""

import numpy as np
import polars as pl
import pytest

from queries import load
from queries.stats.mediation import decide_overlap, mediation

CONFIDENCE = load("confidence_neurons")


def frame(rng, *, n=60, n_documents=20, n_plateau=10, through_norm=(), left=0.2, noise=0.2):
    """One row per (class, document, neuron): `through_norm` neurons keep `left` of their effect without the norm."""
    parts = []
    for token_class, positions in (("common", 50), ("rare", 20)):
        total = positions * rng.lognormal(0, 0.5, (n_documents, n)) * 1e-3
        kept = np.where(np.isin(np.arange(n), through_norm), left, 0.95)
        norm = total * kept * rng.lognormal(0, noise, total.shape)
        document, neuron = np.indices(total.shape)
        parts.append(
            pl.DataFrame(
                {
                    "run": "r-1", "token_class": token_class, "document": document.ravel(), "neuron": neuron.ravel(),
                    "n_positions": positions, "sum_abs_delta": total.ravel(), "sum_abs_frozen_norm": norm.ravel(),
                    "sum_abs_frozen_frequency": 0.98 * total.ravel(), "is_plateau": neuron.ravel() < n_plateau,
                    "out_norm": 1.0, "logit_variance": None, "null_space_share": None,
                },
                schema_overrides={"logit_variance": pl.Float64, "null_space_share": pl.Float64},
            )
        )  # fmt: skip
    return pl.concat(parts)


def row(table, measure, neuron=0, token_class="rare"):
    return table.filter(measure=measure, neuron=neuron, token_class=token_class).row(0, named=True)


def test_a_plateau_that_acts_through_the_norm_is_supported():
    rng = np.random.default_rng(0)
    table = CONFIDENCE.estimate(frame(rng, through_norm=range(9)), rng)
    assert table.columns == [*CONFIDENCE.keys, "estimate", "low", "high", "n", *CONFIDENCE.columns]
    assert table.equals(table.sort(CONFIDENCE.keys))
    assert table.height == 2 * 3 * 60
    found = row(table, "norm_share")
    assert found["low"] <= 0.8 <= found["high"]
    assert found["mainly"]
    assert not row(table, "norm_share", 30)["mainly"]
    assert (found["overlap"], found["chance"], found["n_plateau"]) == (0.9, 0.15, 10)
    assert found["verdict"] == "supported"
    assert row(table, "frequency_share")["verdict"] == "contradicted"
    words = CONFIDENCE.answer(table)
    assert "**supported**" in words
    assert "**contradicted**" in words
    assert CONFIDENCE.excerpt(table).height == 20


def test_a_plateau_like_the_rest_is_contradicted_or_undecidable():
    rng = np.random.default_rng(1)
    table = CONFIDENCE.estimate(frame(rng, through_norm=range(0, 60, 12)), rng)
    assert row(table, "norm_share")["verdict"] == "contradicted"
    everyone = CONFIDENCE.estimate(frame(rng, through_norm=range(60)), rng)
    assert row(everyone, "norm_share")["verdict"] == "undecidable"  # all neurons do: no more than by chance


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_intervals_cover_the_share_of_endless_documents(noise):
    covered = 0
    for draw in range(100):
        rng = np.random.default_rng([draw, 5])
        table = CONFIDENCE.estimate(frame(rng, n=12, n_plateau=6, through_norm=range(12), noise=noise), rng)
        truth = float(1 - 0.2 * np.exp(noise**2 / 2))
        part = table.filter(measure="norm_share", token_class="rare")
        covered += int(((part["low"] <= truth) & (truth <= part["high"])).sum())
    assert 0.9 <= covered / 1200 <= 0.98


def overlap_of(n_members, n_mainly, n=4000):
    """All members keep nothing of their effect without the path, as `n_mainly` neurons in all do, in every document."""
    total = np.random.default_rng(6).lognormal(0, 0.3, (20, n))
    frozen = total * np.where(np.arange(n) < n_mainly, 0.01, 0.99)
    weights = np.random.default_rng(7).multinomial(20, np.full(20, 1 / 20), size=200).astype(float)
    return mediation(frozen, total, np.full(20, 5.0), weights, np.arange(n) < n_members)


def test_an_overlap_that_no_resample_changes_has_the_exact_binomial_interval():
    """Clopper and Pearson (1934): 0 of n has the upper end 1 - 0.025 ** (1 / n), n of n the lower 0.025 ** (1 / n)."""
    none, everyone = overlap_of(6, 0), overlap_of(6, 6)
    end = 0.025 ** (1 / 6)
    assert (none.overlap, none.overlap_low, none.overlap_high) == (0.0, 0.0, pytest.approx(1 - end))
    assert (everyone.overlap, everyone.overlap_low, everyone.overlap_high) == (1.0, pytest.approx(end), 1.0)
    assert decide_overlap(none, 6, 20, 1.0)[0] == "contradicted"
    few = overlap_of(5, 0)
    assert few.overlap_high > 0.5
    assert decide_overlap(few, 5, 20, 1.0)[0] == "undecidable"


def test_p_is_never_zero():
    assert 0 < overlap_of(1000, 1000).p < 1e-300


def test_few_documents_few_members_and_no_effect_have_reasons():
    rng = np.random.default_rng(2)
    few = CONFIDENCE.estimate(frame(rng, n_documents=4), rng)
    assert few["low"].is_nan().all()
    assert few["reason"].str.contains("only 4 documents").all()
    none = CONFIDENCE.estimate(frame(rng, n_plateau=0), rng)
    assert none["reason"].str.contains("no plateau neuron").all()
    silent = frame(rng).with_columns(sum_abs_delta=pl.when(pl.col("neuron") == 3).then(0.0).otherwise("sum_abs_delta"))
    assert np.isnan(row(CONFIDENCE.estimate(silent, rng), "norm_share", 3)["estimate"])
    assert CONFIDENCE.estimate(frame(rng).head(0), rng).schema == few.schema
    assert CONFIDENCE.answer(few.head(0)) == ""


@pytest.mark.parametrize(("n_members", "n_documents", "words"), [(4, 30, "plateau neurons"), (20, 9, "9 documents")])
def test_too_little_decides_nothing(n_members, n_documents, words):
    rng = np.random.default_rng(3)
    sums = rng.lognormal(0, 0.3, (30, 40))
    weights = rng.multinomial(30, np.full(30, 1 / 30), size=200).astype(float)
    found = mediation(0.1 * sums, sums, np.full(30, 5.0), weights, np.arange(40) < n_members)
    verdict, reason = decide_overlap(found, n_members, n_documents, 0.01)
    assert verdict == "undecidable"
    assert words in reason
