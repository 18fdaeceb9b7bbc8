import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from training.folder import NAME
from training.grokking import Grokking, _Sums
from training.states import MOST
from training.testbed import make
from warehouse.errors import RtError


def test_sums_are_modular_and_the_parts_disjoint():
    sums = _Sums(7, 0.5, torch.Generator().manual_seed(0))
    a, b, end = sums.ids.T
    assert torch.equal((a + b) % 7, sums.answers)
    assert (end == 7).all()
    assert torch.equal(a * 7 + b, torch.arange(49))
    assert sorted([*sums.learnt.tolist(), *sums.held.tolist()]) == list(range(49))
    assert len(_Sums(97, 0.3, torch.Generator().manual_seed(0)).held) == MOST


def test_models_of_some_steps_are_kept_the_first_and_last_among_them(trained):
    folder = trained("grokking")
    assert {"step0", "step1", "step20"} <= {path.name for path in folder.iterdir()}
    model = AutoModelForCausalLM.from_pretrained(folder / "step20")
    assert model(input_ids=torch.tensor([[1, 2, 11]])).logits.shape == (1, 3, 12)


def test_it_learns_by_heart_first(tmp_path):
    """Grokking itself takes minutes; what it begins with does not: the learnt sums, and not the others."""
    facts = make(Grokking(steps=120, modulus=23, width=64, weight_decay=0.0), tmp_path / "bed", lambda _: None)
    last = facts["checkpoints"][-1]
    assert last["train_accuracy"] > 0.95
    assert last["test_accuracy"] < 0.5


@pytest.mark.slow
def test_it_groks(tmp_path):
    """Modulus 97 as by default: learnt by heart long before the other sums are right."""
    make(Grokking(), tmp_path / "bed", lambda _: None)
    steps = json.loads((tmp_path / "bed" / NAME).read_text())["checkpoints"]
    by_heart = next(each["step"] for each in steps if each["train_accuracy"] > 0.99)
    by_rule = next(each["step"] for each in steps if each["test_accuracy"] > 0.99)
    assert by_rule > 2 * by_heart


@pytest.mark.parametrize("settings", [{"modulus": 4}, {"train_share": 0.0}, {"train_share": 1.0}, {"train_share": 2}])
def test_what_leaves_nothing_to_learn_or_to_test_is_refused(settings, tmp_path):
    with pytest.raises(RtError):
        make(Grokking(**settings), tmp_path / "bed")
    assert not list(tmp_path.iterdir())
