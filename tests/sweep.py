"""Tiny lakes with a sweep: the same positions at every checkpoint, and influences that are planted for each step."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from extract.importer import import_folder
from tests.lake import planted_influence, write_folder

Influence = np.ndarray | Callable[[bool], np.ndarray]


def make_sweep(folder: Path, influences: Mapping[int, Influence], *, seed: int = 0, **options) -> Path:
    """A lake in `folder/lake` with one run per step of `influences`."""
    options = {"documents": 16, "positions": 20, "losses": True, **options}
    for step, influence in influences.items():
        source = write_folder(folder / f"step{step}", influence, seed=seed, own=step, **options)
        import_folder(
            source, folder / "lake", "planted", "simulated", "simulated counts", lambda line: None,
            sweep="planted", step=step,
        )  # fmt: skip
    return folder / "lake"


def only_rare(n_plateau: int, N: int = 120, step: float = 1.2, elbow: int = 60) -> Callable[[bool], np.ndarray]:
    """A plateau `step` (ln) high on rare tokens; none on common ones."""
    return lambda rare: planted_influence(N, n_plateau if rare else 0, elbow=elbow, step=step)


def emerging(N: int = 120) -> dict[int, Influence]:
    """No plateau at steps 0 and 1, one of 12 neurons on rare tokens from step 8 on."""
    return {0: only_rare(0, N), 1: only_rare(0, N), 8: only_rare(12, N), 64: only_rare(12, N)}
