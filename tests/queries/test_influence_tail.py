"""Laws of simulated influences: a planted component is found, one smooth law has none, odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import influence_tail, load
from queries.stats.specialists import Effort
from reports.charts import draw
from tests.queries.simulated import LAWS, frame

FEWER = Effort(variance=150, resamples=6, simulated=39, planted=12, tail=19)
TAIL = load("influence_tail").with_effort(FEWER)


@pytest.fixture(autouse=True, scope="module")
def _fewer_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(influence_tail, "N_REPLICATES", 200)
        yield


def with_component(n=500, share=0.04, step=1.5, seed=0):
    """A lognormal body; `share` of the values lie `step` (ln) above what this share of the body exceeds."""
    rng = np.random.default_rng(seed)
    values = np.sort(rng.lognormal(0, 0.7, n))
    k = round(share * n)
    values[-k:] = values[-k] * np.exp(step + 0.15 * rng.standard_normal(k))
    return values


@pytest.fixture(scope="module")
def planted(_fewer_draws):
    sums = frame(
        with_component(),
        20,
        np.random.default_rng(1),
        own=0.3,
        rare_true=LAWS["lognormal"](500, np.random.default_rng(2)),
    )
    return TAIL.estimate(sums, np.random.default_rng(3))


def of(table, token_class, law="mixture"):
    return table.filter(pl.col("token_class") == token_class, pl.col("law") == law).row(0, named=True)


def test_a_planted_component_is_found_and_described(planted):
    assert planted.columns == [*TAIL.keys, "estimate", "low", "high", "n", *TAIL.columns]
    assert planted.height == 3 * 11
    assert planted.equals(planted.sort(TAIL.keys), null_equal=True)
    assert ((planted["low"] <= planted["estimate"]) & (planted["estimate"] <= planted["high"])).all()
    row = of(planted, "common")
    assert row["verdict"] == "supported"
    assert row["mixture_share"] == pytest.approx(0.04, abs=0.01)
    assert row["estimate"] == 0
    assert row["win_share"] > 0.8
    assert row["p_mixture"] == pytest.approx(1 / 40)
    words = TAIL.answer(planted)
    assert "common tokens: specialist neurons are **supported**" in words
    assert TAIL.excerpt(planted).height == 12


def test_the_class_without_one_is_not_supported(planted):
    row = of(planted, "rare")
    assert row["verdict"] != "supported"
    assert row["q_mixture"] >= 0.05


@pytest.mark.parametrize("law", ["half_normal", "exponential", "lognormal"])
def test_one_smooth_law_is_not_supported_and_is_in_the_running(law):
    sums = frame(LAWS[law](400, np.random.default_rng(len(law))), 16, np.random.default_rng(5), own=0.3)
    table = TAIL.estimate(sums.filter(pl.col("token_class") == "common"), np.random.default_rng(6))
    assert of(table, "common")["verdict"] != "supported"
    assert of(table, "common", law)["estimate"] < 12
    assert of(table, "common", "power_law")["estimate"] > 100
    z = of(table, "common", "power_law")["vuong_z"]
    assert z > 3


def test_a_power_law_in_the_tail():
    rng = np.random.default_rng(7)
    true = np.where(rng.random(900) < 0.5, (1 - rng.random(900)) ** (-1 / 1.4), rng.uniform(0.2, 1.0, 900))
    sums = frame(true, 30, rng, own=0.05, tail=0.3).filter(pl.col("token_class") == "common")
    row = of(TAIL.estimate(sums, rng), "common", "power_law")
    assert row["tail_n"] >= 50
    assert row["tail_alpha"] == pytest.approx(2.4, abs=0.35)
    none, lognormal = specialists_rival(0.0, 1.0, 9.0), specialists_rival(-3.0, 0.01, -9.0)
    cutoff, weak = specialists_rival(-3.0, 0.003, -3.0), specialists_rival(-0.9, 0.4, 5.0)
    assert influence_tail._tail_verdict(49, 0.9, none, none) == "undecidable"
    assert influence_tail._tail_verdict(500, 0.049, none, none) == "contradicted"
    assert influence_tail._tail_verdict(500, 0.05, none, none) == "undecidable"
    assert influence_tail._tail_verdict(500, 0.1, none, none) == "undecidable"
    assert influence_tail._tail_verdict(500, 0.5, none, none) == "supported"
    assert influence_tail._tail_verdict(500, 0.5, lognormal, none) == "contradicted"
    assert influence_tail._tail_verdict(500, 0.5, none, cutoff) == "contradicted"
    assert influence_tail._tail_verdict(500, 0.5, none, weak) == "undecidable"


def specialists_rival(z, p, bic):
    return influence_tail.Rival(z, p, bic)


def test_few_documents_few_neurons_zeros_and_an_absent_class():
    rng = np.random.default_rng(8)
    few = TAIL.estimate(frame(np.ones(80), 4, rng), rng)
    assert few["reason"].str.contains("only 4 documents").all()
    assert few["estimate"].is_nan().all()
    assert (few["verdict"] == "undecidable").all()
    assert "only 4 documents" in TAIL.answer(few)
    small = TAIL.estimate(frame(LAWS["lognormal"](30, rng), 8, rng), rng)
    assert small["reason"].str.contains("at least 50 are needed").all()
    true = np.append(LAWS["lognormal"](80, rng), np.zeros(5))
    one_class = TAIL.estimate(frame(true, 8, rng).filter(pl.col("token_class") == "common"), rng)
    assert of(one_class, "common")["n_neurons"] == 80
    assert of(one_class, "rare")["reason"] == "no position of this class"
    empty = TAIL.estimate(frame(np.ones(3), 5, rng).head(0), rng)
    assert empty.schema == few.schema
    assert TAIL.answer(empty) == ""


def test_the_figure_draws_what_there_is(planted):
    influence = planted.select("run", "token_class").unique().join(
        pl.DataFrame({"estimate": with_component()}), how="cross"
    )  # fmt: skip
    figure = draw("tail_laws", {"influence": influence, "influence_tail": planted}, {})
    panels = [axes for cell in figure.subfigs for axes in cell.axes]
    assert [axes.get_title(loc="left") for axes in panels] == ["rare tokens", "common tokens"]
    assert all(len(axes.lines) >= 3 for axes in panels)
    nothing = planted.with_columns(pl.lit(float("nan")).alias("estimate"))
    figure = draw("tail_laws", {"influence": influence.head(0), "influence_tail": nothing}, {})
    assert [axes.texts[0].get_text() for cell in figure.subfigs for axes in cell.axes] == [
        "no influence above zero"
    ] * 2


@pytest.mark.slow
@pytest.mark.parametrize("law", ["half_normal", "exponential", "lognormal"])
def test_at_most_five_percent_of_smooth_draws_are_supported(law):
    """200 draws of 300 neurons; single classes, so that q is p."""
    supported = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, len(law)])
        sums = frame(LAWS[law](300, rng), int(rng.integers(8, 25)), rng, own=rng.uniform(0.3, 0.8), common=0.4)
        table = TAIL.estimate(sums.filter(pl.col("token_class") == "common"), rng)
        supported += of(table, "common")["verdict"] == "supported"
    assert supported <= 10
