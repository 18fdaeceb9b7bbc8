"""`rt extract --heads` on a tiny model: its tables against hooked forward passes; stopped and resumed."""

import re
import shutil
from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from cli import app
from extract import head_variants
from extract.estimate import estimate
from extract.extra_passes import Published
from extract.families import attention_outs, capture, describe, last_inputs
from extract.head_check import ablated_head
from extract.head_pass import HeadPass
from extract.head_sampling import sample_positions
from extract.head_work import HeadWork
from extract.models import load_model, resolve
from extract.run import extract
from tests.extract.tiny_folder import write_parallel_model
from tests.extract.tiny_runs import quiet, with_passes
from warehouse.connection import connect, frame
from warehouse.errors import CorpusError, ModelError, RtError
from warehouse.lake import find_run, unfinished

BOTH = HeadPass(40, ("bos", "mean"))


@pytest.fixture(scope="module")
def lake(settings, run, tmp_path_factory):
    """A lake of its own with the run and its heads."""
    return with_passes(settings, tmp_path_factory.mktemp("heads"), BOTH)


@pytest.fixture(scope="module")
def con(lake):
    return connect(lake)


def test_positions_are_pairs_of_a_window_that_read_tokens_of_like_frequency(con):
    rows = frame(con, "from head_positions join tokens using (run, token_index, document) order by token_index")
    classes = dict(frame(con, "select token_index, token_class from token_classes()").iter_rows())
    assert [classes[index] for index in rows["token_index"]] == rows["stratum"].to_list()
    assert rows["token_index"].is_unique().all()
    for (_,), pair in rows.group_by("pair"):
        assert sorted(pair["stratum"]) == ["common", "rare"]
        assert pair["window"].n_unique() == 1
    assert (rows.filter(stratum="rare")["target_decile"] >= 5).all()
    assert (rows.filter(stratum="common")["target_decile"] <= 5).all()
    assert 20 < rows.height <= 40


def test_positions_that_read_a_token_without_a_frequency_are_not_sampled():
    """Such a token is not the most frequent one, which it used to be matched as."""

    class Reading:
        def rows(self, sql, **_):
            con = duckdb.connect()
            con.execute(
                "create table vocabulary as select * from "
                "(values (0, 1), (1, 2), (2, 3), (3, null)) t(token_id, frequency_rank)"
            )
            con.execute(
                'create table tokens as select i as token_index, 0 as document, 0 as "window", i as position, '
                "case when i in (2, 5) then 3 else i % 3 end as token_id, i % 3 as target_id from range(12) t(i)"
            )
            con.execute(
                "create macro token_classes() as table select token_index, "
                "case when token_index % 2 = 0 then 'rare' else 'common' end as token_class from tokens"
            )
            return con.sql(sql).pl()

    found = sample_positions(Reading(), 0, 0)
    assert found.height > 0
    assert not set(found["token_index"]) & {2, 5}
    assert found["input_decile"].null_count() == 0


def test_documents_take_turns_and_all_pairs_can_be_had(settings, run):
    published = Published(find_run(settings.lake, run))
    few, whole = (sample_positions(published, tokens, 0) for tokens in (8, 0))
    counts = few.group_by("document").len()["len"]
    assert (few.height, counts.max() - counts.min()) == (8, 0)
    assert set(few["token_index"]) <= set(whole["token_index"])
    assert not few.equals(sample_positions(published, 8, 1))
    possible = published.rows(
        """select sum(2 * least(n_rare, n_both - n_rare))::int as n from (
            select count(*) filter (token_class = 'rare') as n_rare, count(*) as n_both
            from tokens join token_classes() using (run, token_index) group by tokens."window")"""
    )
    assert whole.height == possible["n"].item()


def test_a_run_without_rare_targets_has_nothing_to_compare(settings, run, monkeypatch):
    published = Published(find_run(settings.lake, run))
    rows = published.rows
    monkeypatch.setattr(published, "rows", lambda sql, **values: rows(sql, **values).filter(stratum="common"))
    with pytest.raises(CorpusError, match=r"no window of .* has both a rare and a common target"):
        sample_positions(published, 10, 0)


def hooked(model, last, ids, head, position, value):
    """(loss of the next token, activations) at a position with one head's output replaced; plain without `head`."""
    layer, index = head
    with ablated_head(attention_outs(model, last)[layer], position, index, value), last_inputs(model, last) as seen:
        logits = model(input_ids=ids[None], use_cache=False).logits[0, position].double()
    loss = -logits.log_softmax(0)[ids[position + 1]]
    return float(loss), seen["down projection"][0][0, position].double().numpy()


def outputs(model, last, ids):
    """What the heads put out, (L, C, H h)."""
    seen = []
    hooks = [out.register_forward_pre_hook(lambda _, i: seen.append(i[0][0])) for out in attention_outs(model, last)]
    capture(model, last, ids[None])
    for hook in hooks:
        hook.remove()
    return torch.stack(seen)


def test_every_number_is_that_of_hooked_forward_passes(settings, con):
    model = load_model(resolve(settings.model))
    last = describe(model)
    windows = {key: torch.tensor(ids) for key, ids in frame(con, 'select "window", token_ids from windows').iter_rows()}
    clean = {key: outputs(model, last, ids) for key, ids in windows.items()}
    mean = torch.stack([each[:, 3:31] for each in clean.values()]).double().mean((0, 2)).reshape(2, 2, 8)
    heads = frame(con, "from attention_heads order by layer, head")
    np.testing.assert_allclose(np.stack(heads["mean_output"]), mean.flatten(0, 1), rtol=1e-4, atol=1e-6)
    assert heads["has_path"].all()
    assert heads["reason"].is_null().all()
    rows = frame(con, "from head_positions join tokens using (run, token_index, document)").sort("token_index")
    neurons = frame(con, "from head_neurons")
    tokens = frame(con, "from head_tokens")
    assert tokens.height == rows.height * 2 * 2 * 2
    assert neurons.height == rows["document"].n_unique() * 2 * 2 * 2 * 2
    document = rows["document"][0]
    sums = {}
    for row in rows.filter(document=document).iter_rows(named=True):
        ids, position = windows[row["window"]], row["position"]
        for layer, head in ((0, 0), (0, 1), (1, 0), (1, 1)):
            part = slice(8 * head, 8 * head + 8)
            value = {"mean": mean[layer, head]}
            qkv = model.transformer.h[layer].attn.c_attn
            first = model(input_ids=ids[None], output_hidden_states=True).hidden_states[layer][:, :1]
            value["bos"] = qkv(model.transformer.h[layer].ln_1(first))[0, 0, 32:][part]
            own = clean[row["window"]][layer, position, part]
            base, activation = hooked(model, last, ids, (layer, head), position, own)
            for name, each in value.items():
                loss, changed = hooked(model, last, ids, (layer, head), position, each)
                stored = tokens.filter(layer=layer, head=head, ablation=name, token_index=row["token_index"])
                assert stored["delta_loss"].item() == pytest.approx(loss - base, abs=1e-5)
                change = changed - activation
                parts = sums.setdefault((layer, head, name, row["stratum"]), [])
                parts.append((abs(change), change, change**2))
    for (layer, head, name, stratum), parts in sums.items():
        stored = neurons.filter(layer=layer, head=head, ablation=name, stratum=stratum, document=document)
        assert stored["n"].item() == len(parts)
        for column, total in zip(
            ("sum_abs_change", "sum_change", "sum_square_change"), zip(*parts, strict=True), strict=True
        ):
            np.testing.assert_allclose(stored[column].item(), sum(total), rtol=2e-4, atol=1e-4)


def test_files_are_sorted_and_the_manifest_tells_the_settings(lake, run):
    folder = find_run(lake, run)
    assert folder.faults() == []
    manifest = folder.passes["heads"]
    assert manifest["identity"] == {"version": 2, "head_tokens": 40, "head_ablation": ["bos", "mean"], "seed": 0}
    assert manifest["self_check"]["loss with a head ablated"] < 1e-4
    assert manifest["n_positions"] == 2 * manifest["n_pairs"]
    for name in ("head_tokens", "head_neurons"):
        rows = pl.read_parquet(folder.folder / f"heads/{name}/*.parquet", hive_partitioning=False)
        keys = ["layer", "head", "ablation", *(("stratum", "document") if name == "head_neurons" else ("token_index",))]
        assert rows.select(keys).equals(rows.select(keys).sort(keys))


def test_a_pass_that_was_stopped_goes_on_with_the_next_document(settings, run, lake, tmp_path, monkeypatch):
    other = tmp_path / "lake"
    shutil.copytree(settings.lake, other)
    work, done = HeadWork._document, []

    def stopping(self, document, part, bar):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(document)
        work(self, document, part, bar)

    monkeypatch.setattr(HeadWork, "_document", stopping)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(settings, lake=other), quiet, [BOTH])
    assert unfinished(other) == [f"{run}+heads"]
    again = []
    monkeypatch.setattr(HeadWork, "_document", lambda *given: (again.append(given[1]), work(*given)))
    extract(replace(settings, lake=other, memory=0.1), quiet, [BOTH])
    assert len(again) == 2
    assert not set(again) & set(done)
    for name in ("attention_heads", "head_positions", "head_tokens", "head_neurons"):
        left, right = (
            frame(connect(each), f"select * exclude (run) from {name} order by all") for each in (lake, other)
        )
        assert left.equals(right), name


def test_a_model_that_does_something_else_is_refused(settings, run, tmp_path, monkeypatch):
    other = tmp_path / "lake"
    shutil.copytree(settings.lake, other)
    mask = head_variants._mask
    monkeypatch.setattr(head_variants, "_mask", lambda clean, place: torch.zeros_like(mask(clean, place)))
    with pytest.raises(ModelError, match="self-check `loss with a head ablated` failed"):
        extract(replace(settings, lake=other), quiet, [HeadPass(10)])
    assert find_run(other, run).passes == {}


def test_what_is_not_finite_is_not_stored(settings, run, tmp_path, monkeypatch):
    other = tmp_path / "lake"
    shutil.copytree(settings.lake, other)

    def broken(*given):
        found = head_variants.ablate(*given)
        found.delta_loss[0, 0, 0] = torch.nan
        return found

    monkeypatch.setattr("extract.head_work.ablate", broken)
    with pytest.raises(ModelError, match="is not finite"):
        extract(replace(settings, lake=other), quiet, [HeadPass(10)])
    assert find_run(other, run).passes == {}


def test_without_mean_no_means_are_measured(settings, run, tmp_path):
    other = tmp_path / "lake"
    shutil.copytree(settings.lake, other)
    extract(replace(settings, lake=other), quiet, [HeadPass.of(10, "bos", 0)])
    con = connect(other)
    assert frame(con, "select 1 from attention_heads where mean_output is not null").is_empty()
    assert frame(con, "select distinct ablation from head_tokens").rows() == [("bos",)]


@pytest.mark.parametrize(
    ("given", "message"),
    [((10, "zero"), "--head-ablation zero"), ((10, ""), "--head-ablation"), ((1, "mean"), "--head-tokens 1")],
)
def test_settings_that_make_no_sense(settings, given, message):
    with pytest.raises(RtError, match=message) as error:
        extract(settings, quiet, [HeadPass.of(*given, 0)])
    assert error.value.hint


def test_the_estimate(settings):
    ((name, seconds, size),) = estimate(settings, quiet, [BOTH]).passes
    assert name == "heads"
    assert seconds > 0
    assert size > 40 * 8 * 2


def test_heads_of_the_last_parallel_layer_have_no_path_but_a_loss(settings, tmp_path):
    model = write_parallel_model(tmp_path / "model")
    lake = tmp_path / "lake"
    extract(replace(settings, lake=lake, model=str(model)), quiet, [HeadPass(10)])
    con = connect(lake)
    heads = frame(con, "select layer, has_path, reason from attention_heads order by layer, head").rows()
    assert [(layer, has_path) for layer, has_path, _ in heads] == [(0, True), (0, True), (1, False), (1, False)]
    assert [reason is None for *_, reason in heads] == [True, True, False, False]
    assert frame(con, "select distinct layer from head_neurons").rows() == [(0,)]
    size = frame(con, "select layer, avg(abs(delta_loss)) as size from head_tokens group by layer order by layer")
    assert size["layer"].to_list() == [0, 1]
    assert (size["size"] > 1e-3).all()


def test_the_command_adds_the_pass_and_the_analyses_ask_for_it(settings, run, tmp_path):
    lake, rt = tmp_path / "lake", CliRunner()
    shutil.copytree(settings.lake, lake)
    at = ["--lake", str(lake)]
    absent = rt.invoke(app, ["run", "head_loss", *at])
    assert absent.exception.message == "nothing to compute head_loss from: no values in head_tokens.delta_loss"
    assert absent.exception.hint == "`rt extract --heads` measures them"
    given = [*at, "--model", settings.model, "--corpus", settings.corpus, "--context", "32", "--tokens", "200"]
    dry = rt.invoke(app, ["extract", *given, "--dry-run", "--heads"])
    assert re.search(r"^heads: about [\d.]+ minutes and \d+ MB more$", dry.stdout, re.MULTILINE)
    made = rt.invoke(app, ["extract", *given, "--heads", "--head-tokens", "20", "--head-ablation", "bos,mean"])
    assert f"{run}+heads is in {lake}" in made.stdout
    again = rt.invoke(app, ["extract", *given, "--heads", "--head-tokens", "20", "--head-ablation", "mean,bos"])
    assert f"{run}+heads is already in {lake}: nothing to do" in again.stdout
    for slug in ("head_loss", "head_routing"):
        answered = rt.invoke(app, ["run", slug, *at])
        assert answered.exit_code == 0, answered.exception
        assert f"`{run}`, `bos` ablation" in answered.stderr
