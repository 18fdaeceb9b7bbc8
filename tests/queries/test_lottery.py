"""Planted atoms: settled early, pure but unrelated, or of no class; and what has no answer."""

import numpy as np
import polars as pl
import pytest

from queries import load, run
from tests.atoms import N_ATOMS, add_atoms
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect

LOTTERY = load("lottery")


def table_of(folder, documents=14, positions=60, **planted):
    lake = make_lake(folder, planted_influence(6, elbow=3), documents=documents, positions=positions, activation=False)
    add_atoms(lake, **planted)
    return run(connect(lake), LOTTERY)


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    return table_of(tmp_path_factory.mktemp("settled"))


@pytest.fixture(scope="module")
def unrelated(tmp_path_factory):
    return table_of(tmp_path_factory.mktemp("unrelated"), settled=False)


@pytest.fixture(scope="module")
def none(tmp_path_factory):
    return table_of(tmp_path_factory.mktemp("none"), pure=0.0)


def row(table, measure, sae="topk", scheme="frequency", step=200):
    return table.row(
        by_predicate=(pl.col("sae") == sae) & (pl.col("scheme") == scheme) & (pl.col("measure") == measure)
        & (pl.col("step") == step), named=True,
    )  # fmt: skip


def test_atoms_that_keep_what_they_like_are_settled_early(settled):
    found = row(settled, "spearman")
    assert found["early_step"] == 10
    assert found["low"] > found["null_high"]
    assert found["verdict"] == "supported"
    assert found["n_atoms"] == N_ATOMS
    top = row(settled, "top_decile")
    assert top["estimate"] > 0.8
    assert top["low"] > top["null_high"]
    assert row(settled, "lift_over_chance")["estimate"] == pytest.approx(top["estimate"] * top["n_classes"])
    assert "is **supported**" in LOTTERY.answer(settled)


def test_atoms_that_change_what_they_like_are_pure_but_not_settled(unrelated):
    found = row(unrelated, "spearman")
    assert found["verdict"] != "supported"
    assert found["low"] < found["null_high"]
    late = row(unrelated, "purity_final")
    assert late["low"] > late["null_high"]


def test_atoms_of_no_class_are_as_pure_as_permuted_labels_make_them(none):
    for measure in ("purity_early", "purity_final", "spearman"):
        found = row(none, measure)
        assert found["low"] < found["null_high"]
        assert found["high"] > found["null_low"]
        assert found["p"] > 0.01
    # the largest of ten noisy shares is well above a tenth, and early contexts are partly the late ones
    assert row(none, "purity_final")["null_mean"] > 0.15
    assert row(none, "spearman")["verdict"] != "supported"


def test_purity_is_followed_from_the_untrained_state_on(settled):
    steps = settled.filter(sae="topk", scheme="frequency", measure="purity").sort("step")
    assert steps["step"].to_list() == [0, 10, 200]
    assert steps["estimate"][0] < steps["low"][1]
    assert steps["null_mean"].is_nan().all()


def test_dead_atoms_are_counted_and_left_out(settled):
    found = row(settled, "spearman", sae="relu")
    assert (found["n_dead"], found["n_atoms"]) == (N_ATOMS // 2, N_ATOMS // 2)
    assert row(settled, "dead_share", sae="relu", scheme="codes")["estimate"] == 0.5


def test_the_phase_of_the_codes_has_no_interval_and_says_why(settled):
    found = settled.filter(scheme="codes", measure="phase", sae="topk").sort("step")
    assert found["estimate"].is_finite().all()
    assert found["low"].is_nan().all()
    assert (found["reason"] == "a fact of this training: nothing is resampled").all()


def test_classes_that_are_strata_or_alone_have_reasons(settled):
    assert row(settled, "excess_in_strata")["reason"] == "the classes are the strata"
    # all tokens of the tiny vocabulary are written without a space before them: pieces
    assert row(settled, "spearman", scheme="word_class")["reason"] == "fewer than 2 classes occur"
    assert row(settled, "spearman", scheme="position")["n_classes"] == 0


@pytest.mark.parametrize(("documents", "words"), [(3, "at least 5 are needed"), (8, "at least 10 are needed")])
def test_few_documents_decide_nothing(tmp_path, documents, words):
    found = row(table_of(tmp_path, documents=documents, positions=100), "spearman")
    assert found["verdict"] == "undecidable"
    assert words in found["reason"]
    assert np.isnan(found["low"]) == (documents < 5)
