"""The rows of `head_routing` of one run and ablation as arrays, and what of them can be used."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries.stats.contrast import contrast_reason
from queries.stats.routing import Changes


@dataclass(frozen=True)
class HeadRows:
    """What heads do to neurons, by class, over the documents that are whole in both; see `Changes`.

    `heads` and `without_path` are (layer, head); `members` (m,) the plateau's neurons. `reason`: why nothing follows.
    """

    heads: list[tuple[int, int]]
    without_path: list[tuple[int, int]]
    no_path_reason: str
    members: NDArray[np.int64]
    n_neurons: int
    n_documents: int
    n_positions: int
    rare: Changes
    common: Changes
    reason: str


def head_rows(part: pl.DataFrame, run: pl.DataFrame) -> HeadRows:
    """The arrays of `part`, the rows of one ablation of a `run`, in whose first row its neurons are described."""
    first = run.filter(pl.col("sd_activation").is_not_null()).row(0, named=True)
    sd = np.array(first["sd_activation"], dtype=np.float64)
    members = np.flatnonzero(np.array(first["is_plateau"], dtype=bool)).astype(np.int64)
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
    if not len(members):
        reason = reason or "the plateau has no stable core"
    lists = (first["layers_without_path"] or [], first["heads_without_path"] or [])
    return HeadRows(
        heads=list(heads.iter_rows()),
        without_path=list(zip(*lists, strict=True)),
        no_path_reason=first["no_path_reason"] or "",
        members=members,
        n_neurons=len(sd),
        n_documents=len(documents),
        n_positions=int(min(rare.counts.sum(), common.counts.sum())),
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
