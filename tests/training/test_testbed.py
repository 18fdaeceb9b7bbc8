import json

import pytest

from tests.cli.shell import failed, rt
from tests.training.conftest import TINY
from training.folder import NAME
from training.testbed import KINDS, choose, make
from warehouse.errors import RtError


def test_options_replace_defaults_of_the_kind():
    assert choose("grokking", seed=3, modulus=11, steps=None).steps == choose("grokking").steps
    assert choose("grokking", modulus=11).modulus == 11
    assert [choose(kind).kind for kind in KINDS] == list(KINDS)


def test_an_unknown_kind_or_an_option_of_another_is_refused(tmp_path):
    with pytest.raises(RtError, match="no test bed `dino`") as error:
        choose("dino")
    assert "simclr" in error.value.hint
    with pytest.raises(RtError, match="--modulus with the test bed `neox`"):
        choose("neox", modulus=5)
    for settings in ({"steps": 0}, {"weight_decay": -1.0}):
        with pytest.raises(RtError, match="--steps"):
            make(choose("simclr", **settings), tmp_path / "bed")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_settings_give_the_same_files(trained, tmp_path, kind):
    make(TINY[kind], tmp_path / "again", lambda _: None)
    for first in sorted(path for path in trained(kind).rglob("*") if path.is_file()):
        second = tmp_path / "again" / first.relative_to(trained(kind))
        if first.name == NAME:
            facts = [json.loads(path.read_text()) for path in (first, second)]
            assert facts[0]["checkpoints"] == facts[1]["checkpoints"]
        else:
            assert first.read_bytes() == second.read_bytes(), first.name


def test_the_command_trains_and_refuses_what_is_not_its_own(tmp_path):
    made = rt("train-testbed", "rotation", str(tmp_path / "bed"), "--steps", "3")
    assert made.returncode == 0, made.stderr
    assert "3 steps in" in made.stdout
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    failed(rt("train-testbed", "rotation", str(tmp_path / "mine"), "--steps", "3"), "did not write", "empty one")
