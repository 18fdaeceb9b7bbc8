"""What heads do to the loss, in words, from the rows of `head_loss`."""

from typing import Any

import numpy as np
import polars as pl

from queries.shared.heads import balance, name_of, out_of_reach
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

SCALES = ("nats", "relative")


def loss_words(key: tuple[str, ...], group: pl.DataFrame) -> str:
    """The heads that matter on rare targets in one run and ablation, `key`, and those that do more so."""
    run, ablation = key
    on_rare = group.filter(scale="nats", token_class="rare")
    contrasts = {scale: group.filter(scale=scale, token_class="rare_minus_common") for scale in SCALES}
    row = contrasts["nats"].row(0, named=True)
    start = f"- `{run}`, `{ablation}` ablation of {counted(on_rare.height, 'head')}: "
    if not contrasts["nats"]["low"].is_finite().any():
        return start + f"{row['reason']}."
    relative = contrasts["relative"].row(0, named=True)
    more = "do so more on rare than on common ones"
    said = [
        f"{_significant(on_rare, 'help', ' nats')} on rare targets",
        f"relative to the loss of the class, {relative['reason']}"
        if not contrasts["relative"]["low"].is_finite().any()
        else f"relative to the loss of the class, {_significant(contrasts['relative'], more, ' of the loss')}",
        f"in nats {_significant(contrasts['nats'], more, ' nats')}",
    ]
    few = out_of_reach(row["n"], on_rare.height)
    size = f"{counted(row['n'], 'document')}, {counted(row['n_positions'], 'position')} a class; {balance(row)}"
    return start + f"{'; '.join(said)} (q < {LEVEL}; {size}){f'; {few}' if few else ''}. {_power(contrasts)}"


def _power(contrasts: dict[str, pl.DataFrame]) -> str:
    """What difference would have been found in half of the heads."""
    known = []
    for scale, unit in (("relative", " of the loss"), ("nats", " nats")):
        # in a head where it cannot be told a difference may be any size
        middle = float(np.median(contrasts[scale]["visible"].fill_nan(float("inf")).to_numpy()))
        known += [f"{middle:.2g}{unit}"] if np.isfinite(middle) else []
    if not known:
        return "What difference would be found cannot be told: in most heads few documents, or none, make up the error."
    return (
        f"In half of the heads a difference of {' or of '.join(known)} would be found with a chance of 80 %; smaller "
        "ones may be there."
    )


def _significant(rows: pl.DataFrame, what: str, unit: str) -> str:
    """How many heads are above 0, the three largest by name, and how many are below."""
    known = rows.filter(pl.col("q") < LEVEL)
    above = known.filter(pl.col("estimate") > 0).sort("estimate", descending=True)
    first = ", ".join(_named(row, unit) for row in above.head(3).iter_rows(named=True))
    below = known.height - above.height
    return f"{above.height:,} {what}{f' (most {first})' if first else ''} and {below:,} the reverse"


def _named(row: dict[str, Any], unit: str) -> str:
    return f"{name_of(row['layer'], row['head'])}: {row['estimate']:.2g}{unit}, {row['low']:.2g} to {row['high']:.2g}"
