import json
import os
import signal
import subprocess
import sys
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
from extract.settings import Settings
from extract.verify import verify
from tests.extract.tiny_folder import write_corpus, write_model
from warehouse.connection import connect, frame
from warehouse.errors import CorpusError, LakeError, ModelError, RtError
from warehouse.lake import find_run, locked, open_lake, unfinished

ROOT = Path(__file__).parents[2]
TABLES = ("tokens", "neurons", "neuron_tokens", "residuals", "weights", "documents", "windows", "vocabulary")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return Settings(
        lake=folder / "lake",
        model=str(write_model(folder / "model")),
        corpus=str(write_corpus(folder / "corpus")),
        context=32,
        tokens=200,
    )


def quiet(line):
    """Say nothing."""


@pytest.fixture(scope="module")
def run(settings):
    return extract(settings, quiet)


def rows(lake, table):
    return frame(connect(lake), f"select * exclude (run) from {table} order by all")


def assert_same(one, other, rtol=0.0):
    for table in TABLES:
        left, right = rows(one, table), rows(other, table)
        assert left.columns == right.columns
        for name in left.columns:
            if rtol and left[name].dtype in (pl.Float32, pl.Float64):
                np.testing.assert_allclose(left[name], right[name], rtol=rtol, atol=1e-6)
            else:
                assert left[name].to_list() == right[name].to_list() or left[name].equals(right[name]), (table, name)


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
    other = extract(replace(settings, lake=tmp_path / "lake", frozen=True), quiet)
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


# A process that is killed just before its n-th file is noted: the file is there, but nobody knows of it.
KILLED = """
import os, signal, sys
import extract.passes as passes, extract.staging as staging
passes.PAIRS = 1_000
record, seen = staging.Stage.record, []
def dying(self, shard):
    seen.append(shard.file)
    if shard.file.startswith({file!r}) and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    record(self, shard)
    if shard.file.startswith({file!r}):
        os.kill(os.getpid(), signal.SIGKILL)
if {file!r}:
    staging.Stage.record = dying
from cli import main
main()
"""


def command(settings, lake):
    return [
        *("extract", "--lake", str(lake), "--model", settings.model, "--corpus", settings.corpus),
        *("--context", "32", "--tokens", "200"),
    ]


def start(settings, lake, file="", after=False):
    script = KILLED.format(file=file, after=after)
    return subprocess.run(
        [sys.executable, "-c", script, *command(settings, lake)],
        cwd=ROOT,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_killed_run_goes_on_and_ends_with_the_same_rows(settings, run, tmp_path):
    lake = tmp_path / "lake"
    moments = [
        ("run/windows", False),
        ("work/forward/shard-00002", False),
        ("work/ablation/shard-00000", False),
        ("work/ablation/shard-00002", True),
        ("run/neuron_tokens", False),
        ("run/tokens", True),
    ]
    for file, after in moments:
        died = start(settings, lake, file, after)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not list(lake.glob("runs/*"))
        assert unfinished(lake) == [run]
    ended = start(settings, lake)
    assert ended.returncode == 0, ended.stderr
    assert open_lake(lake).runs[0].faults() == []
    assert unfinished(lake) == []
    assert start(settings, tmp_path / "undisturbed").returncode == 0
    assert_same(tmp_path / "undisturbed", lake)
    assert_same(settings.lake, lake, rtol=1e-4)  # one shard instead of five


def test_what_was_finished_is_not_done_again(settings, tmp_path):
    lake = tmp_path / "lake"
    start(settings, lake, "work/forward/shard-00003", True)
    (staged,) = (lake / "staging").glob("r-*")
    stage = staged / "work" / "forward"
    before = {path.name: path.stat().st_mtime_ns for path in stage.glob("*.parquet")}
    assert before
    start(settings, lake, "work/ablation/shard-00000", True)
    after = {path.name: path.stat().st_mtime_ns for path in stage.glob("*.parquet")}
    assert before.items() <= after.items()


def test_a_second_process_on_the_run_is_refused(settings, run, tmp_path):
    lake = tmp_path / "lake"
    with locked(lake, run):
        refused = start(settings, lake)
    assert refused.returncode == 1
    assert f"error: another process is writing the run {run}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_dry_run_writes_nothing(settings, tmp_path):
    found = estimate(replace(settings, lake=tmp_path / "lake"))
    assert not (tmp_path / "lake").exists()
    assert (found.n_positions, found.d_mlp, found.n_windows) == (224, 24, 8)
    assert found.seconds > 0
    assert found.staged_bytes > found.final_bytes > 0


def test_a_self_check_that_fails_leaves_nothing(settings, tmp_path, monkeypatch):
    def fail(*_):
        raise ModelError("the closed form is wrong", hint="report it")

    monkeypatch.setattr("extract.session.Session.prove", fail)
    with pytest.raises(ModelError, match="the closed form is wrong"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)
    assert unfinished(tmp_path / "lake") == []
    assert list((tmp_path / "lake/staging").iterdir()) == []


def test_a_run_that_cannot_be_read_is_not_taken_for_done(settings, tmp_path):
    there = replace(settings, lake=tmp_path / "lake", tokens=30)
    name = extract(there, quiet)
    (path,) = there.lake.glob("runs/*/tokens/*.parquet")
    path.unlink()
    with pytest.raises(LakeError, match="is missing"):
        extract(there, quiet)
    (there.lake / f"runs/run={name}/manifest.json").write_text("{")
    with pytest.raises(LakeError, match="cannot read the manifest"):
        extract(there, quiet)


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


def test_a_disk_that_would_fill_is_refused_before_anything_is_written(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.estimate.BYTES_PER_PAIR", 1e15)
    with pytest.raises(LakeError, match="GB free"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)
    assert not list((tmp_path / "lake").glob("runs/*"))


def test_a_disk_that_fills_on_the_way_is_named_and_the_run_goes_on_later(settings, run, tmp_path):
    lake = tmp_path / "lake"
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)); from cli import main; main()"
    )
    failed = subprocess.run(
        [sys.executable, "-c", limited, *command(settings, lake)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.splitlines()[-2].startswith("error: cannot write ")
    assert not list(lake.glob("staging/**/*.partial"))
    assert not list(lake.glob("runs/*"))
    assert extract(replace(settings, lake=lake), quiet) == run
    assert_same(settings.lake, lake)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"context": 128}, ModelError, "--context 128 is beyond the model's 64 positions"),
        ({"context": 4}, CorpusError, "leaves no position to analyse"),
        ({"dtype": "int8"}, RtError, "--dtype int8"),
        ({"tokens": -1}, RtError, "--tokens -1"),
        ({"memory": 0.0}, RtError, "--memory 0"),
        ({"memory": float("nan")}, RtError, "--memory nan"),
        ({"model": "no/such/folder/at/all"}, ModelError, "no/such/folder"),
        ({"revision": "step9"}, ModelError, "step9"),
        ({"device": "cuda"}, ModelError, "no CUDA device"),
    ],
)
def test_settings_that_cannot_work(settings, tmp_path, change, kind, message):
    with pytest.raises(kind, match=message):
        extract(replace(settings, lake=tmp_path / "lake", **change), quiet)
    assert not (tmp_path / "lake").exists()


def test_documents_shorter_than_the_context(settings, tmp_path):
    (tmp_path / "short").mkdir()
    (tmp_path / "short/a.txt").write_text("the whale")
    with pytest.raises(CorpusError, match="no document has 32 tokens"):
        extract(replace(settings, lake=tmp_path / "lake", corpus=str(tmp_path / "short")), quiet)
    assert not (tmp_path / "lake").exists()


def test_the_lake_is_a_file(settings, tmp_path):
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeError, match="is a file, not a lake"):
        extract(replace(settings, lake=tmp_path / "lake"), quiet)


def test_the_state_of_another_run_is_not_taken_over(settings, run, tmp_path):
    lake = tmp_path / "lake"
    start(settings, lake, "work/forward/shard-00000", True)
    state = lake / "staging" / run / "state.json"
    content = json.loads(state.read_text())
    content["identity"]["seed"] = 7
    state.write_text(json.dumps(content))
    with pytest.raises(LakeError, match="belongs to another run"):
        extract(replace(settings, lake=lake), quiet)
