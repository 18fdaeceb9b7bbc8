"""`rt train-sae`: from a run in a lake to the optional pass `sae` of it. The model that was measured is not needed."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa
import torch

from extract.extra_passes import is_there
from extract.progress import Progress
from extract.publication import publish_pass
from extract.staging import Stage
from training.sae_inputs import SOURCES, read_matrix, standardised
from training.sae_measures import Kept
from training.sae_states import CodeStates, check_states
from training.schedule import log_steps
from training.seeding import seeded
from training.sparse_autoencoder import SAES, SparseAutoencoder, Training, fit
from warehouse.catalog import refresh_catalog
from warehouse.connection import connect, frame
from warehouse.errors import LakeError, RtError
from warehouse.lake import find_run, locked, open_lake, removal, staging_folder, with_pass
from warehouse.run_folder import RunFolder
from warehouse.schema import tables_of
from warehouse.shards import ShardWriter

VERSION = 1  # raised when the rows of the same settings would change
KEPT = 12  # steps of each autoencoder, about
EARLY = 0.05  # of the training: where a first look is taken at what atoms will become


@dataclass(frozen=True)
class SaePass:
    """Settings: which of `SAES`, on what of `SOURCES`, with what seed, trained how."""

    of_pass: ClassVar[str] = "sae"
    saes: tuple[str, ...] = ("topk",)
    of: str = "activations"
    seed: int = 0
    training: Training = field(default_factory=Training)

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the rows, besides the run."""
        return {"version": VERSION, "kind": list(self.saes), "of": self.of, "seed": self.seed, **asdict(self.training)}

    @property
    def early(self) -> int:
        """The step at `EARLY` of the training."""
        return max(1, round(EARLY * self.training.steps))

    def check(self) -> None:
        """Raise `RtError` for settings that make no sense, whatever the run."""
        if unknown := [each for each in self.saes if each not in SAES]:
            raise RtError(f"--kind {','.join(unknown)}", hint=f"allowed: {', '.join(SAES)}, or both")
        if self.of not in SOURCES:
            raise RtError(f"--of {self.of}", hint=f"allowed: {', '.join(SOURCES)}")
        for name, least in {"atoms": 2, "k": 1, "steps": 2}.items():
            if getattr(self.training, name) < least:
                raise RtError(f"--{name} {getattr(self.training, name)}", hint=f"at least {least}")
        if self.training.penalty < 0:
            raise RtError(f"--penalty {self.training.penalty}", hint="at least 0")


def train_sae(
    lake: Path, run: str | None, settings: SaePass, say: Callable[[str], None] = print, states: Path | None = None
) -> str:
    """Train, and add the pass to the run (by default the only one in the lake); its id comes back.

    `states` is a file for the codes of about 1,000 positions at every kept step (see `training.sae_states`).
    Raises `RtError` for settings that make no sense; `LakeError` if there is no such run, if it has the pass with
    other settings (with `states`: at all), or lacks what is to be learnt from. Nothing is then left behind.
    """
    settings.check()
    if states is not None:
        check_states(states, settings.saes)
    folder = find_run(lake, run) if run is not None else _only(lake)
    name = with_pass(folder.name, SaePass.of_pass)
    with locked(lake, folder.name):
        if is_there(folder, SaePass.of_pass, settings.identity):
            shutil.rmtree(staging_folder(lake, name), ignore_errors=True)  # of an attempt that was killed just after
            refresh_catalog(lake)
            if states is not None:
                raise LakeError(
                    f"{name} is already in {lake}, and --states {states} is written while it trains",
                    hint=f"`{removal(name)}`, then the same command trains it again",
                )
            say(f"{name} is already in {lake}: nothing to do")
            return folder.name
        with connect(lake, [folder.name]) as con:
            x = torch.from_numpy(standardised(read_matrix(con, settings.of)))
            codes = _code_states(con, x, settings.seed) if states is not None else None
        with Stage.open(lake, name, settings.identity) as stage:
            found = _fit(x, settings, stage, codes)
            _write(found, stage)
            if codes is not None and states is not None:
                codes.write(states)
            publish_pass(
                lake,
                folder.name,
                SaePass.of_pass,
                stage.folder / "run",
                stage.tables(),
                {
                    "config": {"threads": torch.get_num_threads()},
                    "identity": settings.identity,
                    "input": {"positions": x.shape[0], "dimensions": x.shape[1]},
                    "seconds": stage.state["seconds"],
                },
            )
            shutil.rmtree(stage.folder, ignore_errors=True)
    say(f"{name} is in {lake}")
    for kept in found:
        last = kept.steps[-1].to_pylist()[0]
        say(
            f"{kept.sae}: explains {100 * last['explained_variance']:.0f} % of the variance with {last['l0']:.1f} of "
            f"{last['n_atoms']:,} atoms a position; {100 * last['dead_share']:.0f} % of the atoms are dead"
        )
    return folder.name


def _only(lake: Path) -> RunFolder:
    """The one run of the lake."""
    runs = open_lake(lake).runs
    if len(runs) != 1:
        there = ", ".join(each.name for each in runs)
        raise LakeError(f"{len(runs)} runs in {lake}", hint=f"choose with --run: {there}" if there else "rt extract")
    return runs[0]


def _code_states(con: duckdb.DuckDBPyConnection, x: torch.Tensor, seed: int) -> CodeStates:
    """What keeps the codes of a sample of the positions `x` (T, d)."""
    rows = frame(con, "select token_index, document from tokens order by token_index")
    sample, document = (rows[name].to_numpy().astype(np.int64) for name in rows.columns)
    return CodeStates(x, sample, document, seed)


def _fit(x: torch.Tensor, settings: SaePass, stage: Stage, codes: CodeStates | None) -> list[Kept]:
    """Train each autoencoder on its own, from the same seed, so that neither depends on the other."""
    steps = {*log_steps(settings.training.steps, KEPT), settings.early}
    found = []
    for sae in sorted(set(settings.saes)):
        kept = Kept(sae, x, settings.early, settings.seed)
        with stage.timed(sae), seeded(settings.seed) as chance, Progress(sae, settings.training.steps, "steps") as bar:
            fit(x, sae, settings.training, chance, steps, _to_all(kept, codes), bar.advance)
        found.append(kept)
    return found


def _to_all(kept: Kept, codes: CodeStates | None) -> Callable[[int, SparseAutoencoder], None]:
    """What takes a model at a kept step."""

    def add(step: int, model: SparseAutoencoder) -> None:
        kept.add(step, model)
        if codes is not None:
            codes.add(step, model)

    return add


def _write(found: list[Kept], stage: Stage) -> None:
    rows = {
        "sae_steps": [table for kept in found for table in kept.steps],
        "sae_atoms": [table for kept in found for table in kept.atoms()],
        "sae_contexts": [table for kept in found for table in kept.contexts],
    }
    for table in tables_of(SaePass.of_pass):
        path = stage.folder / f"run/{table.name}/part-00000.parquet"
        with ShardWriter(path, table, stage.folder) as writer:
            writer.write(pa.concat_tables(rows[table.name]))
        assert writer.shard is not None
        stage.record(writer.shard)
