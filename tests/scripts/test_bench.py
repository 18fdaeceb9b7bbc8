"""The benchmarks' own machinery, and that the published page is what the published results say."""

import importlib
import json
import sys

import pytest

from scripts.bench import page, parts, results, timing

DOCS = page.Path(__file__).parents[2] / "docs"


def test_turns_alternate_and_ratios_are_of_the_same_turn():
    order = []
    turns = timing.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 3
    assert [len(each) for each in turns.values()] == [3, 3]
    pairs = [timing.Turn(1.0, 2.0), timing.Turn(1.0, 9.0), timing.Turn(1.0, 8.0)]
    base = [timing.Turn(1.0, 1.0), timing.Turn(1.0, 3.0), timing.Turn(1.0, 4.0)]
    assert timing.ratio(pairs, base) == 2.0


def test_a_child_is_measured_and_its_failure_is_an_error():
    mine = bytearray(b"x" * 300_000_000)  # memory of the parent does not count
    found = timing.child([sys.executable, "-c", "x = b'x' * 50_000_000"])
    assert 50e6 < found.peak < 200e6 < len(mine)
    assert 0 < found.processor <= 60
    with pytest.raises(timing.subprocess.CalledProcessError):
        timing.child([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_part_measured_again_replaces_itself_only(tmp_path):
    for part, value in (("peers", 1.0), ("startup", 2.0), ("peers", 3.0)):
        table = results.Table("caption", ["", "s"], [["rt", value]])
        results.keep(tmp_path, part, results.Result([table]), {"sizes": "small", "seconds": 1})
    found = results.read(tmp_path)
    assert {part: each["tables"][0]["rows"] for part, each in found.items()} == {
        "peers": [["rt", 3.0]],
        "startup": [["rt", 2.0]],
    }
    assert found["peers"]["machine"]
    text = page.page(found)
    assert text.index("| rt | 3 |") < text.index("| rt | 2 |")
    assert "`python -m scripts.bench startup`" in text
    assert page.write_page(tmp_path).read_text() == text


def test_every_part_has_a_title_and_a_text():
    for part in parts.PARTS:
        title, _, text = page._docstring(part).partition("\n\n")
        assert title.endswith(".")
        assert len(text) > 50


def test_the_published_page_is_made_from_the_published_results():
    found = json.loads((DOCS / results.NAME).read_text(encoding="utf-8"))
    assert set(found) <= set(parts.PARTS)
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == page.page(found)


def test_the_slope_of_a_power_law():
    scaling = importlib.import_module("scripts.bench.scaling")
    assert scaling.slope([[10, 5.0], [20, 10.0], [80, 40.0]]) == pytest.approx(1.0)
    assert scaling.slope([[10, 1.0], [40, 2.0]]) == pytest.approx(0.5)
