"""The optional pass `sae`: what is read, what is written, and what is refused, on tiny imported runs."""

import json
import tracemalloc

import numpy as np
import polars as pl
import pytest
import torch

from tests.cli.shell import failed, rt
from tests.lake import make_lake, planted_influence
from training import sae_measures
from training.sae_inputs import PIECE, mean_square, read_matrix, standardised
from training.sae_measures import CONTEXTS, probed
from training.sae_pass import SaePass, train_sae
from training.sparse_autoencoder import SparseAutoencoder, Training
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, RtError
from warehouse.lake import open_lake

TINY = SaePass(("relu", "topk"), training=Training(atoms=10, k=2, steps=20, batch=32))


def new_lake(folder, **options):
    return make_lake(folder, planted_influence(12, elbow=6), documents=6, positions=20, **options)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = new_lake(tmp_path_factory.mktemp("sae"))
    train_sae(lake, None, TINY, lambda _: None)
    return lake


def test_the_tables_hold_every_kept_step_of_both(lake):
    con = connect(lake)
    steps = frame(con, "from sae_steps order by sae, step")
    assert steps["step"].to_list() == 2 * sorted(set(steps["step"]))
    assert {0, 1, 20} <= set(steps["step"])
    assert (steps["n_positions"] == 120).all()
    last = steps.filter(pl.col("step") == 20)
    assert (last["explained_variance"] > steps.filter(pl.col("step") == 0)["explained_variance"]).all()
    assert last.filter(sae="topk")["l0"][0] <= 2
    assert (steps["beta_em"] * steps["lambda_max"] >= 1 - 1e-6).all()
    atoms = frame(con, "from sae_atoms order by sae, step, atom")
    assert atoms.height == steps.height * 10
    shown = atoms.filter(pl.col("direction").is_not_null())
    assert set(shown["step"]) == {1, 20}
    assert shown["direction"].list.len().unique().to_list() == [12]
    assert (atoms.filter(pl.col("step") == 20)["cosine_final"] - 1).abs().max() < 1e-5
    assert atoms.filter(n_active=0)["mean_activation"].is_null().all()


def test_contexts_are_the_strongest_positions_of_atoms_that_are_not_dead(lake):
    con = connect(lake)
    contexts = frame(con, "from sae_contexts order by sae, step, atom, rank")
    assert (contexts["activation"] > 0).all()
    counts = contexts.group_by("sae", "step", "atom").agg(pl.len(), falls=(pl.col("activation").diff() <= 0).all())
    assert counts["falls"].all()
    atoms = frame(con, "select sae, step, atom, n_active from sae_atoms").join(
        counts, on=["sae", "step", "atom"], how="left"
    )
    assert (atoms["len"].fill_null(0) == atoms["n_active"].clip(0, CONTEXTS)).all()


def test_the_pass_is_an_addition_with_its_own_manifest(lake):
    (run,) = open_lake(lake).runs
    manifest = run.passes["sae"]
    assert manifest["identity"]["of"] == "activations"
    assert manifest["input"] == {"positions": 120, "dimensions": 12}
    assert set(manifest["seconds"]) == {"relu", "topk"}
    run.check_sizes()
    assert not any((lake / "staging").iterdir())


def test_the_same_settings_need_no_work_and_others_are_refused(lake):
    said = []
    train_sae(lake, None, TINY, said.append)
    assert "nothing to do" in said[0]
    with pytest.raises(LakeError, match="seed 0; asked for: seed 1") as error:
        train_sae(lake, None, SaePass(TINY.saes, seed=1, training=TINY.training))
    assert "--pass sae" in error.value.hint


def test_the_same_seed_gives_the_same_rows_with_or_without_the_other_autoencoder(lake, tmp_path):
    other = new_lake(tmp_path)
    train_sae(other, None, SaePass(("topk",), training=TINY.training), lambda _: None)
    sql = "select * exclude (run) from sae_steps where sae = 'topk' order by step"
    assert frame(connect(lake), sql).equals(frame(connect(other), sql))


def test_a_matrix_is_that_of_the_table_standardised(lake):
    con = connect(lake)
    matrix = read_matrix(con, "activations")
    rows = frame(con, "select activation from neuron_tokens where neuron = 5 order by token_index")
    assert np.array_equal(matrix[:, 5], rows["activation"].to_numpy())
    matrix[:, 3] = 7
    found = standardised(matrix)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert found.std(axis=0) == pytest.approx((np.arange(12) != 3).astype(float), abs=1e-5)


def test_to_standardise_takes_no_copy_of_the_matrix():
    matrix = np.random.default_rng(0).normal(1000, 1e-3, (40_000, 24)).astype(np.float32)
    expected = matrix.std(axis=0, dtype=np.float64)
    direct = matrix.astype(np.float64)
    tracemalloc.start()
    found = standardised(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < matrix.nbytes
    assert found.std(axis=0, dtype=np.float64) == pytest.approx(np.ones(24), rel=1e-5)
    # in its own units; a step of float32 at 1,000 is 6e-5
    assert found * expected == pytest.approx(direct - direct.mean(axis=0), abs=1e-4)


def test_the_variance_of_the_inputs_is_found_once_and_in_double_precision(monkeypatch):
    x = torch.from_numpy(np.random.default_rng(1).normal(0, 3, (PIECE + 100, 5)).astype(np.float32))
    calls = []
    monkeypatch.setattr(sae_measures, "mean_square", lambda matrix: calls.append(1) or mean_square(matrix))
    kept = sae_measures.Kept("topk", x, 1, 0)
    model = SparseAutoencoder(5, 6, 2, torch.Generator().manual_seed(0))
    for step in (0, 1):
        kept.add(step, model)
    assert len(calls) == 1
    error, explained = (kept.steps[0][name][0].as_py() for name in ("squared_error", "explained_variance"))
    assert explained == pytest.approx(1 - error / x.double().square().mean().item(), rel=1e-12)


def test_codes_that_do_not_vary_have_no_precision():
    assert probed(np.ones((30, 4), dtype=np.float32), 0) == {"lambda_max": 0.0, "trace": 0.0, "beta_em": None}
    two = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    assert probed(two, 0)["beta_em"] is None


def test_what_is_not_there_is_named(tmp_path):
    lake = new_lake(tmp_path, activation=False)
    with pytest.raises(LakeError, match=r"neuron_tokens\.activation"):
        train_sae(lake, None, TINY)
    with pytest.raises(LakeError, match=r"residuals\.residual"):
        train_sae(lake, None, SaePass(of="residuals", training=TINY.training))
    assert not any((lake / "staging").iterdir())
    assert open_lake(lake).runs[0].passes == {}


@pytest.mark.parametrize(
    "settings",
    [SaePass(("gated",)), SaePass(of="logits"), SaePass(training=Training(k=0)), SaePass(training=Training(steps=1)),
     SaePass(training=Training(penalty=-1.0))],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(lake, settings):
    with pytest.raises(RtError) as error:
        train_sae(lake, None, settings)
    assert error.value.hint


def test_the_command_trains_on_the_only_run_and_the_analysis_reads_it(tmp_path):
    lake = new_lake(tmp_path)
    options = ("--atoms", "10", "--k", "2", "--steps", "6", "--lake", str(lake))
    made = rt("train-sae", *options)
    assert made.returncode == 0, made.stderr
    assert "2.0 of 10 atoms" in made.stdout
    assert "+sae" in rt("ls", "--lake", str(lake)).stdout
    assert json.loads(rt("run", "lottery", "--lake", str(lake), "--format", "json").stdout)
    failed(rt("train-sae", *options, "--run", "r-9999"), "no run r-9999")
    failed(rt("train-sae", *options, "--kind", "gated"), "relu, topk")
