"""Routing of rare tokens to the plateau: planted routing is found, evenly stronger heads and no routing are not."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from queries import Session, load, run
from queries.stats.routing_verdict import RoutingEvidence, decide_routing
from tests.heads import write_heads
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect, frame

ROUTING = load("head_routing")
N, PLATEAU = 100, 10


def rows(rng, *, routing=0.0, everywhere=0.0, members=range(PLATEAU), n_documents=30, n=4, heads=8):
    """What the SQL gives: at rare positions head 5 moves `members` by exp(routing) more, all all by `everywhere`."""
    parts = []
    sd = rng.lognormal(0, 0.5, N)
    factor = np.exp(0.3 * rng.standard_normal(n_documents))
    for token_class in ("common", "rare"):
        is_rare = token_class == "rare"
        for head in range(heads):
            size = 0.1 * sd * factor[:, None] * np.exp(everywhere * is_rare)
            change = size * np.abs(rng.standard_normal((n, n_documents, N))).sum(0)
            if is_rare and head == 5:
                change[:, list(members)] *= np.exp(routing)
            parts.append(
                pl.DataFrame(
                    {
                        "run": "r-1", "ablation": "mean", "layer": head // 4, "head": head % 4,
                        "token_class": token_class, "document": np.arange(n_documents), "n_positions": n, "n_chosen": n,
                        "sum_abs_change": pl.Series(change.tolist(), dtype=pl.List(pl.Float32)),
                    }
                )
            )  # fmt: skip
    table = pl.concat(parts).sort("layer", "head", "token_class", "document").with_row_index("row")
    influence = planted_influence(N, n_plateau=PLATEAU, elbow=50)
    elsewhere = 20 * influence * rng.lognormal(0, 0.3, (n_documents, N))
    lists = {
        "sd_activation": sd.tolist(), "elsewhere_n": [20.0] * elsewhere.size,
        "elsewhere_influence": elsewhere.ravel().tolist(), "input_gap": 0.1, "position_gap": None,
        "layers_without_path": [2], "heads_without_path": [0], "no_path_reason": "parallel residual",
    }  # fmt: skip
    for name, value in lists.items():
        one = pl.lit(pl.Series([value])).first()
        table = table.with_columns(pl.when(pl.col("row") == 0).then(one).alias(name))
    return table.drop("row")


def of(table, measure, token_class="rare_minus_common", head=None):
    found = table.filter(measure=measure, token_class=token_class)
    if head is not None:
        found = found.filter(layer=head // 4, head=head % 4)
    return found.row(0, named=True)


def test_planted_routing_is_found():
    rng = np.random.default_rng(0)
    table = ROUTING.estimate(rows(rng, routing=1.5), rng)
    found = of(table, "excess")
    # one of 8 heads does exp(1.5) times as much; a tenth of the neurons in random groups are the plateau's
    ratio = (7 + np.exp(1.5)) / 8
    truth = np.log(ratio) - np.log(1 + 0.1 * (ratio - 1))
    assert found["low"] < truth < found["high"]
    assert found["verdict"] == "supported", found["reason"]
    head = of(table, "influence", head=5)
    assert head["q"] < 0.05
    assert head["p_any"] < 0.01
    assert head["estimate"] > head["null_high"]
    base = of(table, "influence", "common", head=5)
    assert head["low"] < (np.exp(1.5) - 1) * base["estimate"] < head["high"]
    assert table.filter(measure="influence", token_class="rare_minus_common").filter(pl.col("q") < 0.05).height == 1
    assert of(table, "gini")["low"] > 0
    assert of(table, "heads_of_half")["high"] < 0
    words = ROUTING.answer(table)
    assert "**supported**" in words
    assert "1 of 8 heads move it more at rare positions (q < 0.05, most L1H1" in words
    assert "0 less; 1 of the 9 heads has no path to the MLP." in words
    half = [of(table, "heads_of_half", name) for name in ("rare", "common")]
    rare, common = (f"{row['estimate']:.3g}{{}} ({row['low']:.3g} to {row['high']:.3g})" for row in half)
    said = f"Half of the effect on it is carried by {rare.format(' heads')} on rare targets and by {common.format('')}"
    assert f"{said} on common ones (" in words


def test_rare_positions_that_move_every_neuron_more_are_no_routing():
    rng = np.random.default_rng(1)
    table = ROUTING.estimate(rows(rng, everywhere=0.7), rng)
    heads = table.filter(measure="influence", token_class="rare_minus_common")
    assert heads.filter(pl.col("q") < 0.05).height == 8
    found = of(table, "excess")
    assert found["low"] < 0 < found["high"]
    assert found["verdict"] == "contradicted", found["reason"]
    assert of(table, "gini")["low"] < 0 < of(table, "gini")["high"]


def test_nothing_is_contradicted_and_other_neurons_are_no_plateau():
    rng = np.random.default_rng(2)
    table = ROUTING.estimate(rows(rng), rng)
    assert of(table, "excess")["verdict"] == "contradicted"
    assert table.filter(measure="influence").filter(pl.col("q") < 0.05).height == 0
    table = ROUTING.estimate(rows(rng, routing=1.5, members=range(50, 60)), rng)
    assert of(table, "excess")["verdict"] == "contradicted"


def test_a_head_without_a_path_has_a_reason_and_no_number():
    rng = np.random.default_rng(3)
    table = ROUTING.estimate(rows(rng), rng)
    row = of(table, "influence", head=8)
    assert np.isnan(row["estimate"])
    assert row["reason"] == "no path: parallel residual"


def test_too_little_is_undecidable():
    rng = np.random.default_rng(4)
    table = ROUTING.estimate(rows(rng, routing=2.0, n_documents=4), rng)
    assert table["estimate"].is_nan().all()
    assert of(table, "excess")["verdict"] == "undecidable"
    assert "rare tokens are in 4 documents" in of(table, "excess")["reason"]
    few = ROUTING.estimate(rows(rng, routing=2.0, n_documents=9, n=20), rng)
    assert of(few, "excess")["reason"] == "9 documents; a verdict needs at least 10"
    bare = rows(rng).with_columns(elsewhere_n=None, elsewhere_influence=None)
    table = ROUTING.estimate(bare, rng)
    assert of(table, "excess")["reason"] == "every rare position is one that heads were ablated at"
    assert ROUTING.answer(table)
    short = ROUTING.estimate(rows(rng, n_documents=12), rng)
    assert of(short, "excess")["reason"].startswith("48 positions a class; a verdict needs at least 100 a class")
    assert "if --head-tokens was below 200" in of(short, "excess")["remedy"]
    assert "if --head-tokens was below 200" in ROUTING.answer(short)
    assert short.filter(pl.col("measure") != "excess")["remedy"].null_count() == short.height - 1
    scarce = rows(rng).with_columns(pl.col("elsewhere_n") / 10)
    table = ROUTING.estimate(scarce, rng)
    assert "read off 60 rare positions where no head was ablated" in of(table, "excess")["reason"]


@pytest.mark.parametrize("name", ["any", "alike"])
def test_both_kinds_of_groups_must_be_passed(name):
    p = {"any": 0.001, "alike": 0.001} | {name: 0.2}
    means = {"any": 0.0, "alike": 0.05}
    evidence = RoutingEvidence(30, 200, 900, 12, 90, 4, 4, 0.4, 0.3, 0.5, means, p)
    assert decide_routing(evidence)[0] == "undecidable"


def test_what_is_shown_against_routing_must_exclude_it():
    means, none = {"any": 0.0, "alike": -0.3}, {"any": 0.4, "alike": 0.2}
    evidence = RoutingEvidence(30, 200, 900, 12, 270, 0, 0, 0.05, 0.01, 0.2, {"any": 0.0, "alike": 0.0}, none)
    assert decide_routing(evidence)[0] == "contradicted"
    # over the groups that are alike it may be a third, a head may stand out, or only no head alone be seen
    assert decide_routing(replace(evidence, null_mean=means))[0] == "undecidable"
    assert "1 head by itself" in decide_routing(replace(evidence, n_selective=1, n_special=1))[1]
    assert decide_routing(replace(evidence, excess=0.15, low=0.1, p={"any": 0.001, "alike": 0.001}))[0] == "undecidable"


def test_what_is_sure_and_small_is_said_to_be_small():
    means, p = {"any": 0.0, "alike": 0.01}, {"any": 0.001, "alike": 0.001}
    evidence = RoutingEvidence(30, 200, 900, 12, 90, 4, 4, 0.1, 0.05, 0.15, means, p)
    verdict, reason = decide_routing(evidence)
    assert verdict == "supported"
    assert "small: a ratio a quarter above that of random groups is excluded" in reason
    assert "small" not in decide_routing(replace(evidence, excess=0.4, low=0.3, high=0.5))[1]


def test_one_head_of_very_many_can_have_a_small_q():
    """1,000 groups and 10,000 flips alone could not give a single head among 270 q < 0.05, or one among 600."""
    rng = np.random.default_rng(5)
    table = ROUTING.estimate(rows(rng, routing=2.5, n_documents=20, heads=270), rng)
    head = of(table, "influence", head=5)
    assert head["p_any"] == pytest.approx(1 / 20_000)
    assert head["q_any"] == pytest.approx(270 / 20_000)
    assert head["p"] < 600 * head["p"] < 0.05
    others = table.filter(measure="influence", token_class="rare_minus_common").filter(pl.col("p_any") > 0.02)
    assert others.height > 200
    draws = others["p_any"].to_numpy() * 1001
    np.testing.assert_allclose(draws, draws.round(), atol=1e-6)  # the others are held against 1,000


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    influence = planted_influence(80, n_plateau=8, elbow=40)
    lake = make_lake(tmp_path_factory.mktemp("routing"), influence, documents=14, positions=80)
    core = run(connect(lake), load("plateau_stability")).filter(token_class="rare").filter("is_core")["neuron"]
    write_heads(lake, routing=1.5, members=core.to_list(), ablations=("bos", "mean"))
    return lake


def test_from_the_lake(lake):
    session = Session(connect(lake))
    table = session.table(ROUTING)
    assert table["ablation"].unique().sort().to_list() == ["bos", "mean"]
    for (_,), part in table.group_by("ablation"):
        assert of(part, "excess")["verdict"] == "supported", of(part, "excess")["reason"]
        assert of(part, "influence", head=5)["q"] < 0.05
        assert part.filter(measure="influence", layer=2)["reason"].str.starts_with("no path").all()
    sums = frame(
        connect(lake), "select n, sum_abs_change from head_neurons where layer = 1 and head = 1 and ablation = 'mean'"
    )
    assert sums["n"].sum() == 2 * of(table, "excess")["n_positions"]


def test_documents_that_are_not_whole_are_left_out(lake):
    whole = run(connect(lake), ROUTING)
    some = run(connect(lake, where="document < 12"), ROUTING)
    assert of(some, "excess")["n"] == 12 < of(whole, "excess")["n"]
    assert "2 documents not whole and left out" in ROUTING.answer(some)
    assert of(some, "excess")["n_left_out"] == 2
    other = run(connect(lake), ROUTING, parameters={"rare_quantile": 0.1})
    assert of(other, "excess")["verdict"] == "undecidable"
    assert "not whole under the conditions" in of(other, "excess")["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("everywhere", [0.0, 0.7])
def test_without_routing_it_is_not_supported_and_the_interval_covers(everywhere):
    """Also where rare positions move every neuron twice as much."""
    found = []
    for seed in range(100):
        rng = np.random.default_rng([seed, 7])
        found.append(of(ROUTING.estimate(rows(rng, everywhere=everywhere), rng), "excess"))
    assert sum(row["verdict"] == "supported" for row in found) <= 3
    assert sum(row["low"] <= 0 <= row["high"] for row in found) >= 90
    assert sum(row["p_any"] < 0.05 for row in found) <= 12


def test_neurons_that_were_chosen_at_the_sampled_positions_are_no_routing(tmp_path):
    """A core of neurons that happen to be strong at the positions of the heads would move more there, by its choice."""
    lake = make_lake(tmp_path, planted_influence(80, n_plateau=8, elbow=40), documents=14, positions=40)
    write_heads(lake)
    con = connect(lake)
    positions = frame(con, "select count(*) as n from head_positions where stratum = 'rare'")["n"][0]
    rare = frame(con, "select count(*) as n from token_classes() where token_class = 'rare'")["n"][0]
    found = of(run(con, ROUTING), "excess")
    assert found["n_elsewhere"] == rare - positions > 0
