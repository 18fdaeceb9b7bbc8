"""Tiny trainings, made once for all tests that read them."""

import pytest

from training.encoders import METHODS, SelfSupervised
from training.grokking import Grokking
from training.neox import Neox
from training.testbed import make

TINY = {
    "neox": Neox(steps=4, layers=2, width=16, heads=2, vocabulary=300, batch=4, context=32),
    "grokking": Grokking(steps=20, modulus=11, width=16, heads=2, batch=32),
    **{method: SelfSupervised(method, steps=12, width=16, batch=64) for method in METHODS},
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Kind -> the folder of a tiny training, made when it is first asked for."""
    root = tmp_path_factory.mktemp("testbed")

    def folder(kind):
        if not (root / kind).exists():
            make(TINY[kind], root / kind, lambda _: None)
        return root / kind

    return folder
