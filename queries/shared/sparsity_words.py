"""Whether states are sparser at difficult tokens, in words, from the rows of `layer_sparsity`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from queries.stats.verdict import LEVEL

VARIANTS = ("raw", "trimmed", "normed")
OVER = "; the mean is over "  # so many layers: ends every reason of a verdict


def layers_read(row: Mapping[str, Any]) -> str:
    """How many layers were read, and of how many where that is known.

    >>> layers_read({"n_layers": 3, "n_model_layers": 30}), layers_read({"n_layers": 3, "n_model_layers": None})
    ('3 of 30 layers', '3 layers')
    """
    of = "" if row["n_model_layers"] is None else f" of {row['n_model_layers']}"
    return f"{row['n_layers']}{of} layers"


def sparsity_words(key: tuple[str, ...], group: pl.DataFrame) -> str:
    """The verdicts of one run and predictor, `key`, variant by variant, from the rows of one measure."""
    run, predictor = key
    parts = []
    for variant in sorted(group["variant"].unique(), key=VARIANTS.index):
        rows = group.filter(variant=variant)
        row = rows.row(0, named=True)
        if not np.isfinite(row["mean_low"]):
            parts.append(f"`{variant}` **{row['verdict']}**: mean slope {row['mean_slope']:.2g} ({row['reason']})")
            continue
        sure = rows.filter(pl.col("layer_q") < LEVEL)  # NaN is above every number: no slope, not sure
        sparser = sure.filter(pl.col("estimate") > 0).height
        why = f" ({row['reason'].partition(OVER)[0]})" if row["verdict"] == "undecidable" else ""
        parts.append(
            f"`{variant}` **{row['verdict']}**{why}: mean slope {row['mean_slope']:.2g} ({row['mean_low']:.2g} to "
            f"{row['mean_high']:.2g}, q = {row['q']:.2g}); sparser in {sparser}, denser in {sure.height - sparser}"
        )
    words = f"Hoyer's sparsity on {predictor.replace('_', ' ')}, {layers_read(group.row(0, named=True))}"
    return f"- `{run}`, {words} (each by q < {LEVEL} over these): {'; '.join(parts)}."
