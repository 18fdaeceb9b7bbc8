"""Measures of how modular groups of neurons are, from their correlation matrices: qualities of the best partitions.

Shapes: G groups or draws, m neurons, T positions, N neurons in all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from queries.stats.louvain import at_once, maximise
from queries.stats.modularity import correlation_modularity_matrix, keep_strongest, signed_modularity_matrix
from queries.stats.point_sets import aligned

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Searches for a draw of a null or a replicate; the observed value that a null is compared with has as many
NULL_RESTARTS = 2
HEADLINE = ("signed_q", "mg_q")
OF_PARTITION = ("n_communities", "ari")

_MATRICES: Mapping[str, Callable[[Array, float | Array], Array]] = {
    "signed_q": lambda r, n: signed_modularity_matrix(r),
    "mg_q": correlation_modularity_matrix,
    "abs_q": lambda r, n: signed_modularity_matrix(np.abs(r)),
    "signed_q_gamma_0.5": lambda r, n: signed_modularity_matrix(r, 0.5),
    "signed_q_gamma_1.5": lambda r, n: signed_modularity_matrix(r, 1.5),
    "signed_q_gamma_2": lambda r, n: signed_modularity_matrix(r, 2.0),
    "signed_q_density_10": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.10)),
    "signed_q_density_25": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.25)),
    "signed_q_density_50": lambda r, n: signed_modularity_matrix(keep_strongest(r, 0.50)),
}
QUALITIES = tuple(_MATRICES)
SWEEP = tuple(name for name in QUALITIES if name not in HEADLINE)
MEASURES = (*QUALITIES, *OF_PARTITION)


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups`, turns within documents (`shifts`), `planted` sets, `restarts` of a search.

    Groups beyond the first 200 are drawn of the plateau, where these leave the answer open, see
    `queries.stats.groups.is_open`. `repeats`: the observed value that nulls are compared with is the mean of so many
    searches. No verdict is about a measure of the `sweep` or about the `other` groups: all their nulls have at most so
    many draws. Calibration makes do with fewer of all.
    """

    groups: int = 1000
    sweep: int = 100
    shifts: int = 200
    other: int = 100
    planted: int = 100
    restarts: int = 20
    repeats: int = 20

    def of_other(self) -> "Effort":
        """That of a group that no verdict is about."""
        return replace(self, **{name: min(getattr(self, name), self.other) for name in ("groups", "sweep", "shifts")})


FULL = Effort()


@dataclass(frozen=True)
class Sample:
    """Positions of one class.

    `values` (T, N), `document` (T,), the `correlations` (N, N) of all neurons and their `influence` (N,). `is_gated`:
    the sign of a neuron is arbitrary, and groups are looked at with the signs of their leading eigenvector.
    """

    values: Array
    document: Index
    correlations: Array
    influence: Array
    is_gated: bool = False

    def measure(
        self,
        correlations: Array,
        names: tuple[str, ...],
        rng: np.random.Generator,
        n_restarts: int,
        n_positions: Array | None = None,
    ) -> dict[str, Array]:
        """`measure` of `correlations` (G, m, m), over all T positions or `n_positions` (G,), data and nulls alike."""
        seen = aligned(correlations) if self.is_gated else correlations
        return measure(seen, len(self.values) if n_positions is None else n_positions, names, rng, n_restarts)


def measure(
    correlations: Array, n_positions: float | Array, names: tuple[str, ...], rng: np.random.Generator, n_restarts: int
) -> dict[str, Array]:
    """Each quality in `names`, (G,), of `correlations` (G, m, m) over `n_positions` positions, one number or (G,).

    With `signed_q` come `n_communities` (those of two or more neurons) and `ari` (agreement between restarts) of its
    partition.
    """
    n_graphs, m, _ = correlations.shape
    step = max(1, at_once(m, n_restarts) // max(1, n_graphs))
    found: dict[str, Array] = {}
    for start in range(0, len(names), step):
        part = names[start : start + step]
        matrices = np.concatenate([_MATRICES[name](correlations, n_positions) for name in part])
        best = maximise(matrices, rng, n_restarts, len(part))
        for i, name in enumerate(part):
            own = slice(i * n_graphs, (i + 1) * n_graphs)
            found[name] = best.quality[own]
            if name == "signed_q":
                found["n_communities"], found["ari"] = best.n_communities[own], best.agreement[own]
    return found
