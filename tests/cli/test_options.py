"""Help, examples, start-up, and what a user gets who asks for what cannot be."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

import cli
from tests.cli.shell import ROOT, failed, rt

GROUP = typer.main.get_command(cli.app)
COMMANDS = sorted(GROUP.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_examples(name):
    command = GROUP.commands[name]
    assert command.help
    assert f"`rt {name}" in command.epilog
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_accepted_by_the_parser(name):
    for example in re.findall(r"`rt (.*)`", GROUP.commands[name].epilog):
        words = shlex.split(example)
        GROUP.commands[name].make_context(name, words[1:])


HEAVY = ("torch", "transformers", "polars", "duckdb", "pyarrow", "numpy", "matplotlib", "scipy")
LIGHT = f"""
import sys
import cli
try:
    cli.main()
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["--help", "--version", "run --help", "ls --lake {lake}"])
def test_light_commands_do_not_import_heavy_packages(command, lake):
    rt("sql", "select 1", "--lake", str(lake))  # the catalog is there
    words = [sys.executable, "-c", LIGHT, *command.format(lake=lake).split()]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stderr.splitlines()[-1] == "[]"


def test_the_lake_can_be_named_by_the_environment(lake):
    assert "48 positions" in rt("ls", RT_LAKE=str(lake)).stdout


def test_what_the_user_can_mend_is_one_line(lake, tmp_path):
    at = ("--lake", str(lake))
    failed(rt("ls", "--lake", str(tmp_path / "none")), "no lake at", "rt extract")
    failed(rt("sql", "selekt 1", *at))
    failed(rt("sql", "select nothing from tokens", *at), "nothing")
    failed(rt("run", "influenza", *at), "no analysis `influenza`", "influence")
    failed(rt("run", "influence", *at, "--where", "wrong > 1"), "wrong > 1", "target_rank")
    failed(rt("run", "influence", *at, "--rare-quantile", "2"), "--rare-quantile 2")
    failed(rt("run", "influence", *at, "--rare-by", "mood"), "target, input")
    failed(rt("run", "influence", *at, "--run", "r-9999"), "no run r-9999")
    failed(rt("run", "regimes", *at, "--where", "false"), "the condition `false` leaves none of 48 positions")
    failed(rt("report", *at, "--where", "document > 99"), "leaves none of 48 positions")
    failed(rt("run", "spectra", *at), "no values in weights.weight", "rt import")
    failed(rt("check", "", *at), "no run")
    failed(rt("check", "r-9999", *at), "no run r-9999")
    failed(rt("rm", "r-9999", *at), "no run r-9999")
    failed(rt("import", str(tmp_path), *at), "no tokens.parquet")
    failed(rt("verify", "r-", *at), "was imported")
    failed(rt("extract", *at, "--context", "3"), "--context 3")
    failed(rt("extract", *at, "--head-tokens", "32"), "--head-tokens 32 without --heads")
    failed(rt("extract", *at, "--state-tokens", "9"), "--state-tokens 9 without --layers")
    failed(rt("extract", *at, "--layers", ""), "--layers names no layer")
    failed(rt("report", *at, "--output", str(lake / "warehouse.duckdb" / "r.md")))


def test_wrong_usage_is_exit_code_two(lake):
    assert rt("sql", "select 1", "--lake", str(lake), "--format", "xml").returncode == 2
    assert rt("nothing").returncode == 2


def test_the_version_is_that_of_the_package():
    assert rt("--version").stdout == f"rt {version('rt-neurons')}\n"
