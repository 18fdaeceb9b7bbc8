"""The pass over layers in other pieces: small memory, an attempt that was cut off, a refusal, one layer alone."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from extract import layer_text
from extract.layer_pass import LayersPass
from extract.run import extract
from extract.staging import Stage
from tests.extract.tiny_runs import LAYERS, quiet, rows
from warehouse.errors import RtError
from warehouse.lake import find_run

TABLES = ("layers", "layer_neurons", "layer_moments", "layer_types", "layer_contexts", "layer_tokens", "states")


def assert_same(one, other):
    for table in (*TABLES, "layer_activations"):
        left, right = rows(one, table), rows(other, table)
        assert left.schema == right.schema
        assert left.equals(right), table


def test_rows_do_not_depend_on_memory_or_batch(settings, passed, lake, monkeypatch):
    again = replace(settings, lake=lake, batch_size=1, memory=0.1)
    monkeypatch.setattr("extract.layer_pass._cut", lambda *_: [[0], [1]])
    extract(again, quiet, [LAYERS])
    for table in TABLES:
        left, right = rows(passed, table), rows(lake, table)
        for name in left.columns:
            if left[name].dtype in (pl.Float32, pl.Float64):
                np.testing.assert_allclose(left[name], right[name], rtol=2e-4, atol=1e-5)
            elif left[name].dtype != pl.List(pl.Float32):
                assert left[name].equals(right[name]), (table, name)


@pytest.mark.parametrize("after", [0, 3, 9, 19])
def test_a_pass_that_was_cut_off_goes_on_and_gives_the_same(settings, lake, whole, monkeypatch, after):
    monkeypatch.setattr(layer_text, "SHARD", 60)
    record, left = Stage.record, [after]

    def dying(self, shard):
        if left[0] == 0:
            raise KeyboardInterrupt  # the file is there, but nobody knows of it
        left[0] -= 1
        record(self, shard)

    monkeypatch.setattr(Stage, "record", dying)
    with pytest.raises(KeyboardInterrupt):
        extract_run(settings, lake, LAYERS)
    monkeypatch.setattr(Stage, "record", record)
    assert rows(lake, "layer_neurons").is_empty()
    extract_run(settings, lake, LAYERS)
    assert_same(whole, lake)


@pytest.fixture(scope="module")
def whole(settings, run, tmp_path_factory):
    """The pass in shards of two windows, at one go."""
    folder = tmp_path_factory.mktemp("whole") / "lake"
    shutil.copytree(settings.lake, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_text, "SHARD", 60)
        extract_run(settings, folder, LAYERS)
    return folder


def extract_run(settings, lake, *passes):
    return extract(replace(settings, lake=lake), quiet, passes)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"layers": "0,x"}, "--layers 0,x", "such as 0,6,12"),
        ({"layers": ""}, "names no layer", "all"),
        ({"layers": "-1"}, "--layers -1", "from 0"),
        ({"layers": "0", "store_layer": "1"}, "--store-layer 1 is not among --layers 0", "must be read"),
        ({"state_tokens": -1}, "--state-tokens -1", "at least 0"),
        ({"layers": "0,2,7"}, "--layers 2,7: no such layer", "layers are 0 to 1"),
        ({"store_layer": "2"}, "--store-layer 2: no such layer", "layers are 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(settings, run, lake, options, message, hint):
    with pytest.raises(RtError, match=message) as error:
        extract_run(settings, lake, LayersPass(**options))
    assert hint in error.value.hint
    assert list((lake / "staging").glob("*+layers")) == []


def test_a_layer_that_does_not_fit_into_memory_is_refused(settings, run, lake, monkeypatch):
    monkeypatch.setattr("extract.layer_pass.BYTES", 10_000_000)
    with pytest.raises(RtError, match=r"layer 0 with 24 neurons does not fit into --memory 0\.1") as error:
        extract(replace(settings, lake=lake, memory=0.1), quiet, [LayersPass()])
    assert "at least 0.3" in error.value.hint


def test_one_layer_alone_has_only_its_rows(settings, run, lake):
    extract_run(settings, lake, LayersPass(layers="0", state_tokens=0))
    assert set(rows(lake, "layer_neurons")["layer"]) == {0}
    assert rows(lake, "states").is_empty()
    assert rows(lake, "layer_activations").is_empty()


def test_what_was_checked_before_a_cut_is_still_in_the_manifest(settings, lake, monkeypatch):
    """The last layer's moments are checked when its group is read, which a later attempt does not do again."""
    record = Stage.record
    monkeypatch.setattr("extract.layer_pass._cut", lambda *_: [[1], [0]])

    def dying(self, shard):
        record(self, shard)
        if shard.file.endswith("layers/part-00000.parquet"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "record", dying)
    with pytest.raises(KeyboardInterrupt):
        extract_run(settings, lake, LAYERS)
    monkeypatch.setattr(Stage, "record", record)
    extract_run(settings, lake, LAYERS)
    found = find_run(lake, next((lake / "runs").iterdir()).name[4:]).passes["layers"]["self_check"]
    assert {"last layer's mean against the run", "state against the model's hidden state"} <= found.keys()
