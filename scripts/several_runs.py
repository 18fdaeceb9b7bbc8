"""Small lakes of several runs without a model, for `make no-torch`: a sweep, a model on two corpora, a trajectory.

python -m scripts.several_runs FOLDER     writes FOLDER/lake and FOLDER/states.parquet
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.lakes import add_run
from calibration.sweeps import add_sweep, emerging_world
from calibration.training import SWEEPS
from calibration.trajectories import write_states
from calibration.worlds import Corpus, influence_world


def main() -> None:
    """Write them anew."""
    folder, rng, corpus = Path(sys.argv[1]), np.random.default_rng(0), Corpus()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_states(folder / "states.parquet", "full_v")
    add_sweep(folder / "sweep", folder / "lake", emerging_world(rng), corpus, rng, SWEEPS.parts)
    world = replace(influence_world(rng), elsewhere=0.3)
    for name, here in (("one", world), ("other", world.another)):
        add_run(folder / "model" / name, folder / "lake", here, corpus, rng, ())


if __name__ == "__main__":
    main()
