"""`rt train-testbed`: from a kind and a few settings to a folder."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from training.encoders import METHODS, SelfSupervised
from training.folder import check_target, write_whole
from training.grokking import Grokking
from training.neox import Neox
from warehouse.errors import RtError

KINDS = (Neox.kind, Grokking.kind, *METHODS)


class Testbed(Protocol):
    """The settings of one kind; it knows how to train."""

    @property
    def kind(self) -> str:
        """Its name on the command line."""

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""

    @property
    def seed(self) -> int:
        """Of the initial weights, the batches and everything else that is drawn."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense."""

    def train(self, folder: Path) -> dict[str, Any]:
        """Write what is kept into an empty `folder`; facts come back."""


def choose(kind: str, **settings: Any) -> Testbed:
    """The settings of `kind`, with those that are not None in place of its defaults. Raises `RtError`."""
    if kind not in KINDS:
        raise RtError(f"no test bed `{kind}`", hint=f"there are: {', '.join(KINDS)}")
    default: Any = SelfSupervised(kind) if kind in METHODS else {"neox": Neox, "grokking": Grokking}[kind]()
    chosen = {name: value for name, value in settings.items() if value is not None}
    if foreign := [f"--{name.replace('_', '-')}" for name in chosen if not hasattr(default, name)]:
        raise RtError(f"{', '.join(foreign)} with the test bed `{kind}`", hint="it is an option of `grokking`")
    return replace(default, **chosen)  # type: ignore[no-any-return]


def make(testbed: Testbed, folder: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train, and write `folder` whole; the content of its `testbed.json` comes back.

    The same settings give the same files on the same machine with the same number of threads. Raises `RtError` for
    settings that make no sense, `LakeError` for a folder that is not ours to replace or cannot be written.
    """
    if testbed.steps < 1 or testbed.weight_decay < 0:
        raise RtError(
            f"--steps {testbed.steps} --weight-decay {testbed.weight_decay}",
            hint="at least one step, and a weight decay of at least 0",
        )
    testbed.check()
    check_target(folder.expanduser())
    settings = asdict(testbed)  # type: ignore[call-overload]
    facts = write_whole(folder, {"kind": testbed.kind, "settings": settings}, testbed.train)
    last = facts["checkpoints"][-1]
    reached = ", ".join(f"{name} {value:.3g}" for name, value in last.items() if name != "step")
    say(f"{folder}: {testbed.steps:,} steps in {facts['seconds']:.0f} s; {reached}")
    return facts
