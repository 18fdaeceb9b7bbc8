"""Simulated sweeps: the checkpoints of a training that read the same text, one imported run each.

Documents are hard or easy at every checkpoint alike; all else is drawn anew at each.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.lakes import DOCUMENT_SD, OWN_SD, Text, positions, write_tables
from calibration.worlds import HALVES, N_BANDS, N_NEURONS, Array, Corpus, World, influence_world, smooth_world
from calibration.worlds import plateau_curve as curve
from extract.importer import import_folder

STEPS = (0, 1, 8, 64, 512)
EMERGED = 8  # the step from which on a planted plateau is there


def emerging_world(rng: np.random.Generator, excess: float = 1.5) -> World:
    """Rare tokens get a plateau `excess` (ln) high at `EMERGED`; the loss falls."""
    world = influence_world(rng, excess=0.0)
    flat, high = (np.tile(curve(N_NEURONS, excess=each)[:, None], N_BANDS) for each in (0.0, excess))
    high[:, HALVES["common"]] = flat[:, HALVES["common"]]
    path = tuple(high if step >= EMERGED else flat for step in STEPS)
    return replace(world, level=path[-1], path=path, losses=(8.0, 7.5, 6.5, 5.5, 5.0))


def still_world(rng: np.random.Generator, excess: float = 1.5) -> World:
    """Nothing changes after step 0, at which both classes have a plateau."""
    world = influence_world(rng, excess=excess)
    return replace(world, path=(world.level,) * len(STEPS), losses=(6.0,) * len(STEPS))


def learning_world(rng: np.random.Generator) -> World:
    """The loss falls and influences spread out, from one smooth law to a wider one: no plateau, ever."""
    world = smooth_world(rng)
    logs = np.log(world.level)
    path = tuple(np.exp(logs.mean() + share * (logs - logs.mean())) for share in (0.4, 0.5, 0.7, 0.9, 1.0))
    return replace(world, level=path[-1], path=path, losses=(8.0, 7.5, 6.5, 5.5, 5.0))


def _hard(shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> Array:
    """Factors with mean 1 whose logarithms have the sd `sd`."""
    return np.exp(sd * rng.standard_normal(shape) - 0.5 * sd**2)


def add_sweep(
    folder: Path, lake: Path, world: World, corpus: Corpus, rng: np.random.Generator, parts: Sequence[str]
) -> str:
    """Import one run per checkpoint of `world.path`, a sweep called as the parent of `folder`; the run of the last."""
    document, target = positions(corpus, rng)
    shape = (document.max() + 1, len(world.level))
    # what documents have in common along the training: as much again as each checkpoint draws for itself
    factor = (_hard((shape[0], 1), DOCUMENT_SD, rng) * _hard(shape, OWN_SD, rng))[document]
    token = _hard((shape[0], 1), 0.1, rng)[document, 0] * _hard((len(document),), 0.4, rng)
    run = ""
    for step, level, loss in zip(STEPS, world.path, world.losses, strict=True):
        text = Text(document, target, loss * token * _hard((len(document),), 0.2, rng), factor)
        source = folder / f"step{step}"
        write_tables(source, replace(world, level=level), corpus, rng, parts, text)
        run = import_folder(
            source,
            lake,
            "simulated",
            "simulated",
            "simulated counts",
            lambda line: None,
            sweep=folder.parent.name,
            step=step,
        )
    return run
