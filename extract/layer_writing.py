"""The final tables of some layers, made from the summaries of their neurons.

Shapes: P parts of the documents, N neurons, k contexts.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.layer_moments import Array
from extract.layer_summaries import Summary

SHARE = 0.9  # of the activation mass, for the number of token types
STORED = 32  # types that are kept of each neuron


def neuron_rows(summary: Summary, n_types: int) -> pa.Table:
    """`layer_neurons` of one layer."""
    n, sums = summary.moments.total()
    low, high = summary.types.bounds(SHARE, n_types)
    n_neurons = len(low)
    columns = {
        "neuron": np.arange(n_neurons),
        "n_positions": np.full(n_neurons, int(n)),
        **_moments(n, sums),
        "n_types": np.full(n_neurons, n_types),
        "types_low": low,
        "types_high": high,
        "mass_error": summary.types.error,
    }
    return pa.table(columns)


def moment_rows(summary: Summary) -> pa.Table:
    """`layer_moments` of one layer; parts without a document have no rows."""
    parts = np.flatnonzero(summary.moments.n)
    n_neurons = summary.moments.sums["mean"].shape[1]
    each = [
        _moments(float(summary.moments.n[part]), {name: sums[part] for name, sums in summary.moments.sums.items()})
        for part in parts
    ]
    columns: dict[str, Any] = {name: np.stack([one[name] for one in each], axis=1).ravel() for name in each[0]}
    columns["neuron"] = np.arange(n_neurons).repeat(len(parts))
    columns["part"] = np.tile(parts, n_neurons)
    columns["n_positions"] = np.tile(summary.moments.n[parts].astype(np.int64), n_neurons)
    return pa.table(columns)


def _moments(n: float, sums: dict[str, Array]) -> dict[str, Array]:
    """The columns that both tables have, of `n` positions."""
    central = {f"moment_{order}": sums[f"sum_{order}"] / n for order in (2, 3, 4)}
    return {"mean": sums["mean"], **central, "sum_abs": sums["sum_abs"], "sum_square": sums["sum_square"]}


def type_rows(summary: Summary) -> pa.Table:
    """`layer_types` of one layer: the types with the largest mass."""
    types, mass = summary.types.largest(STORED)
    neuron, rank = np.nonzero(mass > 0)
    return pa.table({"neuron": neuron, "rank": rank, "token_id": types[neuron, rank], "mass": mass[neuron, rank]})


def context_rows(summary: Summary, cosine: NDArray[np.float32]) -> pa.Table:
    """`layer_contexts` of one layer; `cosine` (N, k, k)."""
    index = summary.contexts.token_index
    neuron, rank = np.nonzero(index >= 0)
    k = index.shape[1]
    earlier = np.tril(np.ones((k, k), dtype=bool), -1)
    # contexts of a neuron that has fewer than k come last, and their rows with them
    values = cosine[earlier & (index >= 0)[:, :, None]]
    offsets = np.append(0, np.cumsum(rank)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
    activation = summary.contexts.activation[neuron, rank]
    columns = {"neuron": neuron, "rank": rank, "token_index": index[neuron, rank], "activation": activation}
    return pa.table({**columns, "cosine": lists})
