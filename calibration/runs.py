"""Simulations, resumable: batches of lakes through import, SQL and analysis, their outcomes kept as Parquet.

A batch whose outcomes are kept (`store.py`) is not run again. A draw depends on the seed, the family, the design and
its number, and on nothing else.
"""

import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

from calibration.autoencoders import add_atoms
from calibration.families import FAMILIES
from calibration.heads import add_heads
from calibration.lakes import add_run
from calibration.layers import add_layers
from calibration.paths import PART, simulate_paths
from calibration.store import FOLDER, Key, keep, keys
from calibration.sweeps import add_sweep
from calibration.targets import Family
from calibration.worlds import Design, World
from queries import Session
from warehouse.connection import connect

OPTIONAL = {"heads": add_heads, "layers": add_layers, "sae": add_atoms}
SEED = 20260101
BATCH = 10
ENOUGH_POWER = 200  # simulations of a design that shows power only: its rate is then known to 0.07


@dataclass(frozen=True)
class Batch:
    """Draws `number` * size and on of one design, for the analyses `slugs` of its family that lack them."""

    family: str
    design: str
    number: int
    slugs: tuple[str, ...]
    size: int = BATCH
    seed: int = SEED
    folder: Path = FOLDER


def missing(slugs: list[str], n: int, folder: Path = FOLDER, *, is_small: bool = False) -> list[Batch]:
    """Batches to run for `n` simulations of each design, in an order in which all designs grow together.

    Those that only show power grow at a fifth of the speed, to 200; `is_small`: they are left out, others end early.
    """
    found = []
    kept = keys(folder)
    for family in FAMILIES:
        for design in family.designs:
            slow = 5 if design.is_planted else 1
            wanted = min(n, ENOUGH_POWER) if design.is_planted else n
            if is_small:
                wanted = 0 if design.is_planted else min(n, family.n_check)
            for number in range(-(-wanted // BATCH)):
                lacking = tuple(
                    study.slug
                    for study in family.studies
                    if study.slug in slugs
                    and study.is_for(design)
                    and Key(study.slug, family.name, design.name, number) not in kept
                )
                if lacking:
                    batch = Batch(family.name, design.name, number, lacking, folder=folder)
                    found.append((number * slow, batch))
    return [batch for _, batch in sorted(found, key=lambda pair: pair[0])]


def simulate_all(batches: list[Batch], n_processes: int) -> None:
    """Run the batches, in processes of one thread, and say what is done."""
    # threads of the numerical libraries are counted when a process starts
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1"))
    with get_context("spawn").Pool(n_processes, maxtasksperchild=20) as pool:
        for i, batch in enumerate(pool.imap_unordered(run, batches), start=1):
            print(f"{i} of {len(batches)}: {batch.family}-{batch.design} {batch.number}", flush=True)


def family_of(name: str) -> Family:
    """The family `name`."""
    return next(family for family in FAMILIES if family.name == name)


def run(batch: Batch) -> Batch:
    """Simulate a batch and keep its outcomes, each file whole or not at all."""
    family = family_of(batch.family)
    design = next(each for each in family.designs if each.name == batch.design)
    for slug, outcomes in simulate(family, design, batch).items():
        keep(batch.folder, Key(slug, batch.family, batch.design, batch.number), outcomes)
    return batch


def simulate(family: Family, design: Design, batch: Batch) -> dict[str, pl.DataFrame]:
    """Outcomes by analysis of the draws of a batch: one lake, one run per draw."""
    key = [batch.seed, zlib.crc32(f"{family.name}-{design.name}".encode())]
    draws = range(batch.number * batch.size, (batch.number + 1) * batch.size)
    if PART in family.parts:
        return simulate_paths(family, design, batch.seed, draws)
    with tempfile.TemporaryDirectory(prefix="calibration-") as name:
        folder = Path(name)
        runs: list[str] = []
        others: list[str] = []
        worlds: list[World] = []
        for draw in draws:
            rng = np.random.default_rng([*key, 1, draw])
            worlds.append(design.make(rng if design.is_anew else np.random.default_rng([*key, 0])))
            model = folder / f"model-{draw}"
            add = add_sweep if "sweep" in family.parts else add_run
            runs.append(add(model / "corpus", folder / "lake", worlds[-1], design.corpus, rng, family.parts))
            if "another corpus" in family.parts:
                others.append(
                    add_run(model / "another", folder / "lake", worlds[-1].another, design.corpus, rng, family.parts)
                )
            shutil.rmtree(model)
            for part in set(family.parts) & set(OPTIONAL):
                OPTIONAL[part](folder / "lake", runs[-1], worlds[-1], rng)
        # of a sweep, only analyses over steps see more than the last checkpoint
        with connect(folder / "lake", [*runs, *others]) as con, connect(folder / "lake") as steps:
            for each in (con, steps):
                each.execute("set threads = 1")
            session = Session(con, seed=batch.seed + batch.number, steps=lambda: steps)
            # first those that others use: a session computes each table once, with the draws it was first asked for
            first = (study for study in family.upstream if study.slug not in {one.slug for one in family.studies})
            for study in (*first, *(each for each in family.studies if each.slug == "plateau_stability")):
                session.table(study.analysis)
            found = {}
            for study in family.studies:
                if study.slug in batch.slugs:
                    outcomes = study.outcomes(session.table(study.analysis), runs, worlds, design)
                    found[study.slug] = outcomes.with_columns(run=pl.col("run") + draws.start)
    return found
