"""The optional pass `heads` of a tiny lake, with planted effects.

Shapes: P sampled positions, N neurons.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from extract.publication import publish_pass
from warehouse.connection import connect, frame
from warehouse.lake import open_lake
from warehouse.shards import write_shard

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
    chosen = _pairs(frame(con, "from token_classes() order by token_index"))
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
        neurons += [{**key, **row} for row in _sums(chosen, change)]
    tables = {
        "attention_heads": _heads(),
        "head_positions": chosen.with_columns(target_decile=9 * (pl.col("stratum") == "rare"), input_decile=0),
        "head_tokens": pl.concat(tokens).sort("layer", "head", "ablation", "token_index"),
        "head_neurons": pl.DataFrame(neurons).sort("layer", "head", "ablation", "stratum", "document"),
    }
    staged = lake / "staging/heads"
    shards = {
        name: [write_shard(staged / name / "part-00000.parquet", name, data.to_arrow(), staged)]
        for name, data in tables.items()
    }
    publish_pass(lake, open_lake(lake).runs[0].name, "heads", staged, shards, {"identity": {"planted": True}})


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """As many rare as common positions of each document, with their pair."""
    taken = []
    for (document,), part in rows.group_by("document", maintain_order=True):
        classes = [part.filter(token_class=name) for name in ("rare", "common")]
        n = min(each.height for each in classes)
        taken += [each.head(n).with_columns(pair=pl.int_range(n) + 1000 * document) for each in classes]
    names = {"token_class": "stratum"}
    return pl.concat(taken).sort("token_index").rename(names).select("token_index", "document", "stratum", "pair")


def _sums(chosen: pl.DataFrame, change: np.ndarray) -> list[dict]:
    """Rows of one head, from the changes (P, N)."""
    found = []
    for (stratum, document), part in chosen.with_row_index("row").group_by("stratum", "document"):
        here = change[part["row"].to_numpy()]
        sums = {"sum_abs_change": abs(here), "sum_change": here, "sum_square_change": here**2}
        lists = {name: each.sum(0).tolist() for name, each in sums.items()}
        found.append({"stratum": stratum, "document": document, "n": part.height, **lists})
    return found


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
