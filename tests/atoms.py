"""The pass of sparse autoencoders with planted atoms, added to a tiny lake the way `rt train-sae` does.

Each atom likes one tenth of the frequencies, some more than others: as much late as early where `settled`, else with no
relation of the two. `topk` is so; of `relu` half of the atoms are dead at the end.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from calibration.autoencoders import STEPS, atom_tables, codes_of
from calibration.passes import add_pass
from warehouse.connection import connect, frame

N_ATOMS = 40


def add_atoms(lake: Path, pure: float = 4.0, settled: bool = True, seed: int = 0) -> None:
    """Add the pass to the one run of the lake."""
    tokens = frame(connect(lake), "select run, document, token_id from tokens order by token_index")
    rng = np.random.default_rng([seed, 4])
    document, classes = tokens["document"].to_numpy(), tokens["token_id"].to_numpy() // 4
    liked = rng.integers(0, classes.max() + 1, N_ATOMS)
    early, late = rng.random((2, N_ATOMS))
    liking = {STEPS[0]: 0 * early, STEPS[1]: pure * early, STEPS[2]: pure * (early if settled else late)}
    codes = codes_of(liking, liked, classes, document, rng)
    halved = {step: values * (step < STEPS[2] or np.arange(N_ATOMS)[:, None] % 2) for step, values in codes.items()}
    parts = [atom_tables(halved, "relu"), atom_tables(codes, "topk")]
    tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
    add_pass(lake, tokens["run"][0], "sae", tables)
