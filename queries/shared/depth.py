"""What analyses of layers have in common: the matrix of states, the columns of a trend over depth, and its words."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import by_group
from queries.stats.depth import MIN_LAYERS, DepthTrend, too_few_layers

TREND_COLUMNS = {
    "trend": "Rank correlation of the estimate with the layer (Spearman); the same in all layers.",
    "trend_low": "Low end of its 95 % interval.",
    "trend_high": "High end of its 95 % interval.",
    "p": "Two-sided p of it among walks whose steps from layer to layer have random signs.",
    "q": "Benjamini-Hochberg value of `p` over the trends of the run.",
}
LAYER = {"layer": "Transformer layer, from 0: what the residual stream is after it, or the neurons of its MLP."}


def states_by_layer(frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame, NDArray[np.float32]]]:
    """Layer, rows without `state`, and states (T, d) of each layer of one run, in order."""
    for (layer,), group in by_group(frame, ("layer",)):
        flat = group["state"].explode(empty_as_null=False).to_numpy()
        yield layer, group.drop("state"), flat.reshape(group.height, -1)


def five_layers(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of at most five layers from all over the depth: what a page has room for."""
    layers = table["layer"].unique().sort()
    some = sorted({layers[round(i)] for i in np.linspace(0, len(layers) - 1, 5)}) if len(layers) else []
    return table.filter(pl.col("layer").is_in(some))


def with_trend(row: dict[str, Any], found: DepthTrend) -> dict[str, Any]:
    """The row of a layer with the values of `TREND_COLUMNS`, and why there are none added to its `reason`.

    >>> with_trend({"reason": ""}, DepthTrend(0.5, 0.2, 0.8, 0.01))
    {'reason': '', 'trend': 0.5, 'trend_low': 0.2, 'trend_high': 0.8, 'p': 0.01}
    """
    own = row["reason"]
    # why the trend has no interval is why the layers have none, and said already
    more = found.reason if np.isnan(found.rho) or not own else ""
    trend = {"trend": found.rho, "trend_low": found.low, "trend_high": found.high, "p": found.p}
    return {**row, "reason": "; ".join(filter(None, [own, more])), **trend}


def trend_words(rows: pl.DataFrame) -> str:
    """The trend of the rows of all layers with its interval, or why there is none, as the end of a sentence."""
    if rows.height < MIN_LAYERS:
        return too_few_layers(rows.height)
    row = rows.row(0, named=True)
    if not np.isfinite(row["trend"]):
        return "no trend over depth can be told"
    ends = f"{row['trend_low']:.2f} to {row['trend_high']:.2f}, " if np.isfinite(row["trend_low"]) else ""
    return f"rank correlation with depth {row['trend']:.2f} ({ends}p = {row['p']:.2g})"


def first_and_last(rows: pl.DataFrame, digits: int = 3) -> str:
    """The estimates of the first and the last layer with their intervals, and the extremes that lie between them."""
    known = rows.sort("layer").filter(pl.col("estimate").is_finite())
    if known.is_empty():
        return "no estimate in any layer"
    ends = []
    for row in (known.row(0, named=True), known.row(-1, named=True)):
        reach = f" ({row['low']:.{digits}g} to {row['high']:.{digits}g})" if np.isfinite(row["low"]) else ""
        ends.append(f"{row['estimate']:.{digits}g}{reach} in layer {row['layer']}")
    words = ", ".join(dict.fromkeys(ends))
    ordered = known.sort("estimate")
    for name, place in (("lowest", 0), ("highest", -1)):
        row = ordered.row(place, named=True)
        if row["estimate"] not in (known["estimate"][0], known["estimate"][-1]):
            words += f", {name} {row['estimate']:.{digits}g} in layer {row['layer']}"
    return words
