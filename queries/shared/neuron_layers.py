"""What the neurons of one layer do, from the rows of `polysemanticity`: each measure, and its mean without each part.

Shapes: N neurons, P parts of the documents, K contexts that are compared.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries.stats.context_clusters import cluster_measures, cosine_matrices, type_entropies
from queries.stats.part_moments import PartMoments, shapes

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class NeuronLayer:
    """Measures (N,) of the neurons of one layer, kurtosis as its logarithm; their means without each part (P,).

    `slack`: by so much the mean of `types_90` may be off; its means without a part are NaN where types were counted
    within bounds. `context_share`: contexts of a neuron over positions.
    """

    layer: int
    values: dict[str, Array]
    left_out: dict[str, Array]
    slack: float
    context_share: float

    def mean(self, measure: str) -> float:
        """Mean over the neurons that have an answer."""
        return known_mean(self.values[measure])


def known_mean(values: Array) -> float:
    """Mean of the values that are finite; NaN without any."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def neuron_layer(layer: int, rows: pl.DataFrame) -> NeuronLayer:
    """The measures of the `rows` of one layer of one run, a neuron each."""
    lists = ("mean", "moment_2", "moment_3", "moment_4", "sum_abs")
    found = {name: np.stack(rows[f"part_{name}"].to_list()) for name in lists}
    kurtosis, hoyer = shapes(PartMoments(np.array(rows["part_n"].to_list()[0]), **found))
    entropy, clusters, merged, n_contexts = _contexts(rows)
    every = {
        "kurtosis": np.log(kurtosis), "hoyer": hoyer, "context_entropy": entropy,
        "clusters": clusters, "merged_types": merged,
    }  # fmt: skip
    low, high = (rows[name].to_numpy().astype(np.float64) for name in ("types_low", "types_high"))
    types = np.where(high > 0, (low + high) / 2, np.nan)
    left_out = {name: np.array([known_mean(part) for part in each[1:]]) for name, each in every.items()}
    left_out["types_90"] = _types_without(rows, types)
    return NeuronLayer(
        layer,
        {**{name: each[0] for name, each in every.items()}, "types_90": types},
        left_out,
        slack=float((high - low).mean() / 2),
        context_share=n_contexts / float(rows["n_positions"][0]),
    )


def _types_without(rows: pl.DataFrame, types: Array) -> Array:
    """Mean (P,) of the types without each part: of all neurons, moved as the sampled ones move."""
    flat = rows["types_without"].explode(empty_as_null=False).cast(pl.Float64).to_numpy()
    without = flat.reshape(rows.height, -1)
    without = np.where(without > 0, without, np.nan)  # 0: nothing is left of a neuron
    sampled = np.isfinite(without).all(axis=1) & np.isfinite(types)
    if not sampled.any():
        return np.full(without.shape[1], np.nan)
    moved: Array = known_mean(types) + (without[sampled] - types[sampled, None]).mean(axis=0)
    return moved


def _contexts(rows: pl.DataFrame) -> tuple[Array, Array, Array, float]:
    """Entropy, clusters and merged types, (1 + P, N) each, of all contexts and without each part; contexts a neuron."""
    parts = np.array(rows["parts"].to_list()[0])
    size = rows["token_ids"].list.len().fill_null(0).to_numpy().astype(np.int64)
    neuron = np.repeat(np.arange(rows.height), size)
    place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    there = rows.filter(pl.col("token_ids").is_not_null())
    token = there["token_ids"].explode(empty_as_null=False).fill_null(-1).to_numpy().astype(np.int64)
    part = np.searchsorted(parts, there["context_parts"].explode(empty_as_null=False).to_numpy()).astype(np.int64)
    kept = token >= 0
    entropy = type_entropies(neuron[kept], token[kept], part[kept], rows.height, len(parts))
    clusters, merged = np.full((2, 1 + len(parts), rows.height), np.nan)
    n_compared = rows["n_compared"].fill_null(0).to_numpy()
    for k in np.unique(n_compared[n_compared > 1]).tolist():
        mine = np.flatnonzero(n_compared == k)
        flat = rows[mine]["cosines"].explode(empty_as_null=False).to_numpy().astype(np.float64)
        matrix = cosine_matrices(flat.reshape(len(mine), -1), k)
        chosen = np.isin(neuron, mine) & (place < k)
        types, of_part = token[chosen].reshape(-1, k), part[chosen].reshape(-1, k)
        for row, without in enumerate((-1, *range(len(parts)))):
            clusters[row, mine], merged[row, mine] = cluster_measures(
                matrix, types, (types >= 0) & (of_part != without)
            )
    return entropy, clusters, merged, float(size.mean())
