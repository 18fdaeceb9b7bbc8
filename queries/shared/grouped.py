"""The rows of the macro `grouped_positions`, with the activations at each, as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import by_group
from queries.stats.samples import is_finite

# The columns of the lake without which there are none
NEEDS = ("neuron_tokens.activation", "neuron_tokens.delta_loss")
# What is known of the neurons, in the first row of a run
OF_NEURONS = ("regime", "is_core", "influence", "out_weight")


@dataclass(frozen=True)
class Grouped:
    """One run: T positions, N neurons in the order of their index.

    `activation` (T, N) as the lake has it, `document` (T,) and `is_rare` (T,); of the neurons `regime` (N,) strings,
    None where it is not known, `is_core` (N,), `influence` (N,) in nats, NaN where it is not known, and the rows of
    W_out `out_weight` (N, d), None where the run has none. `is_gated`: the sign of a neuron is arbitrary.
    """

    activation: NDArray[np.floating]
    document: NDArray[np.int64]
    is_rare: NDArray[np.bool_]
    regime: NDArray[np.object_]
    is_core: NDArray[np.bool_]
    influence: NDArray[np.float64]
    is_gated: bool
    out_weight: NDArray[np.float32] | None

    def finite(self) -> "Grouped":
        """The same without positions at which an activation is infinite or NaN."""
        kept = is_finite(self.activation)
        if kept.all():
            return self
        return replace(self, activation=self.activation[kept], document=self.document[kept], is_rare=self.is_rare[kept])


def grouped(frame: pl.DataFrame) -> Iterator[tuple[str, Grouped]]:
    """Each run by name, with its arrays. A position that lacks a neuron has no place in the matrix and is left out."""
    for (run,), rows in by_group(frame, ("run",)):
        yield run, _arrays(rows)


def _arrays(rows: pl.DataFrame) -> Grouped:
    regime, is_core, influence, weight = (rows[name][0] for name in OF_NEURONS)
    # an array copied in part is a second matrix
    kept = rows.filter(pl.col("activation").is_not_null()) if rows["activation"].null_count() else rows
    return Grouped(
        activation=kept["activation"].to_numpy(),
        document=kept["document"].to_numpy().astype(np.int64),
        is_rare=(kept["token_class"] == "rare").to_numpy(),
        regime=regime.cast(pl.String).to_numpy(),
        is_core=is_core.cast(pl.Boolean).fill_null(value=False).to_numpy(),
        influence=influence.cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        is_gated=bool(rows["is_gated"][0]),
        out_weight=None if weight is None else weight.list.to_array(len(weight[0])).to_numpy().astype(np.float32),
    )
