"""`rt neuron`: printed or written, and refused where it is not clear which neuron of which run."""

import shutil

from extract.importer import import_folder
from tests.cli.shell import failed, rt
from tests.lake import planted_influence, write_folder


def test_a_card_is_printed_or_written(lake, tmp_path):
    at = ("--lake", str(lake))
    printed = rt("neuron", "3", *at)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith("# Neuron N3 of planted (r-")
    assert "Command: `rt neuron 3 --lake " in printed.stdout
    target = tmp_path / "card.md"
    assert rt("neuron", "3", *at, "--output", str(target), "--where", "document < 7").stdout == ""
    text = target.read_text()
    assert "- Positions (`--where`): `document < 7`" in text
    assert "Over 42 positions." in text
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_not_there_is_refused(lake, tmp_path):
    at = ("--lake", str(lake))
    failed(rt("neuron", "30", *at), "no neuron 30 in r-", "hint: neurons: 0 to 29")
    failed(rt("neuron", "L5N3", *at), "does not say which layer")
    failed(rt("neuron", "three", *at), "names no neuron", "for example N29")
    failed(rt("neuron", "3", *at, "--run", "r-ffff"), "r-ffff")
    failed(rt("neuron", "3", *at, "--output", str(tmp_path / "card.csv")), "a card is a Markdown file")
    failed(rt("neuron", "3", *at, "--output", str(tmp_path / "none/card.md")), "no folder")
    failed(rt("neuron", "3", "--lake", str(tmp_path / "none")), "no lake")
    assert list(tmp_path.iterdir()) == []


def test_one_of_several_runs_must_be_named(lake, tmp_path):
    lake = shutil.copytree(lake, tmp_path / "lake")
    folder = write_folder(tmp_path / "other", planted_influence(5, elbow=3), documents=8, positions=6)
    run = import_folder(folder, lake, "other", "simulated", "counts", say=lambda line: None)
    failed(rt("neuron", "3", "--lake", str(lake)), "has 2 runs, a neuron is of one", "hint: add --run", run)
    chosen = rt("neuron", "3", "--lake", str(lake), "--run", run[:6])
    assert chosen.stdout.startswith("# Neuron N3 of other (r-"), chosen.stderr
    assert "Of 5 neurons" in chosen.stdout
