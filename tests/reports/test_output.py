import csv
import datetime
import io
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from reports.formats import SUFFIXES, Format
from reports.output import Destination
from warehouse.errors import RtError

TABLE = pl.DataFrame(
    {
        "neuron": [1, 2],
        "estimate": [float("nan"), float("inf")],
        "list": [[1.5, float("nan")], None],
        "pair": [{"a": 1}, {"a": 2}],
        "when": [datetime.date(2026, 1, 2), None],
        "amount": [Decimal("1.50"), None],
        "bytes": [b"\xff", None],
        "text": ['say "a, b"', "|"],
    }
)


def test_the_format_follows_from_the_suffix_unless_it_is_named(tmp_path):
    for suffix, form in SUFFIXES.items():
        assert Destination.of(None, tmp_path / f"x{suffix}", tmp_path / "lake").form is form
    assert Destination.of(Format.csv, tmp_path / "x.json", tmp_path / "lake").form is Format.csv
    assert Destination.of(None, None, tmp_path).form is Format.table


def test_places_that_cannot_be_written_are_refused(tmp_path):
    lake = tmp_path / "lake"
    (lake / "runs").mkdir(parents=True)
    for path, said in {
        tmp_path: "is a folder",
        tmp_path / "none/x.csv": "no folder",
        tmp_path / "x": "no format follows",
        tmp_path / "x.xlsx": "no format follows",
        lake / "runs/x.csv": "in the lake",
        lake / "warehouse.duckdb": "in the lake",
        tmp_path / "lake/../lake/staging/x.csv": "in the lake",
    }.items():
        with pytest.raises(RtError, match=said) as error:
            Destination.of(None, path, lake)
        assert error.value.hint
    with pytest.raises(RtError, match="needs a file"):
        Destination.of(Format.parquet, None, lake)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_takes_every_type(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("old")
    Destination.of(None, path, tmp_path / "lake").show(TABLE)
    assert list(tmp_path.iterdir()) == [path]
    content = path.read_bytes()
    if suffix == ".json":
        rows = json.loads(content)
        assert rows[0] == {
            "neuron": 1,
            "estimate": None,
            "list": [1.5, None],
            "pair": {"a": 1},
            "when": "2026-01-02",
            "amount": "1.50",
            "bytes": "b'\\xff'",
            "text": 'say "a, b"',
        }
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert json.loads(rows[0]["list"]) == [1.5, None]
        assert rows[1]["text"] == "|"
        assert rows[0]["estimate"] == "NaN"
    if suffix == ".parquet":
        assert pl.read_parquet(path).equals(TABLE, null_equal=True)
    if suffix == ".md":
        assert content.decode().splitlines()[0].startswith("| neuron | estimate |")


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    Destination.of(Format.csv, Path("/dev/null"), tmp_path).show(TABLE)
    assert Path("/dev/null").is_char_device()
