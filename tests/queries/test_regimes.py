"""Regimes on simulated sums: a planted plateau is supported and recovered, one smooth law and noise are not."""

import numpy as np
import polars as pl
import pytest

from queries import load, run
from queries.stats import plateau, regime_cells
from queries.stats.three_regimes import QUANTITIES
from tests.lake import make_lake, planted_influence
from tests.queries.simulated import LAWS, frame, planted
from warehouse.connection import connect

REGIMES = load("regimes")
TRUTH = {"kappa": 0.7, "elbow": 400.0, "plateau_end": 20.0, "decay_slope": -4.0}


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr(regime_cells, "N_REPLICATES", 300)
    monkeypatch.setattr(plateau, "N_SMOOTH", 199)
    monkeypatch.setattr(plateau, "N_NOISE", 29)


def verdicts(table):
    cells = table.filter((pl.col("quantity") == "plateau_excess") & pl.col("verdict").is_not_null())
    return {(c, g): v for c, g, v in cells.select("token_class", "sign_group", "verdict").iter_rows()}


def test_a_planted_plateau_is_supported_and_recovered():
    table = REGIMES.estimate(frame(planted(), 40, np.random.default_rng(0)), np.random.default_rng(1))
    assert table.columns == [*REGIMES.keys, "estimate", "low", "high", "n", *REGIMES.columns]
    assert table.equals(table.sort(REGIMES.keys))
    assert table.height == 4 * 3 * len(QUANTITIES)
    assert ((table["low"] <= table["estimate"]) & (table["estimate"] <= table["high"])).all()
    assert set(verdicts(table).values()) == {"supported"}
    whole = table.filter((pl.col("token_class") == "all") & (pl.col("sign_group") == "all"))
    found = {row["quantity"]: row for row in whole.iter_rows(named=True)}
    for quantity, truth in TRUTH.items():
        assert found[quantity]["low"] <= truth <= found[quantity]["high"], quantity
    assert found["plateau_excess"]["p_smooth"] == pytest.approx(1 / 200)
    words = REGIMES.answer(table)
    assert "**supported**" in words
    assert "is not shown to differ between the classes" in words
    assert REGIMES.excerpt(table).height == 4 * 3 * 4


def on_a_lake(folder, influence, seed):
    """The table of `regimes` on a lake that `rt import` made of Parquet files with these true influences (N,)."""
    lake = make_lake(folder, influence, documents=30, positions=24, rare_share=0.2, seed=seed, activation=False)
    return run(connect(lake), REGIMES, seed)


def test_an_imported_lake_with_a_plateau_is_supported_and_recovered(tmp_path):
    table = on_a_lake(tmp_path, planted_influence(400, n_plateau=20, kappa=0.7, elbow=150, step=1.5), 1)
    assert set(verdicts(table).values()) == {"supported"}
    whole = table.filter((pl.col("token_class") == "all") & (pl.col("sign_group") == "all"))
    found = {row["quantity"]: row for row in whole.iter_rows(named=True)}
    for quantity, truth in {"kappa": 0.7, "elbow": 150.0, "plateau_end": 20.0, "decay_slope": -3.7}.items():
        assert found[quantity]["low"] <= truth <= found[quantity]["high"], quantity


@pytest.mark.parametrize("law", LAWS)
def test_an_imported_lake_of_one_smooth_law_or_of_noise_is_not_supported(law, tmp_path):
    rng = np.random.default_rng([7, len(law)])
    table = on_a_lake(tmp_path, 1e-3 * np.sort(LAWS[law](400, rng))[::-1], 2)
    assert "supported" not in verdicts(table).values()


def test_a_breakpoint_at_the_end_of_its_range_has_no_number():
    """A power law that never decays: the elbow is pushed to the end, and says that it lies there or later."""
    rng = np.random.default_rng(6)
    true = planted(400, elbow=390.0)
    table = REGIMES.estimate(frame(true, 30, rng), rng)
    row = table.filter(token_class="all", sign_group="all", quantity="elbow").row(0, named=True)
    assert np.isnan([row["estimate"], row["low"], row["high"]]).all()
    assert "or later" in row["reason"]
    assert row["segmented"] > 200
    assert "or later (an end of its range)" in REGIMES.answer(table)


def test_verdicts_do_not_hang_on_the_seed():
    """The same documents, four seeds of everything that is drawn: never both supported and contradicted."""
    for excess in (0.0, 0.35, 1.0):
        sums = frame(planted(300, 15, excess, elbow=120.0), 24, np.random.default_rng(8))
        found = [verdicts(REGIMES.estimate(sums, np.random.default_rng(seed))) for seed in range(4)]
        for cell in found[0]:
            assert not {"supported", "contradicted"} <= {each[cell] for each in found}, (excess, cell)


def test_rare_minus_common_finds_a_plateau_that_only_rare_tokens_have():
    rare, common = planted(500, elbow=200.0), planted(500, elbow=200.0, plateau=1, excess=0.0)
    rng = np.random.default_rng(2)
    table = REGIMES.estimate(frame(common, 30, rng, rare_share=0.4, rare_true=rare), rng)
    found = verdicts(table)
    assert found["rare", "all"] == "supported"
    assert found["common", "all"] != "supported"
    contrast = table.filter(pl.col("token_class") == "rare_minus_common")
    excess = contrast.filter((pl.col("quantity") == "plateau_excess") & (pl.col("sign_group") == "all")).row(
        0, named=True
    )
    assert excess["low"] > 0
    assert contrast["verdict"].is_null().all()
    assert "differs between the classes" in REGIMES.answer(table)


@pytest.mark.parametrize("law", LAWS)
def test_one_smooth_law_and_noise_are_not_supported(law):
    rng = np.random.default_rng([4, len(law)])
    for _ in range(2):
        table = REGIMES.estimate(frame(LAWS[law](400, rng), 24, rng), rng)
        assert "supported" not in verdicts(table).values()
    if law == "noise":
        assert "unreliable" in REGIMES.answer(table)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_at_most_five_percent_of_draws_support_anything(law):
    """200 draws of 300 to 1,500 neurons and 12 to 60 documents, half of them very noisy: any of the 9 verdicts."""
    supported = 0
    for draw in range(200):
        rng = np.random.default_rng([draw, len(law)])
        noise = {"common": rng.uniform(0.2, 1.0), "own": rng.uniform(0.3, 1.5), "tail": rng.uniform(1.0, 2.0)}
        sums = frame(LAWS[law](int(rng.integers(300, 1500)), rng), int(rng.integers(12, 61)), rng, **noise)
        supported += "supported" in verdicts(REGIMES.estimate(sums, rng)).values()
    assert supported <= 10


@pytest.mark.slow
def test_intervals_cover_what_was_planted():
    """Over 100 draws of a planted plateau: supported in at least 90 %, each interval covers in at least 85 %."""
    inside, supported = dict.fromkeys(TRUTH, 0), 0
    for draw in range(100):
        rng = np.random.default_rng([draw, 99])
        table = REGIMES.estimate(frame(planted(), 40, rng), rng)
        supported += verdicts(table)["all", "all"] == "supported"
        whole = table.filter((pl.col("token_class") == "all") & (pl.col("sign_group") == "all"))
        for row in whole.iter_rows(named=True):
            if row["quantity"] in TRUTH:
                inside[row["quantity"]] += row["low"] <= TRUTH[row["quantity"]] <= row["high"]
    assert supported >= 90
    assert min(inside.values()) >= 85, inside


def test_too_few_documents_or_neurons_give_reasons():
    rng = np.random.default_rng(5)
    few = REGIMES.estimate(frame(LAWS["lognormal"](200, rng), 4, rng), rng)
    assert few["low"].is_nan().all()
    assert set(verdicts(few).values()) == {"undecidable"}
    assert few["reason"].str.contains("only 4 documents").all()
    assert "only 4 documents" in REGIMES.answer(few)
    small = REGIMES.estimate(frame(LAWS["lognormal"](30, rng), 12, rng), rng)
    assert small["reason"].str.contains("at least 50 are needed").all()
    one_class = frame(LAWS["lognormal"](120, rng), 12, rng).filter(pl.col("token_class") == "common")
    table = REGIMES.estimate(one_class, rng)
    assert table.filter(pl.col("token_class") == "rare")["reason"].str.contains("no position").all()
    assert table.filter(pl.col("token_class") == "rare_minus_common")["reason"].str.contains("rare: no position").all()
    assert REGIMES.estimate(one_class.head(0), rng).schema == table.schema
    assert REGIMES.answer(table.head(0)) == ""
