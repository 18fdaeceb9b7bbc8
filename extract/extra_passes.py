"""Optional passes: more tables for a run that is published, in a folder of their own within it.

A pass has its own settings, and a manifest that holds them: the id of a run does not depend on its passes. It is staged
like a run, so that the same command goes on after any end, and appears by one rename; nothing of the run is touched.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl

from extract.publication import publish_pass
from extract.session import Inputs, Session
from extract.staging import Stage
from extract.windows import Plan
from warehouse.catalog import refresh_catalog
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, ModelError
from warehouse.lake import find_run, locked, removal, staging_folder, with_pass
from warehouse.run_folder import RunFolder


class Published:
    """What a pass reads of its run: nothing that the run knows is computed again."""

    def __init__(self, folder: RunFolder) -> None:
        self.name, self.manifest = folder.name, folder.manifest
        self._con = connect(folder.folder.parents[1], [folder.name])

    def rows(self, sql: str, **parameters: Any) -> pl.DataFrame:
        """The rows of a query; its views hold this run alone."""
        return frame(self._con, sql, parameters)

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Document (W,) and token ids (W, C) int64 of every window, in their order."""
        found = self.rows('select document, token_ids from windows order by "window"')
        ids = found["token_ids"].explode().to_numpy().astype(np.int64).reshape(found.height, -1)
        return found["document"].to_numpy(), ids

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (N,) of every neuron's activation over the analysed positions."""
        found = self.rows("select mean_activation, sd_activation from neurons order by neuron")
        return found["mean_activation"].to_numpy(), found["sd_activation"].to_numpy()

    def activations(self, n_positions: int) -> np.ndarray:
        """Activations (n, N) of every neuron at the first `n_positions`."""
        sql = "select activation from neuron_tokens where token_index < $n order by token_index, neuron"
        return self.rows(sql, n=n_positions)["activation"].to_numpy().reshape(n_positions, -1)


class ExtraPass(Protocol):
    """One optional pass with its settings; `of_pass` is its name in `warehouse.schema.PASSES`."""

    @property
    def of_pass(self) -> str:
        """The name, also of its folder within the run."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything but the run that determines the rows."""

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense, whatever the run."""

    def fits(self, session: Session) -> None:
        """Raise `RtError` for what this model has not, before hours are spent on its run."""

    def estimate(self, session: Session, plan: Plan) -> tuple[float, int]:
        """Seconds and bytes on disk that it will take, from a small measurement."""

    def make(self, session: Session, run: Published, stage: Stage) -> None:
        """Write every table of the pass below `run/` of the stage, going on with what is there; note facts."""


def add_pass(
    inputs: Inputs, opened: Callable[[], Session], run: str, extra: ExtraPass, say: Callable[[str], None]
) -> None:
    """Add a pass to the published `run`; `opened()` is the session, asked for only where there is something to do.

    Raises `LakeError` if the run has the pass with other settings, or one that cannot be read.
    """
    lake, name = inputs.settings.lake, with_pass(run, extra.of_pass)
    with locked(lake, run):
        folder = find_run(lake, run)
        if is_there(folder, extra.of_pass, extra.identity):
            shutil.rmtree(staging_folder(lake, name), ignore_errors=True)  # of an attempt that was killed just after
            refresh_catalog(lake)
            say(f"{name} is already in {lake}: nothing to do")
            return
        if folder.manifest["identity"]["model"] != inputs.files.sha256:
            raise ModelError(
                f"the files of {inputs.files.model} are not those that {run} was made from",
                hint="restore them; the manifest holds the SHA-256 of each weight file",
            )
        session = opened()
        with Stage.open(lake, name, extra.identity) as stage:
            extra.make(session, Published(folder), stage)
            manifest = {
                "config": {"memory": inputs.settings.memory, "device": inputs.device},
                "identity": extra.identity,
                **stage.facts,
                "seconds": stage.state["seconds"],
            }
            publish_pass(lake, run, extra.of_pass, stage.folder / "run", stage.tables(), manifest)
            shutil.rmtree(stage.folder, ignore_errors=True)
    say(f"{name} is in {lake}")


def is_there(folder: RunFolder, of_pass: str, identity: Mapping[str, Any]) -> bool:
    """Whether the run has the pass as it is asked for. Raises `LakeError` if it has another, or one that is damaged."""
    if of_pass in folder.unreadable:
        raise folder.unreadable[of_pass]
    if of_pass not in folder.passes:
        return False
    made, asked = folder.passes[of_pass]["identity"], json.loads(json.dumps(identity))
    if made != asked:
        differ = [key for key in sorted(made.keys() | asked.keys()) if made.get(key) != asked.get(key)]
        there, here = (", ".join(f"{key} {_plain(of.get(key))}" for key in differ) for of in (made, asked))
        remove = removal(with_pass(folder.name, of_pass))
        raise LakeError(
            f"{folder.name} has the pass {of_pass} with other settings: {there}; asked for: {here}",
            hint=f"`{remove}` removes it, then the same command makes it anew",
        )
    folder.check_sizes()
    return True


def _plain(value: Any) -> str:
    """A setting as it is given on the command line."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
