"""Modules on simulated activations: planted ones are found, none where none are, and odd input is named."""

import numpy as np
import polars as pl
import pytest

from queries import load
from queries.stats.module_measures import MEASURES, Effort

FEWER = Effort(groups=99, sweep=19, shifts=99, planted=20, restarts=5)
MODULARITY = load("modularity").with_effort(FEWER)
M = 14


def frame(rng, r=0.0, n_documents=20, positions=30, n_neurons=160, rare_share=0.5, core=M, is_gated=False, factors=2):
    """Rows as the SQL returns them: neurons with scales of their own that share three factors and documents' means.

    The first `core` neurons are the plateau; `factors` parts of them share one more factor each, with correlation `r`.
    `is_gated`: the sign of each neuron is drawn.
    """
    T = n_documents * positions
    document = np.repeat(np.arange(n_documents), positions)
    shared = rng.standard_normal((T, 3)) @ (0.2 * rng.standard_normal((3, n_neurons)))
    level = 0.15 * rng.standard_normal((n_documents, n_neurons))[document]
    z = shared + level + rng.standard_normal((T, n_neurons))
    z /= z.std(axis=0)
    own = rng.standard_normal((T, factors))[:, np.arange(core) % factors]
    z[:, :core] = np.sqrt(1 - r) * z[:, :core] + np.sqrt(r) * own
    values = (z * rng.lognormal(0, 1, n_neurons)).astype(np.float32)
    if is_gated:
        values *= rng.choice(np.array([-1, 1], dtype=np.float32), n_neurons)
    regime = np.where(np.arange(n_neurons) < core, "plateau", np.where(np.arange(n_neurons) < 80, "power_law", "decay"))
    # what a group is matched on says nothing about the plateau here
    influence = rng.lognormal(0, 1, n_neurons)
    constant = pl.DataFrame(
        {
            "regime": [regime.tolist()], "is_core": [(regime == "plateau").tolist()],
            "influence": [influence.tolist()], "out_weight": [None],
            "is_gated": [is_gated],
        }
    )  # fmt: skip
    rows = pl.DataFrame(
        {
            "run": ["r-1"] * T, "token_index": np.arange(T), "document": document,
            "token_class": np.where(rng.random(T) < rare_share, "rare", "common"), "activation": values,
        }
    )  # fmt: skip
    return rows.join(constant, how="cross")


def row(table, **where):
    (one,) = table.filter(*(pl.col(key) == value for key, value in where.items())).iter_rows(named=True)
    return one


def test_planted_modules_are_found_and_only_there():
    table = MODULARITY.estimate(frame(np.random.default_rng(0), r=0.5), np.random.default_rng(1))
    assert table.columns == [*MODULARITY.keys, "estimate", "low", "high", "n", *MODULARITY.columns]
    assert table.height == 2 * 3 * len(MEASURES)
    assert table.equals(table.sort(MODULARITY.keys), null_equal=True)
    known = table.filter(pl.col("low").is_not_nan())
    assert ((known["low"] <= known["estimate"]) & (known["estimate"] <= known["high"])).all()
    assert table.filter(pl.col("low").is_nan())["reason"].str.contains("stays the same whichever").all()
    for token_class in ("rare", "common"):
        plateau = row(table, token_class=token_class, group="plateau", measure="signed_q")
        assert plateau["verdict"] == "contradicted", plateau["reason"]
        assert plateau["p"] <= 0.02
        assert plateau["estimate"] > plateau["influence_high"]
        assert row(table, token_class=token_class, group="decay", measure="signed_q")["p"] > 0.02
        assert row(table, token_class=token_class, group="plateau", measure="mg_q")["p"] <= 0.02
        assert row(table, token_class=token_class, group="plateau", measure="n_communities")["estimate"] == 2
    assert "**contradicted**" in MODULARITY.answer(table)
    assert 0 < MODULARITY.excerpt(table).height <= 60


def test_a_group_like_any_other_has_no_modules():
    data = frame(np.random.default_rng(2), positions=60, n_neurons=400)
    table = MODULARITY.estimate(data, np.random.default_rng(3))
    verdicts = table.filter(pl.col("verdict").is_not_null())
    assert verdicts.height == 2
    assert "contradicted" not in set(verdicts["verdict"])
    rare = row(table, token_class="rare", group="plateau", measure="signed_q")
    assert rare["verdict"] == "supported", rare["reason"]
    for name in ("signed_q", "mg_q"):
        found = row(table, token_class="rare", group="plateau", measure=name)
        assert min(found["p_influence"], found["p_trend"]) >= 0.2
        assert found["power"] >= 0.8
        assert found["high"] < found["planted"]
    assert "no modules is **supported**" in MODULARITY.answer(table)


def test_noise_without_any_eigenvalue_beyond_the_edge_is_decided_too():
    """Nothing is above the noise, whichever documents are left out: no interval, but an answer."""
    data = frame(np.random.default_rng(12), positions=40)
    noise = np.random.default_rng(13).standard_normal((data.height, 160))
    table = MODULARITY.estimate(data.with_columns(activation=pl.Series(noise)), np.random.default_rng(14))
    mg = row(table, token_class="rare", group="plateau", measure="mg_q")
    assert mg["reason"].startswith("no interval: it stays the same") or not np.isnan(mg["low"])
    assert not row(table, token_class="rare", group="plateau", measure="signed_q")["reason"].startswith("no interval")
    assert mg["n_windows"] == 10


def test_the_same_seed_gives_the_same_table():
    data = frame(np.random.default_rng(4), n_documents=8)
    first, again = (MODULARITY.estimate(data, np.random.default_rng(5)) for _ in range(2))
    assert first.equals(again, null_equal=True)


def test_constant_neurons_ties_and_missing_values_do_not_break_it():
    data = frame(np.random.default_rng(7))
    activation = data["activation"].to_numpy().copy()
    activation[:, [0, 1, 40]] = 0.0  # dead neurons, two of them in the plateau
    activation[:, 2] = np.round(activation[:, 2])
    activation[5, 3] = float("nan")
    lacking = pl.when(pl.col("token_index") != 6).then(pl.Series("activation", activation))
    table = MODULARITY.estimate(data.with_columns(activation=lacking), np.random.default_rng(8))
    assert table["estimate"].is_not_nan().all()
    assert table["n_neurons"].unique().to_list() == [M]


def test_reasons_where_there_is_no_answer():
    rng = np.random.default_rng(9)
    few = MODULARITY.estimate(frame(rng, n_documents=4, positions=60), rng)
    assert few["low"].is_nan().all()
    assert few["estimate"].is_not_nan().all()
    assert few["reason"].str.contains("fewer than 5 documents").all()
    assert set(few["verdict"].drop_nulls()) == {"undecidable"}
    small = MODULARITY.estimate(frame(rng, core=4), rng)
    assert small["estimate"].is_nan().all()
    assert small["reason"].str.contains("has 4 neurons; at least 5").all()
    one_class = MODULARITY.estimate(frame(rng, rare_share=0.0), rng)
    assert one_class.filter(pl.col("token_class") == "rare")["reason"].str.contains("no positions").all()
    assert one_class.filter(pl.col("token_class") == "common")["estimate"].is_not_nan().all()
    without = frame(rng).with_columns(regime=pl.col("regime").list.eval(pl.lit(None, dtype=pl.String)))
    nothing = MODULARITY.estimate(without, rng)
    assert nothing["reason"].str.contains("has 0 neurons").all()
    assert "no modules is **undecidable**" in MODULARITY.answer(nothing)
    large = MODULARITY.estimate(frame(rng, core=45, n_neurons=80), rng)
    assert large.filter(pl.col("group") == "power_law")["reason"].str.contains("fewer neurons than the core").all()


def test_no_rows_no_answer():
    empty = MODULARITY.estimate(frame(np.random.default_rng(0), n_documents=2).head(0), np.random.default_rng(0))
    assert empty.height == 0
    assert MODULARITY.answer(empty) == ""
    assert MODULARITY.excerpt(empty).height == 0


@pytest.mark.slow
def test_size_and_power():
    """At 5 %, of 60 groups like any other at most 8 % are called modular; of 30 with r = 0.5 at least 80 %."""
    called = {0.0: 0, 0.5: 0}
    for r, n_draws in ((0.0, 60), (0.5, 30)):
        for draw in range(n_draws):
            table = MODULARITY.estimate(frame(np.random.default_rng([draw, 7]), r), np.random.default_rng(draw))
            called[r] += row(table, token_class="rare", group="plateau", measure="signed_q")["p"] < 0.05
    assert called[0.0] <= 5
    assert called[0.5] >= 24
