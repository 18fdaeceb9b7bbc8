"""Codes along the training of a sparse autoencoder: the file that is written, and when it is refused."""

import numpy as np
import polars as pl
import pytest
import torch

from tests.cli.shell import rt
from tests.lake import make_lake, planted_influence
from training.sae_pass import SaePass, train_sae
from training.sae_states import SAMPLES, CodeStates
from training.sparse_autoencoder import SparseAutoencoder, Training
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, RtError
from warehouse.lake import open_lake
from warehouse.trajectories import connect_states

TINY = SaePass(("topk",), training=Training(atoms=10, k=2, steps=20, batch=32))


@pytest.fixture
def lake(tmp_path):
    return make_lake(tmp_path, planted_influence(12, elbow=6), documents=6, positions=20)


def test_codes_of_the_same_positions_at_every_kept_step(lake, tmp_path):
    path = tmp_path / "codes.parquet"
    train_sae(lake, None, TINY, lambda _: None, states=path)
    found = frame(connect_states([path]), "from trajectory_states order by step, sample")
    con = connect(lake)
    steps = frame(con, "select step, squared_error from sae_steps order by step")
    tokens = frame(con, "select token_index, document::varchar as document from tokens order by token_index")
    assert found.height == 120 * steps.height
    for (step,), group in found.group_by("step", maintain_order=True):
        assert group["sample"].to_list() == tokens["token_index"].to_list()
        assert group["document"].to_list() == tokens["document"].to_list()
        assert set(group["vector"].list.len()) == {10}
        # all positions of so small a run are in the sample
        assert group["loss"][0] == pytest.approx(steps.filter(step=step)["squared_error"].item(), rel=1e-5)
    last = found.filter(step=20).select(active=pl.col("vector").list.eval(pl.element() > 0).list.sum())
    assert last["active"].max() <= 2
    assert not list(tmp_path.glob(".*partial"))


def test_a_sample_of_many_positions_is_evenly_spread():
    x = torch.zeros(2 * SAMPLES + 1, 4)
    codes = CodeStates(x, np.arange(len(x)), np.zeros(len(x), dtype=np.int64), 0)
    assert len(codes.x) == len(codes.sample) <= SAMPLES
    assert set(np.diff(codes.sample)) == {3}
    codes.add(0, SparseAutoencoder(4, 6, 2, torch.Generator().manual_seed(0)))


def test_what_could_not_be_written_is_refused_before_the_training(lake, tmp_path):
    both = SaePass(("relu", "topk"), training=TINY.training)
    for settings, path in ((both, "a.parquet"), (TINY, "a.csv"), (TINY, "nowhere/a.parquet"), (TINY, ".")):
        with pytest.raises(RtError, match="--states") as raised:
            train_sae(lake, None, settings, lambda _: None, states=tmp_path / path)
        assert raised.value.hint
    assert open_lake(lake).runs[0].passes == {}


def test_of_a_pass_that_is_there_no_states_can_be_had(lake, tmp_path):
    train_sae(lake, None, TINY, lambda _: None)
    with pytest.raises(LakeError, match="is already in") as raised:
        train_sae(lake, None, TINY, lambda _: None, states=tmp_path / "codes.parquet")
    assert "--pass sae" in raised.value.hint
    assert not (tmp_path / "codes.parquet").exists()


def test_the_path_of_the_codes_is_an_analysis(lake, tmp_path):
    path = tmp_path / "codes.parquet"
    made = rt("train-sae", "--atoms", "6", "--k", "2", "--steps", "6", "--lake", str(lake), "--states", str(path))
    assert made.returncode == 0, made.stderr
    found = rt("run", "phase", "--states", str(path), "--format", "csv")
    assert found.returncode == 0, found.stderr
    assert "codes,states" in found.stdout
