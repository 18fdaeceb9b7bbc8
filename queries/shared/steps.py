"""The rows of an analysis over training steps as arrays: one class of one sweep, a checkpoint at a time.

Shapes: S checkpoints, D documents that any of them has, N neurons, m neurons of the leading group, G groups, d weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parts = dict[tuple[int, str], pl.DataFrame]  # by step and part

SIDES = ("in", "gate", "out")


@dataclass(frozen=True)
class Checkpoint:
    """One class at one step: sums per document of what was measured; a part that was not has no values.

    `counts` (D,) positions, `influence` (D, N), `loss` (D,), `products` (D, m, m) and `sums` (D, m) of activations;
    `weights` by side (1 + G, m, d): the leading neurons, then the other groups.
    """

    step: int
    counts: Array
    influence: Array
    loss: Array
    products: Array
    sums: Array
    weights: dict[str, Array]


@dataclass(frozen=True)
class Sweep:
    """The checkpoints of one class in the order of training; `verdict` on the last one's plateau, NaN without one."""

    checkpoints: list[Checkpoint]
    n_documents: int
    n_positions: int
    verdict: float

    @property
    def steps(self) -> list[int]:
        """Their training steps."""
        return [each.step for each in self.checkpoints]


def read_sweep(rows: pl.DataFrame, documents: Sequence[int]) -> Sweep:
    """The rows (step, part, item, n_positions, value) of one class, on the axis `documents` of the whole sweep.

    Raises `ValueError` if the checkpoints have not the same neurons at the same positions: they are not one sweep.
    """
    parts: Parts = {
        (int(step), str(part)): group.sort("item")
        for (step, part), group in rows.group_by("step", "part", maintain_order=True)
        if part != "verdict"
    }
    checkpoints = [_checkpoint(step, parts, documents) for step in sorted({step for step, _ in parts})]
    first = checkpoints[0]
    for each in checkpoints:
        if each.influence.shape != first.influence.shape or not np.array_equal(each.counts, first.counts):
            raise ValueError(
                f"step {each.step} was not measured with the neurons and positions of step {first.step}: "
                "checkpoints of a sweep read the same windows"
            )
    verdict = rows.filter(pl.col("part") == "verdict")["value"]
    found = float(verdict[0][0]) if len(verdict) else float("nan")
    return Sweep(checkpoints, int((first.counts > 0).sum()), int(first.counts.sum()), found)


def _checkpoint(step: int, parts: Parts, documents: Sequence[int]) -> Checkpoint:
    place = {document: i for i, document in enumerate(documents)}
    influence = parts[step, "influence"]
    where = [place[item] for item in influence["item"]]
    counts, sums = np.zeros(len(documents)), np.zeros((len(documents), len(influence["value"][0])))
    counts[where] = influence["n_positions"].to_numpy()
    sums[where] = _matrix(influence)
    loss = np.full(len(documents), np.nan)
    if (found := parts.get((step, "loss"))) is not None:
        loss[:] = 0.0
        loss[[place[item] for item in found["item"]]] = _matrix(found)[:, 0]
    products, totals = _moments(parts.get((step, "activation")), place)
    m = min(32, sums.shape[1] // 4)
    weights = {side: _groups(parts[step, side], m) for side in SIDES if (step, side) in parts}
    return Checkpoint(step, counts, sums, loss, products, totals, weights)


def _matrix(part: pl.DataFrame) -> Array:
    """The lists of a part, of equal length, as rows."""
    return np.stack([value.to_numpy() for value in part["value"]]).astype(np.float64)


def _moments(part: pl.DataFrame | None, place: dict[int, int]) -> tuple[Array, Array]:
    """Second moments (D, m, m) and sums (D, m) of the leading neurons' activations in each document; none: empty."""
    if part is None or part.is_empty():
        return np.zeros((0, 0, 0)), np.zeros((0, 0))
    m = len(part["value"][0]) // part["n_positions"][0]
    products, sums = np.zeros((len(place), m, m)), np.zeros((len(place), m))
    for item, n, value in part.select("item", "n_positions", "value").iter_rows():
        values = np.asarray(value, dtype=np.float64).reshape(n, m)
        products[place[item]], sums[place[item]] = values.T @ values, values.sum(axis=0)
    return products, sums


def _groups(part: pl.DataFrame, m: int) -> Array:
    """Weights (1 + G, m, d) of the leading neurons and of as many groups of others as are whole."""
    rows = _matrix(part)
    n_groups = len(rows) // m if m else 0
    return rows[: n_groups * m].reshape(n_groups, m, -1)
