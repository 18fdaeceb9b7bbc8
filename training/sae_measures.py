"""What is kept of a sparse autoencoder at a step: one pass over all positions, its rows of the three tables.

Shapes: T positions, A atoms, P positions of a piece.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.passes import list_column
from extract.top_contexts import TopContexts
from queries.stats.mixture_probe import fit_best
from training.sae_inputs import PIECE, mean_square
from training.sparse_autoencoder import SparseAutoencoder
from warehouse.schema import TABLES
from warehouse.shards import arrow_schema

CONTEXTS = 60  # positions of an atom
RESTARTS = 2  # of the probe
PROBED = 1000  # positions, evenly spread, for the covariance of the codes and the probe


def probed(codes: NDArray[np.float32], seed: int) -> dict[str, float | None]:
    """Largest eigenvalue and trace of the covariance of `codes` (T, A), and the precision of 12 prototypes in them.

    The precision is null where there is none: codes that do not vary, or are all prototypes.
    """
    centred = codes - codes.mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False).astype(np.float64) ** 2 / len(codes)
    found = fit_best(centred, np.random.default_rng(seed), n_restarts=RESTARTS)
    beta = found.beta if found is not None and np.isfinite(found.beta) else None
    return {"lambda_max": float(singular[0]), "trace": float(singular.sum()), "beta_em": beta}


@dataclass
class Kept:
    """Rows of one autoencoder that learns `x` (T, d), step after step; directions are held until the last is known."""

    sae: str
    x: Tensor
    early: int
    seed: int
    steps: list[pa.Table] = field(default_factory=list)
    contexts: list[pa.Table] = field(default_factory=list)
    _atoms: list[tuple[int, NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]] = field(default_factory=list)

    @cached_property
    def _variance(self) -> float:
        """Of the inputs, whose columns have mean 0, per dimension."""
        return float(mean_square(self.x.numpy()).mean())

    @torch.no_grad()
    def add(self, step: int, model: SparseAutoencoder) -> None:
        """Measure the model on all positions."""
        x, variance = self.x, self._variance
        n_atoms, contexts = len(model.decoder), TopContexts(1, len(model.decoder), CONTEXTS)
        sums, active, error = np.zeros(n_atoms), np.zeros(n_atoms, dtype=np.int64), 0.0
        for start in range(0, len(x), PIECE):
            piece = x[start : start + PIECE]
            codes = model.encode(piece)
            error += float((piece - model.decode(codes)).double().square().sum())
            values = codes.numpy()
            contexts.update(0, np.arange(start, start + len(values)), np.ascontiguousarray(values.T))
            active += (values > 0).sum(axis=0)
            sums += values.sum(axis=0, dtype=np.float64)
        error /= x.numel()
        row = {
            "n_positions": len(x), "n_atoms": n_atoms, "squared_error": error,
            "explained_variance": 1 - error / variance if variance else float("nan"),
            "l0": active.sum() / len(x), "dead_share": float((active == 0).mean()),
            **probed(model.encode(x[:: -(-len(x) // PROBED)]).numpy(), self.seed),
        }  # fmt: skip
        self.steps.append(self._table("sae_steps", step, {name: [value] for name, value in row.items()}))
        self.contexts.append(self._contexts(step, contexts))
        self._atoms.append((step, active, sums, model.decoder.detach().numpy().copy()))

    def _contexts(self, step: int, contexts: TopContexts) -> pa.Table:
        (token_index,), (activation,) = contexts.token_index, contexts.activation
        atom, rank = np.nonzero(token_index >= 0)
        columns = {"atom": atom, "rank": rank, "token_index": token_index[atom, rank]}
        return self._table("sae_contexts", step, {**columns, "activation": activation[atom, rank]})

    def atoms(self) -> list[pa.Table]:
        """`sae_atoms`, a table for each step."""
        last, final = self._atoms[-1][0], self._atoms[-1][3]
        found = []
        for step, active, sums, direction in self._atoms:
            is_shown = step in (self.early, last)
            columns = {
                "atom": np.arange(len(active)),
                "n_active": active,
                "mean_activation": pa.array(sums / np.maximum(active, 1), mask=active == 0),
                "cosine_final": np.einsum("ad,ad->a", direction, final, dtype=np.float64),
                "direction": list_column(direction) if is_shown else pa.nulls(len(active), pa.list_(pa.float32())),
            }
            found.append(self._table("sae_atoms", step, columns))
        return found

    def _table(self, name: str, step: int, columns: dict[str, object]) -> pa.Table:
        schema = arrow_schema(TABLES[name])
        n = len(next(iter(columns.values())))  # type: ignore[arg-type]
        data = pa.table({"sae": [self.sae] * n, "step": np.full(n, step), **columns})
        return data.select(schema.names).cast(schema)
