"""The layout of a table of estimates, and corrected p-values within it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from queries import ESTIMATE
from queries.stats.nulls import benjamini_hochberg

Row = dict[str, Any]


def schema_of(
    keys: Sequence[str], columns: Iterable[str], *, counts: Collection[str] = (), text: Collection[str] = ()
) -> dict[str, type[pl.DataType]]:
    """Types of `keys`, the estimate and `columns`: `n` and `counts`, of the keys too, are integers.

    Strings are the other keys, `text`, verdicts and reasons; everything else is a float, where NaN means that there is
    no answer.

    >>> schema_of(["run"], ["n_neurons", "p", "reason"], counts=["n_neurons"])["n_neurons"]
    Int64
    """
    strings, integers = {*keys, "verdict", "reason", *text}, {"n", *counts}
    return {
        name: pl.Int64 if name in integers else pl.String if name in strings else pl.Float64
        for name in (*keys, *ESTIMATE, *columns)
    }


def correct_within(rows: Sequence[Row], by: str) -> None:
    """Give every row `q`, the Benjamini-Hochberg value of its `p` among the rows with the same `by`.

    >>> rows = [{"measure": "a", "p": 0.01}, {"measure": "a", "p": 0.04}, {"measure": "b", "p": 0.5}]
    >>> correct_within(rows, "measure")
    >>> [row["q"] for row in rows]
    [0.02, 0.04, 0.5]
    """
    for value in dict.fromkeys(row[by] for row in rows):
        alike = [row for row in rows if row[by] == value]
        for row, q in zip(alike, benjamini_hochberg(np.array([row["p"] for row in alike])), strict=True):
            row["q"] = float(q)


def null_meanings(nulls: Mapping[str, str], names: str, of_range: str, of_p: str) -> dict[str, str]:
    """Meanings of `mean`, `low`, `high` and p of each null, whose columns `names` lays out, e.g. `null_{}`.

    `nulls` is null -> words for it, `of_range` and `of_p` the rest of what is said.

    >>> sorted(null_meanings({"any": "any neurons"}, "null_{}", "of them", "p."))
    ['null_any_high', 'null_any_low', 'null_any_mean', 'p_any']
    """
    found: dict[str, str] = {}
    for null, words in nulls.items():
        column = names.format(null)
        found |= {
            f"{column}_mean": f"Mean over {words}.",
            f"{column}_low": f"Low end of the middle 95 % {of_range}.",
            f"{column}_high": f"High end of the middle 95 % {of_range}.",
            f"p_{null}": of_p,
        }
    return found
