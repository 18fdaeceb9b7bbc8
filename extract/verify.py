"""`rt verify`: the stored deltas of a run against true forward passes of its model, at sampled pairs."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from extract.families import describe
from extract.models import load_model, resolve
from extract.selfcheck import hooked_delta
from warehouse.connection import connect, frame
from warehouse.errors import LakeError
from warehouse.lake import find_run

# Sampled by hash, not by reservoir: small reservoirs in DuckDB come from the first rows.
_PAIRS = """
select tokens.window, position, target_id, neuron, delta_loss
from ablations
join tokens using (run, token_index)
where run = $run
order by hash(neuron, token_index, $seed), neuron, token_index
limit $n
"""


@dataclass(frozen=True)
class Verification:
    """The pairs that were compared, the largest error, and how many pairs missed the tolerance."""

    run: str
    n_pairs: int
    max_error: float  # nats
    n_failed: int
    tolerance: str


def verify(lake: Path, run: str, n_pairs: int = 32, seed: int = 0, relative: float = 1e-3) -> Verification:
    """Compare stored deltas with hooked forward passes of the same weights.

    Raises `LakeError` for an imported run, or when the model's files are not the ones the run was made from.
    """
    found = find_run(lake, run)
    manifest = found.manifest
    if manifest["origin"] != "extracted":
        raise LakeError(
            f"{found.name} was imported: rt has no model to verify it with", hint="rt check verifies its files"
        )
    made = manifest["model"]
    # a hub's branch moves, the commit it stood at does not
    is_commit = re.fullmatch("[0-9a-f]{40}", made["commit"] or "")
    files = resolve(made["model"], made["commit"] if is_commit else made["revision"])
    if files.sha256 != manifest["identity"]["model"]:
        raise LakeError(
            f"the files of {made['model']} are not those that {found.name} was made from",
            hint="restore them; the manifest holds the SHA-256 of each weight file",
        )
    model = load_model(files, manifest["config"]["dtype"], "cpu")
    last = describe(model)
    con = connect(lake, [found.name])
    pairs = frame(con, _PAIRS, {"run": found.name, "seed": seed, "n": n_pairs})
    mean = torch.from_numpy(
        frame(con, "select mean_activation from neurons order by neuron")["mean_activation"].to_numpy().copy()
    )
    windows = dict(frame(con, 'select "window", token_ids from windows').iter_rows())
    errors, allowed = [], []
    absolute = 1e-6 if manifest["config"]["dtype"] == "float32" else 1e-2
    for window, position, target, neuron, stored in pairs.iter_rows():
        ids = torch.tensor(windows[window])
        true = float(hooked_delta(model, last, ids, position, [neuron], mean, target)[0])
        errors.append(abs(true - stored))
        allowed.append(absolute + relative * abs(true))
    return Verification(
        found.name,
        len(errors),
        float(np.max(errors)),
        int(np.sum(np.array(errors) > np.array(allowed))),
        f"{absolute:g} + {relative:g} |delta|",
    )
