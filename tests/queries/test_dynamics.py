"""Dynamics of planted sweeps: what emerges is found at its step, and nothing where nothing was planted."""

import numpy as np
import polars as pl
import pytest

from queries import PARAMETERS, Session, load
from queries.dynamics import CONTRAST, Effort, answer, estimate
from tests.lake import planted_influence
from tests.sweep import emerging, make_sweep, only_rare
from warehouse.connection import connect, frame
from warehouse.lake import open_lake

EFFORT = Effort(replicates=300, halves=9)
NO_REGIMES = pl.DataFrame(
    schema={"run": pl.String, "token_class": pl.String, "sign_group": pl.String, "quantity": pl.String,
            "verdict": pl.String, "n_positions": pl.Int64}
)  # fmt: skip


def rows_of(lake, runs=(), regimes=NO_REGIMES):
    con = connect(lake, runs)
    con.register("regimes", regimes.to_arrow())
    return frame(con, load("dynamics").sql, PARAMETERS)


def table_of(rows):
    return estimate(rows, np.random.default_rng(0), EFFORT)


def by_step(lake):
    """The runs of a sweep from the first checkpoint on; runs that were published in one second are in no such order."""
    return [run.name for run in sorted(open_lake(lake).runs, key=lambda run: run.step)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("planted"), emerging(), documents=40, positions=40, d_model=40, seed=1)


@pytest.fixture(scope="module")
def rows(planted):
    return rows_of(planted)


@pytest.fixture(scope="module")
def table(rows):
    return table_of(rows)


def one(table, step, token_class="rare", measure="delta_bias"):
    (row,) = table.filter(token_class=token_class, measure=measure, step=step).to_dicts()
    return row


def test_the_plateau_of_rare_tokens_emerges_where_it_was_planted(table):
    row = one(table, 64)
    assert (row["emerged"], row["emerged_after"]) == (8, 1)
    assert row["wide_low"] > 0
    assert row["p"] <= 0.05
    common = one(table, 64, "common")
    assert common["wide_high"] < np.log(2)
    assert abs(common["difference"]) < 0.3
    contrast = one(table, 64, CONTRAST)
    assert contrast["emerged"] == 8
    before, after = (one(table, step, measure="overlap")["estimate"] for step in (1, 8))
    assert after > 0.6 > before


def test_where_nothing_changes_nothing_emerges(tmp_path):
    same = dict.fromkeys((0, 1, 8, 64), only_rare(12))
    found = table_of(rows_of(make_sweep(tmp_path, same, documents=24)))
    tested = found.filter(pl.col("p").is_finite())
    assert tested.filter(pl.col("p") <= 0.05).height <= 0.1 * tested.height
    last = one(found, 64)
    assert last["wide_low"] < 0 < last["wide_high"]
    assert last["verdict"] != "supported"


def test_the_verdict_is_that_of_the_last_checkpoint(planted):
    last = frame(connect(planted), "select distinct last_run from sweep_runs").item()
    for verdict, expected in (("supported", "supported"), ("contradicted", "contradicted"), (None, "undecidable")):
        regimes = pl.DataFrame(
            {"run": [last], "token_class": ["rare"], "sign_group": ["all"], "quantity": ["plateau_excess"],
             "verdict": [verdict], "n_positions": [1]}, schema=NO_REGIMES.schema,
        )  # fmt: skip
        found = table_of(rows_of(planted, regimes=regimes))
        assert one(found, 64)["verdict"] == expected
        assert f"**{expected}**" in answer(found)
        assert found["verdict"].drop_nulls().len() == 1


def test_the_answer_names_the_steps(table):
    said = answer(table)
    assert "rare tokens: up, shown from step 8 on (not yet at 1)" in said
    assert "since the untrained model" in said


def test_sums_and_losses_are_those_of_the_lake(planted, rows):
    con = connect(planted)
    of_step = frame(con, "select run from sweep_runs where step = 8").item()
    direct = frame(
        con,
        """select document, sum(abs(delta_loss::double)) as total from ablations join token_classes() using
        (run, token_index) where run = $run and token_class = 'rare' and neuron = 7
        group by document order by document""",
        {"run": of_step},
    )
    kept = rows.filter(token_class="rare", step=8, part="influence").sort("item")
    np.testing.assert_allclose([value[7] for value in kept["value"]], direct["total"], rtol=1e-5)
    found = one(table_of(rows), 8, measure="loss")["estimate"]
    loss = frame(
        con,
        "select avg(loss) from tokens join token_classes() using (run, token_index) "
        "where run = $run and token_class = 'rare'",
        {"run": of_step},
    )
    # a level without its tiny bias of resampling
    assert found == pytest.approx(loss.item(), rel=0.01)


def test_a_trajectory_ends_with_the_last_run_that_is_seen(planted):
    runs = by_step(planted)
    found = table_of(rows_of(planted, runs[:3]))
    assert found["run"].unique().to_list() == [runs[2]]
    assert found["step"].unique().sort().to_list() == [0, 1, 8]


def test_without_step_0_the_words_say_so(planted):
    runs = by_step(planted)
    found = table_of(rows_of(planted, runs[1:]))
    assert found["reference"].unique().to_list() == [1]
    assert "step 1 (there is no step 0)" in answer(found)


def test_one_checkpoint_has_levels_and_no_changes(planted):
    found = table_of(rows_of(planted, by_step(planted)[:1]))
    assert found["difference"].is_nan().all()
    row = one(found, 0)
    assert np.isfinite(row["estimate"])
    assert (row["verdict"], row["reason"]) == (
        "undecidable",
        "one checkpoint: there is nothing to compare it with",
    )
    assert answer(found)


def test_what_was_not_measured_has_no_number_and_a_reason(tmp_path):
    influences = dict.fromkeys((0, 8), planted_influence(120, elbow=60))
    found = table_of(rows_of(make_sweep(tmp_path, influences, activation=False, losses=False)))
    for measure in ("loss", "d95", "participation"):
        row = one(found, 8, measure=measure)
        assert np.isnan(row["estimate"])
        assert "not measured" in row["reason"]
    assert not found["measure"].str.starts_with("alpha").any()


def test_runs_outside_a_sweep_are_not_in_it(planted, table):
    assert set(table["run"]) == {frame(connect(planted), "select distinct last_run from sweep_runs").item()}


def test_checkpoints_that_read_other_text_are_refused(planted, rows):
    odd = rows.with_columns(
        n_positions=pl.when(pl.col("step") == 8).then(pl.col("n_positions") + 1).otherwise("n_positions")
    ).filter(pl.col("part") != "activation")
    with pytest.raises(ValueError, match="step 8 was not measured with the neurons and positions of step 0"):
        table_of(odd)


def test_the_session_gives_the_table_the_verdict_of_regimes(planted):
    runs = by_step(planted)
    session = Session(connect(planted, runs[-1:]), steps=lambda: connect(planted))
    regimes = pl.DataFrame(
        {"run": runs[-1:], "token_class": ["rare"], "sign_group": ["all"], "quantity": ["plateau_excess"],
         "verdict": ["supported"], "n_positions": [1]}, schema=NO_REGIMES.schema,
    )  # fmt: skip
    session.give("regimes", regimes)
    found = session.table(load("dynamics").with_effort(EFFORT))
    assert one(found, 64)["verdict"] == "supported"


@pytest.mark.parametrize("documents", [12, 30])
def test_classes_that_are_not_in_the_same_documents_are_compared_all_the_same(tmp_path, documents):
    """Without some documents means without the same ones in both classes."""
    influences = dict.fromkeys((0, 8), planted_influence(120, elbow=60))
    lake = make_sweep(tmp_path, influences, documents=documents, positions=6, rare_share=0.15, seed=1)
    rows = rows_of(lake)
    per_class = rows.filter(part="influence", step=8).group_by("token_class").len()
    assert per_class["len"].n_unique() == 2
    found = table_of(rows)
    row = one(found, 8, CONTRAST, "participation")
    assert row["estimate"] == pytest.approx(
        one(found, 8, "rare", "participation")["estimate"] - one(found, 8, "common", "participation")["estimate"]
    )
    assert row["difference_low"] < row["difference"] < row["difference_high"]
