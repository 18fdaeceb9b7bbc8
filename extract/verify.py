"""`rt verify`: the stored deltas of a run against true forward passes of its model, at sampled pairs."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from extract.families import describe
from extract.models import load_model, resolve
from extract.selfcheck import hooked_deltas
from warehouse.connection import connect, frame
from warehouse.errors import LakeError
from warehouse.lake import find_run

# Sampled by hash, not by reservoir: small reservoirs in DuckDB come from the first rows.
# One neuron at each position of a few windows: a window's forward pass then serves all of its positions.
_PAIRS = """
select tokens.window, position, target_id, neuron, delta_loss
from ablations
inner join tokens using (run, token_index)
where tokens.window in (select "window" from windows order by hash("window", $seed), "window" limit $n_windows)
qualify row_number() over (partition by token_index order by hash(neuron, token_index, $seed), neuron) = 1
order by hash(token_index, $seed), token_index
"""
PER_WINDOW = 32  # pairs, about


@dataclass(frozen=True)
class Verification:
    """The pairs that were compared, the largest error, and how many pairs missed the tolerance."""

    run: str
    n_pairs: int
    max_error: float  # nats
    n_failed: int
    tolerance: str


def verify(lake: Path, run: str, n_pairs: int = 128, seed: int = 0, relative: float = 1e-3) -> Verification:
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
    pairs = frame(con, _PAIRS, {"seed": seed, "n_windows": -(-n_pairs // PER_WINDOW)}).head(n_pairs)
    mean = torch.from_numpy(
        frame(con, "select mean_activation from neurons order by neuron")["mean_activation"].to_numpy().copy()
    )
    windows = dict(frame(con, 'select "window", token_ids from windows').iter_rows())
    absolute = 1e-6 if manifest["config"]["dtype"] == "float32" else 1e-2
    errors, allowed = [], []
    for (window,), group in pairs.group_by("window"):
        chosen = (
            torch.from_numpy(group[name].to_numpy().astype("int64")) for name in ("position", "neuron", "target_id")
        )
        position, neuron, target = chosen
        ids = torch.tensor(windows[window])
        true = hooked_deltas(model, last, ids, position, neuron, mean, target).cpu().numpy()
        errors.append(np.abs(true - group["delta_loss"].to_numpy()))
        allowed.append(absolute + relative * np.abs(true))
    error, limit = np.concatenate(errors), np.concatenate(allowed)
    return Verification(
        found.name,
        len(error),
        float(error.max()),
        int((error > limit).sum()),
        f"{absolute:g} + {relative:g} |delta|",
    )
