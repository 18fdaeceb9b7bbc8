from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from extract.estimate import estimate
from extract.families import describe
from extract.models import load_model, resolve
from extract.reference import reference_delta
from extract.run import extract
from extract.verify import verify
from tests.extract.tiny_runs import assert_same, quiet
from warehouse.connection import connect, frame
from warehouse.errors import CorpusError, LakeError
from warehouse.lake import find_run, open_lake


def test_rows_are_those_of_a_plain_forward_pass(settings, run):
    con = connect(settings.lake)
    model = load_model(resolve(settings.model), "float32", "cpu")
    windows = dict(frame(con, 'select "window", token_ids from windows').iter_rows())
    tokens = frame(con, "select * from tokens order by token_index")
    assert tokens["token_index"].to_list() == list(range(tokens.height))
    for (window,), group in tokens.group_by("window"):
        ids = torch.tensor(windows[window])
        assert len(ids) == 32
        assert group["position"].to_list() == list(range(3, 31))
        assert group["token_id"].to_list() == ids[3:-1].tolist()
        assert group["target_id"].to_list() == ids[4:].tolist()
        logp = torch.log_softmax(model(ids[None]).logits[0].double(), -1)[3:-1]
        own = logp.gather(1, ids[4:, None])
        np.testing.assert_allclose(group["loss"], -own[:, 0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(group["entropy"], -(logp.exp() * logp).sum(1), rtol=1e-4)
        assert group["target_rank"].to_list() == (logp > own).sum(1).tolist()


def test_every_pair_is_there_once_and_neurons_hold_their_moments(settings, run):
    con = connect(settings.lake)
    n_tokens = frame(con, "from tokens").height
    assert n_tokens == 8 * 28
    grain = frame(con, "select count(*) as n, count(distinct (neuron, token_index)) as d from neuron_tokens")
    assert grain.row(0) == (n_tokens * 24, n_tokens * 24)
    check = frame(
        con,
        """select max(abs(mean_activation - m)) as mean, max(abs(sd_activation - s)) as sd from neurons join
        (select neuron, avg(activation::double) m, stddev_samp(activation::double) s from activations group by neuron)
        using (neuron)""",
    )
    assert check.row(0) == pytest.approx((0, 0), abs=1e-9)


def test_stored_weights_and_residuals_are_the_models(settings, run):
    con = connect(settings.lake)
    model = load_model(resolve(settings.model), "float32", "cpu")
    mlp = model.transformer.h[-1].mlp
    stored = np.stack(frame(con, "select weight from weights where side = 'out' order by neuron")["weight"].to_list())
    np.testing.assert_array_equal(stored, mlp.c_proj.weight.detach().numpy())
    stored = np.stack(frame(con, "select weight from weights where side = 'in' order by neuron")["weight"].to_list())
    np.testing.assert_array_equal(stored, mlp.c_fc.weight.detach().numpy().T)
    norms = frame(con, "select out_norm from neurons order by neuron")["out_norm"]
    np.testing.assert_allclose(norms, mlp.c_proj.weight.detach().norm(dim=1), rtol=1e-6)
    assert frame(con, "select len(residual) as n from residuals")["n"].unique().to_list() == [16]


def test_promoted_tokens_are_stored_with_their_logits(settings, run):
    con = connect(settings.lake)
    model = load_model(resolve(settings.model), "float32", "cpu")
    last = describe(model)
    effect = (last.w_out - last.w_out.mean(1, keepdim=True)) @ ((last.unembed - last.unembed.mean(0)) * last.gain).T
    for direction, largest in (("promoted", True), ("suppressed", False)):
        stored = frame(con, "from neuron_logits where direction = $end order by neuron, rank", {"end": direction})
        ends = effect.topk(20, largest=largest).values.detach().numpy()
        np.testing.assert_allclose(stored["effect"].to_numpy().reshape(24, 20), ends, rtol=1e-3, atol=1e-6)


def test_stored_deltas_are_those_of_hooked_forward_passes(settings, run):
    found = verify(settings.lake, run, n_pairs=40)
    assert found.n_failed == 0
    assert found.n_pairs == 40


def test_the_manifest_tells_how_every_delta_was_found(settings, run):
    routes = find_run(settings.lake, run).manifest["routes"]
    assert list(routes) == ["delta_loss"]
    assert sum(routes["delta_loss"][f"n_{each}"] for each in ("moments", "terms", "double")) == 8 * 28 * 24
    assert 0 < routes["delta_loss"]["worst_share"] <= 1
    con = connect(settings.lake)
    empty = "select count(delta_frozen_norm) + count(delta_frozen_frequency) as n from ablations"
    assert frame(con, empty).item() == 0


def test_frozen_deltas_on_request(settings, run, tmp_path):
    other = extract(replace(settings, lake=tmp_path / "lake", frozen_tokens=9999), quiet)
    assert other != run
    con = connect(tmp_path / "lake")
    mean = frame(con, "select mean_activation from neurons order by neuron")["mean_activation"].to_numpy().copy()
    model = load_model(resolve(settings.model), "float32", "cpu")
    last = describe(model)
    residual = torch.tensor(frame(con, "select residual from residuals order by token_index")["residual"].to_list())
    target = torch.tensor(frame(con, "select target_id from tokens order by token_index")["target_id"].to_list())
    pairs = frame(con, "from neuron_tokens order by neuron, token_index")

    def stored(name):
        return torch.tensor(pairs[name].to_numpy().reshape(24, -1).T.copy())

    log_unigram = frame(con, "select ln(probability) as u from vocabulary order by token_id")["u"].to_numpy().copy()
    for name, frozen in (
        ("delta_loss", None),
        ("delta_frozen_norm", "norm"),
        ("delta_frozen_frequency", torch.from_numpy(log_unigram)),
    ):
        truth = reference_delta(last, residual, stored("activation"), torch.from_numpy(mean), target, frozen=frozen)
        assert ((stored(name) - truth).abs() <= 1e-6 + 1e-3 * truth.abs()).all()
    plain = frame(connect(settings.lake), "select delta_loss from ablations order by neuron, token_index")
    assert pairs["delta_loss"].to_list() == plain["delta_loss"].to_list()


def test_frozen_deltas_of_some_windows(settings, run, tmp_path):
    """Whole windows spread over the run, as computed with all; the others are null, and nothing else changes."""
    some, every = (extract(replace(settings, lake=tmp_path / f"lake{n}", frozen_tokens=n), quiet) for n in (40, 8 * 28))
    assert len({run, some, every}) == 3
    query = "select * from ablations join tokens using (run, token_index) order by neuron, token_index"
    part, whole = (frame(connect(tmp_path / f"lake{n}"), query) for n in (40, 8 * 28))
    there = part["delta_frozen_norm"].is_not_null()
    assert part.filter(there)["window"].unique().sort().to_list() == [2, 6]
    assert there.sum() == 2 * 28 * 24
    for name in ("delta_frozen_norm", "delta_frozen_frequency"):
        assert part[name].is_not_null().equals(there)
        assert part.filter(there)[name].to_list() == pytest.approx(
            whole.filter(there)[name].to_list(), rel=1e-3, abs=1e-6
        )
    assert part["delta_loss"].to_list() == pytest.approx(whole["delta_loss"].to_list(), rel=1e-3, abs=1e-6)
    routes = find_run(tmp_path / "lake40", some).manifest["routes"]
    n_pairs = {name: sum(each[f"n_{way}"] for way in ("moments", "terms", "double")) for name, each in routes.items()}
    assert n_pairs == {
        "delta_loss": 8 * 28 * 24,
        "delta_frozen_norm": 2 * 28 * 24,
        "delta_frozen_frequency": 2 * 28 * 24,
    }


def test_little_memory_gives_the_same_rows(settings, run, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.settings.LEAST_MEMORY", 1e-6)
    assert extract(replace(settings, lake=tmp_path / "lake", memory=1e-4), quiet) == run
    assert_same(settings.lake, tmp_path / "lake", rtol=1e-4)


def test_verify_refuses_other_weights(settings, run, tmp_path):
    config = Path(settings.model) / "config.json"
    before = config.read_text()
    config.write_text(before.replace('"n_head": 2', '"n_head": 4'))
    try:
        with pytest.raises(LakeError, match="are not those that"):
            verify(settings.lake, run)
    finally:
        config.write_text(before)


def test_the_batch_size_does_not_matter(settings, run, tmp_path):
    other = replace(settings, lake=tmp_path / "lake", batch_size=1)
    assert extract(other, quiet) == run
    assert_same(settings.lake, other.lake, rtol=1e-4)


def test_the_same_command_does_nothing_and_other_parameters_make_another_run(settings, run, tmp_path):
    said = []
    assert extract(settings, said.append) == run
    assert said == [f"{run} is already in {settings.lake}: nothing to do"]
    lake = tmp_path / "lake"
    first = extract(replace(settings, lake=lake, tokens=30), quiet)
    second = extract(replace(settings, lake=lake, tokens=30, seed=1), quiet)
    with_bos = extract(replace(settings, lake=lake, tokens=30, bos="always"), quiet)
    assert len({first, second, with_bos}) == len(open_lake(lake).runs) == 3
    start = frame(connect(lake, [with_bos]), "select token_ids[1] as first from windows")["first"].unique().to_list()
    assert start == [0]


def test_the_manifest_holds_what_a_paper_needs(settings, run):
    manifest = find_run(settings.lake, run).manifest
    assert manifest["model"]["weights_sha256"].keys() == {"model.safetensors"}
    assert manifest["corpus"]["n_documents"] == 5
    assert manifest["self_check"]["closed form, as a share of its tolerance"] < 1
    assert manifest["versions"]["torch"] == torch.__version__
    assert set(manifest["seconds"]) >= {"forward", "ablation", "merge"}
    assert manifest["config"]["seed"] == 0
    assert find_run(settings.lake, run).faults() == []


def test_a_dry_run_writes_nothing(settings, tmp_path):
    found = estimate(replace(settings, lake=tmp_path / "lake"))
    assert not (tmp_path / "lake").exists()
    assert (found.n_positions, found.d_mlp, found.n_windows) == (224, 24, 8)
    assert found.seconds > 0
    assert found.staged_bytes > found.final_bytes > 0


def test_the_frequencies_that_were_chosen_are_recorded(settings, tmp_path):
    lake = tmp_path / "lake"
    runs = [extract(replace(settings, lake=lake, tokens=30, unigrams=each), quiet) for each in ("auto", "corpus")]
    frequencies = [find_run(lake, run).manifest["frequencies"] for run in runs]
    # 18 words make a vocabulary of 300, most of it bytes that no text holds
    assert [(each["option"], each["used"]) for each in frequencies] == [("auto", "token-id"), ("corpus", "corpus")]
    assert frequencies[0]["n_rare_targets"] > 0
    sources = dict(frame(connect(lake), "select run, unigram_source from runs").iter_rows())
    assert "by the counts of the corpus none of" in sources[runs[0]]
    assert "analysed targets is in the rarer half" in sources[runs[1]]
    n_rare = "select count(*) as n from token_classes() where token_class = 'rare'"
    assert frame(connect(lake, [runs[0]]), n_rare).item() == frequencies[0]["n_rare_targets"]
    assert frame(connect(lake, [runs[1]]), n_rare).item() == 0


def test_counts_by_the_text_of_tokens(settings, tmp_path):
    texts = {" night": 5, " sea": 3}
    pl.DataFrame({"token": list(texts), "count": list(texts.values())}).write_parquet(tmp_path / "counts.parquet")
    counted = replace(settings, lake=tmp_path / "lake", tokens=30, unigrams=str(tmp_path / "counts.parquet"))
    extract(counted, quiet)
    found = frame(connect(counted.lake), 'select token, "count" from vocabulary where "count" > 0')
    assert dict(found.iter_rows()) == texts
    for option, message in (("none.npy", "no file none.npy"), ("zipf", "--unigrams zipf")):
        with pytest.raises(CorpusError, match=message):
            extract(replace(counted, unigrams=option), quiet)
