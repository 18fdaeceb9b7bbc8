"""Sparse autoencoders as arrays: classes of positions by scheme, and the contexts of atoms at every kept step.

Shapes: T positions, A atoms, k contexts.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import by_group
from queries.shared.token_labels import band, word_class
from queries.stats.purity import Labels

Index = NDArray[np.int64]
SCHEMES = ("word_class", "target_class", "frequency", "position")
BANDS = 10


def position_labels(rows: pl.DataFrame) -> dict[str, Labels]:
    """Classes of each position by scheme, within strata of frequency."""
    frequency = band(rows["frequency_rank"], BANDS)
    columns = {
        "word_class": pl.Series([word_class(token) for token in rows["token"]], dtype=pl.String),
        "target_class": pl.Series([word_class(token) for token in rows["target"]], dtype=pl.String),
        "frequency": frequency,
        "position": band(rows["position"], BANDS),
    }
    stratum, n_strata = _numbers(frequency)
    found = {}
    for name, values in columns.items():
        of, n = _numbers(values)
        # classes that are the strata leave nothing to compare within them
        found[name] = Labels(of, n, stratum, 1 if name == "frequency" else n_strata)
    return found


def _numbers(labels: pl.Series) -> tuple[Index, int]:
    """Classes from 0, -1 for none, and their number."""
    names = labels.drop_nulls().unique().sort().to_list()
    places = labels.replace_strict(names, range(len(names)), default=-1, return_dtype=pl.Int64) if names else None
    return (np.full(len(labels), -1) if places is None else places.fill_null(-1).to_numpy()), len(names)


def autoencoders(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame, dict[int, Index]]]:
    """Each autoencoder: its name, the facts of its steps, and the contexts (A, k) of its atoms at each of them.

    Contexts are rows of `rows`, the strongest first, -1 for none.
    """
    facts = rows["steps"].drop_nulls().explode().struct.unnest().unique(["sae", "step"]).sort("sae", "step")
    index = rows.select(pl.int_range(pl.len()).alias("row"), "contexts").explode("contexts").drop_nulls()
    known = index.unnest("contexts").sort("sae", "step", "atom", "rank")
    for (sae,), mine in by_group(facts, ("sae",)):
        steps = {}
        for step, n_atoms in mine.select("step", "n_atoms").iter_rows():
            part = known.filter((pl.col("sae") == sae) & (pl.col("step") == step))
            steps[step] = _matrix(part["atom"].to_numpy(), part["row"].to_numpy(), n_atoms)
        yield sae, mine, steps


def _matrix(atom: Index, row: Index, n_atoms: int) -> Index:
    """(A, k) rows of each atom, -1 where it has fewer than the one with most; `atom` is sorted."""
    counts = np.bincount(atom, minlength=n_atoms)
    found = np.full((n_atoms, int(counts.max(initial=0))), -1, dtype=np.int64)
    found[atom, np.arange(len(atom)) - (np.cumsum(counts) - counts)[atom]] = row
    return found
