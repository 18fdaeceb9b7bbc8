"""The final tables of some layers, made from the summaries of their neurons.

Shapes: P parts of the documents, N neurons, k contexts of a part, K contexts that are compared.
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
    parts = summary.parts
    n_neurons = summary.moments.sums["mean"].shape[1]
    each = [
        _moments(float(summary.moments.n[part]), {name: sums[part] for name, sums in summary.moments.sums.items()})
        for part in parts
    ]
    columns: dict[str, Any] = {name: np.stack([one[name] for one in each], axis=1).ravel() for name in each[0]}
    columns["neuron"] = np.arange(n_neurons).repeat(len(parts))
    columns["part"] = np.tile(parts, n_neurons)
    columns["n_positions"] = np.tile(summary.moments.n[parts].astype(np.int64), n_neurons)
    without = np.zeros((n_neurons, len(parts)), dtype=np.int64)
    is_known = np.zeros(without.shape, dtype=bool)
    for column, part in enumerate(parts):
        without[summary.part_types.neurons, column] = summary.part_types.without(part, SHARE)
        is_known[summary.part_types.neurons] = True
    columns["types_without"] = pa.array(without.ravel(), mask=~is_known.ravel())
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
    """`layer_contexts` of one layer; `cosine` (N, K, K) of the contexts that are compared, as `Summary.compared`."""
    parts = summary.parts
    index = summary.contexts.token_index[parts].transpose(1, 2, 0)  # (N, k, P): in the order of the rows
    neuron, rank, place = np.nonzero(index >= 0)
    activation = summary.contexts.activation[parts[place], neuron, rank]
    compared = cosine.shape[1] // max(len(parts), 1)  # of each part
    is_there = index[:, :compared].reshape(len(index), -1) >= 0  # (N, K)
    earlier = np.tril(np.ones(cosine.shape[1:], dtype=bool), -1) & is_there[:, None]
    values = cosine[earlier & is_there[:, :, None]]
    # the contexts that are not compared have no list, which takes no values
    row = np.minimum(rank, compared - 1) * len(parts) + place
    lengths = np.where(rank < compared, earlier.sum(axis=2)[neuron, row], 0)
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=pa.array(rank >= compared))
    columns = {"neuron": neuron, "rank": rank, "part": parts[place], "token_index": index[neuron, rank, place]}
    return pa.table({**columns, "activation": activation, "cosine": lists})
