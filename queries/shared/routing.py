"""The rows of `head_routing` of one run and ablation as arrays, and what of them can be used."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries.stats.bootstrap import N_REPLICATES, document_weights
from queries.stats.contrast import contrast_reason
from queries.stats.routing import Changes
from queries.stats.stability import plateau_memberships


@dataclass(frozen=True)
class HeadRows:
    """What heads do to neurons, by class, over the documents that are whole in both; see `Changes`.

    `heads` and `without_path` are (layer, head); `members` (m,) the plateau's neurons, from `n_elsewhere` other
    positions. `n_left_out`: documents that are not whole. `reason`: why nothing follows.
    """

    heads: list[tuple[int, int]]
    without_path: list[tuple[int, int]]
    no_path_reason: str
    members: NDArray[np.int64]
    n_neurons: int
    n_documents: int
    n_left_out: int
    n_positions: int
    n_elsewhere: int
    rare: Changes
    common: Changes
    reason: str


@dataclass(frozen=True)
class Core:
    """The stable core of the plateau, `members` (m,), from `n_positions` without an ablated head; or the reason."""

    members: NDArray[np.int64]
    n_positions: int
    reason: str = ""


def plateau_core(run: pl.DataFrame, rng: np.random.Generator, n_replicates: int = N_REPLICATES) -> Core:
    """From the first row of a `run`, which holds what ablating its neurons does elsewhere."""
    first = described(run)
    n_neurons, counts = len(first["sd_activation"]), np.array(first["elsewhere_n"] or [], dtype=np.float64)
    if not len(counts):
        return Core(np.zeros(0, dtype=np.int64), 0, "every rare position is one that heads were ablated at")
    sums = np.array(first["elsewhere_influence"], dtype=np.float64).reshape(-1, n_neurons)
    positions = counts.reshape(sums.shape)[:, 0]
    found, reason = plateau_memberships(sums, positions, document_weights(len(sums), n_replicates, rng))
    members = np.flatnonzero(found.is_core) if found else np.zeros(0, dtype=np.int64)
    why = reason or ("" if len(members) else "the plateau has no stable core")
    return Core(members.astype(np.int64), int(positions.sum()), why)


def described(run: pl.DataFrame) -> dict[str, Any]:
    """The row of a run that describes its neurons."""
    return run.filter(pl.col("sd_activation").is_not_null()).row(0, named=True)


def head_rows(part: pl.DataFrame, run: pl.DataFrame, core: Core) -> HeadRows:
    """The arrays of `part`, the rows of one ablation of a `run`."""
    first, members = described(run), core.members
    sd = np.array(first["sd_activation"], dtype=np.float64)
    whole = (
        part.group_by("document", "token_class")
        .agg(is_whole=(pl.col("n_chosen") == pl.col("n_positions")).all())
        .group_by("document")
        .agg(n=pl.col("is_whole").sum())
        .filter(pl.col("n") == 2)
    )
    documents = whole["document"].sort()
    heads = part.select("layer", "head").unique().sort("layer", "head")
    n_left_out = part["document"].n_unique() - len(documents)
    classes = {
        name: _changes(part.filter(token_class=name), documents, heads.height, sd, members)
        for name in ("rare", "common")
    }
    rare, common = classes["rare"], classes["common"]
    reason = contrast_reason(rare.counts, common.counts)
    if n_left_out and reason:
        reason += f"; {n_left_out} documents are not whole under the conditions or classes that were asked for"
    reason = reason or core.reason
    lists = (first["layers_without_path"] or [], first["heads_without_path"] or [])
    return HeadRows(
        heads=list(heads.iter_rows()),
        without_path=list(zip(*lists, strict=True)),
        no_path_reason=first["no_path_reason"] or "",
        members=members,
        n_neurons=len(sd),
        n_documents=len(documents),
        n_left_out=n_left_out,
        n_positions=int(min(rare.counts.sum(), common.counts.sum())),
        n_elsewhere=core.n_positions,
        rare=rare,
        common=common,
        reason=reason,
    )


def _changes(
    rows: pl.DataFrame, documents: pl.Series, n_heads: int, sd: NDArray[np.float64], members: NDArray[np.int64]
) -> Changes:
    """The sums of one class; neurons that never change their activation count as not moved."""
    scale = np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1.0), 0.0)
    counts = np.zeros(len(documents))
    by_head, by_document = np.zeros((n_heads, len(sd))), np.zeros((len(documents), len(sd)))
    of_group = np.zeros((len(documents), n_heads))
    for i, document in enumerate(documents):
        block = rows.filter(document=document).sort("layer", "head")
        change = block["sum_abs_change"].explode().to_numpy().reshape(n_heads, len(sd)) * scale
        counts[i] = block["n_positions"][0]
        by_head += change
        by_document[i] = change.sum(axis=0)
        of_group[i] = change[:, members].mean(axis=1) if len(members) else 0.0
    return Changes(counts, by_head, by_document, of_group)
