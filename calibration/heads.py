"""Lakes with the pass over attention heads, and what is held against the truth in its two analyses.

Shapes: P sampled positions, N neurons.
"""

from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from calibration.passes import add_pass
from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.worlds import N_CORE, Array, Corpus, Design, World, coupled_world
from warehouse.connection import connect, frame

LAYERS, HEADS = 2, 4
LOSS, LEANING, CHANGE = 0.01, 0.5, 0.1  # nats; mean over spread of the change; sd of the neuron
PAIRED = Corpus(positions=36)  # about 180 pairs, and as many rare positions that the plateau is read off
IDLE = (0, 0)  # its ablation changes the loss as often up as down


def routed_world(rng: np.random.Generator, routing: float = 0.0) -> World:
    """The heads of the upper layer move the plateau by a factor exp(routing) more at rare targets, and help there.

    The help is `routing` times the spread of their change of the loss.
    """
    return replace(coupled_world(rng), routing=routing)


def add_heads(lake: Path, run: str, world: World, rng: np.random.Generator) -> None:
    """Add the pass to a run: changes with heavy tails that documents and positions share."""
    with connect(lake, [run]) as con:
        chosen = pairs(frame(con, "from token_classes() order by token_index"))
        sd = frame(con, "select sd_activation from neurons order by neuron")["sd_activation"].to_numpy()
    is_rare = (chosen["stratum"] == "rare").to_numpy()
    document = chosen["document"].to_numpy()
    factor = np.exp(0.3 * rng.standard_normal(document.max() + 1) - 0.045)[document]
    factor *= np.exp(0.4 * rng.standard_normal(len(document)) - 0.08)
    tokens, neurons = [], []
    for layer, head in product(range(LAYERS), range(HEADS)):
        key = {"layer": layer, "head": head, "ablation": "mean"}
        routing = world.routing * (layer == LAYERS - 1) * is_rare
        leaning = LEANING * ((layer, head) != IDLE) + routing
        delta = LOSS * factor * (rng.standard_normal(len(document)) + leaning)
        tokens.append(pl.DataFrame({**key, "token_index": chosen["token_index"], "delta_loss": delta}))
        change = CHANGE * sd * factor[:, None] * rng.standard_t(5, (len(document), len(sd)))
        change[:, :N_CORE] *= np.exp(routing)[:, None]
        neurons += [{**key, **row} for row in sums(chosen, change)]
    heads = {"layer": np.repeat(np.arange(LAYERS), HEADS), "head": np.tile(np.arange(HEADS), LAYERS)}
    known = {"has_path": True, "reason": pl.Series([None], dtype=pl.String), "mean_output": [[0.0]]}
    tables = {
        "attention_heads": pl.DataFrame(heads).join(pl.DataFrame(known), how="cross"),
        "head_positions": chosen.with_columns(target_decile=0, input_decile=0),
        "head_tokens": pl.concat(tokens),
        "head_neurons": pl.DataFrame(neurons).sort("layer", "head", "ablation", "stratum", "document"),
    }
    add_pass(lake, run, "heads", {name: data.to_arrow() for name, data in tables.items()})


def pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """As many rare as common positions of each document, with their pair.

    Half of the rare ones are left to read the plateau off.
    """
    taken = []
    for (document,), part in rows.group_by("document", maintain_order=True):
        classes = [part.filter(token_class=name) for name in ("rare", "common")]
        n = min(-(-classes[0].height // 2), classes[1].height)
        taken += [each.head(n).with_columns(pair=pl.int_range(n) + 1000 * document) for each in classes]
    kept = pl.concat(taken).sort("token_index").rename({"token_class": "stratum"})
    return kept.select("token_index", "document", "pair", "stratum")


def sums(chosen: pl.DataFrame, change: Array) -> list[dict[str, object]]:
    """Rows of `head_neurons` of one head, from the changes (P, N)."""
    found = []
    for (stratum, document), part in chosen.with_row_index("row").group_by("stratum", "document"):
        here = change[part["row"].to_numpy()]
        kinds = {"sum_abs_change": np.abs(here), "sum_change": here, "sum_square_change": here**2}
        lists = {name: each.sum(axis=0).tolist() for name, each in kinds.items()}
        found.append({"stratum": stratum, "document": document, "n": part.height, **lists})
    return found


def _head(layer: int, head: int, token_class: str) -> Row:
    return {"ablation": "mean", "layer": layer, "head": head, "token_class": token_class}


def _of_loss(layer: int, head: int, token_class: str, scale: str = "nats") -> Row:
    return {**_head(layer, head, token_class), "scale": scale}


def _leaning(world: World, corpus: Corpus, row: Row) -> float:
    return LOSS * LEANING


def loss_study() -> Study:
    """A head that leans to help, one that does not, and whether the classes differ."""
    upper = _of_loss(LAYERS - 1, 1, "rare_minus_common")
    relative = {**upper, "scale": "relative"}
    intervals = (
        Interval("loss at common targets", _of_loss(LAYERS - 1, 1, "common"), _leaning),
        Interval("loss, rare minus common", upper, lambda world, *_: LOSS * world.routing),
        Interval("relative loss, rare minus common", relative),
    )
    tests = (
        Rejection("idle head", _of_loss(*IDLE, "common"), designs=("none",)),
        Rejection("rare minus common", upper),
        Rejection("relative, rare minus common", relative),
    )
    return Study("head_loss", intervals, tests)


def routing_study() -> Study:
    """Influence and selectivity of a head, the excess over random groups, concentration."""
    selectivity = {**_head(LAYERS - 1, 1, "rare_minus_common"), "measure": "influence"}
    excess: Row = {"ablation": "mean", "measure": "excess"}
    gini: Row = {"ablation": "mean", "measure": "gini", "token_class": "rare"}
    gap: Row = {**gini, "token_class": "rare_minus_common"}
    intervals = (
        Interval("influence at rare targets", {**_head(LAYERS - 1, 1, "rare"), "measure": "influence"}),
        Interval("selectivity", selectivity),
        Interval("excess", excess),
        Interval("Gini over the heads", gini),
        Interval("Gini, rare minus common", gap),
    )
    tests = (
        Rejection("selectivity", selectivity),
        Rejection("excess over any groups", excess, "p_any"),
        Rejection("excess over groups alike", excess, "p_alike"),
        Rejection("routing (verdict)", excess, "verdict", "supported"),
    )
    return Study("head_routing", intervals, tests)


HEAD_PASS = Family(
    "heads",
    (
        Design("none", routed_world, PAIRED),
        Design("weak", partial(routed_world, routing=0.3), PAIRED, effect=0.3),
        Design("strong", partial(routed_world, routing=0.8), PAIRED, effect=0.8),
    ),
    (loss_study(), routing_study()),
    ("activations", "heads", "losses"),
    (),
    "the four heads of one of two layers move the plateau by 0, 0.3, 0.8 (ln) more at rare targets, and help there by "
    "as many times the spread of the change of the loss",
    n_check=20,
)
