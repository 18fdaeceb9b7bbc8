"""The optional pass `heads` of a tiny lake, with planted effects.

Shapes: P sampled positions, N neurons.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from calibration.heads import pairs, sums
from calibration.passes import add_pass
from warehouse.connection import connect, frame
from warehouse.lake import open_lake

LAYERS, HEADS = 3, 4
PLANTED = (1, 1)


def write_heads(
    lake: Path,
    *,
    ablations: tuple[str, ...] = ("mean",),
    routing: float = 0.0,
    members: Sequence[int] = (),
    help_rare: float = 0.0,
    seed: int = 0,
) -> None:
    """Add the pass to the one run of a lake: 3 layers of 4 heads, the last layer without a path to the neurons.

    Every head moves every neuron by about a tenth of its sd, half of them half as much. Head 1 of layer 1 moves the
    neurons `members` at rare positions by a factor `exp(routing)` more, and helps rare targets by `help_rare` nats.
    """
    rng = np.random.default_rng([seed, 3])
    con = connect(lake)
    chosen = pairs(frame(con, "from token_classes() order by token_index"))
    sd = frame(con, "select sd_activation from neurons order by neuron")["sd_activation"].to_numpy()
    size = 0.1 * sd * np.where(np.arange(len(sd)) % 2 == 0, 1.0, 0.5)
    is_rare = (chosen["stratum"] == "rare").to_numpy()
    factor = np.exp(0.3 * rng.standard_normal(chosen["document"].max() + 1))[chosen["document"].to_numpy()]
    tokens, neurons = [], []
    for layer, head, ablation in product(range(LAYERS), range(HEADS), sorted(ablations)):
        is_planted = (layer, head) == PLANTED
        delta = 0.01 * factor * (rng.standard_normal(chosen.height) + 0.5) + help_rare * is_planted * is_rare
        key = {"layer": layer, "head": head, "ablation": ablation}
        tokens.append(pl.DataFrame({**key, "token_index": chosen["token_index"], "delta_loss": delta}))
        if layer == LAYERS - 1:
            continue
        change = size * factor[:, None] * rng.standard_normal((chosen.height, len(sd)))
        if is_planted and len(members):
            change[np.ix_(is_rare, list(members))] *= np.exp(routing)
        neurons += [{**key, **row} for row in sums(chosen, change)]
    tables = {
        "attention_heads": _heads(),
        "head_positions": chosen.with_columns(target_decile=9 * (pl.col("stratum") == "rare"), input_decile=0),
        "head_tokens": pl.concat(tokens).sort("layer", "head", "ablation", "token_index"),
        "head_neurons": pl.DataFrame(neurons).sort("layer", "head", "ablation", "stratum", "document"),
    }
    add_pass(lake, open_lake(lake).runs[0].name, "heads", {name: data.to_arrow() for name, data in tables.items()})


def _heads() -> pl.DataFrame:
    reached = np.repeat(np.arange(LAYERS) < LAYERS - 1, HEADS)
    return pl.DataFrame(
        {
            "layer": np.repeat(np.arange(LAYERS), HEADS),
            "head": np.tile(np.arange(HEADS), LAYERS),
            "has_path": reached,
            "reason": [None if each else "parallel residual" for each in reached],
            "mean_output": [[0.0]] * len(reached),
        }
    )
