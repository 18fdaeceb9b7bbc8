"""What an analysis says of a claim of the literature: one row per run, for the page that is read first."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from queries.stats.verdict import REFUTED

# What one run says of one claim. `n` as in its table, `null` the mean of the closest null model, `q` the corrected p,
# `power` how often an effect would be seen, `bar` what the interval must exclude. `remedy`: how to get the
# positions that it lacks, where more documents alone do not give them; else null.
_TREND = "p_trend"  # of the prediction for a group that leads a ranking
FINDING = {
    "run": pl.String, "verdict": pl.String,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64, "null": pl.Float64, "q": pl.Float64,
    "power": pl.Float64, "bar": pl.Float64, "reason": pl.String, "remedy": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A statement of the literature that an analysis tests, for the page that is read first.

    `statement` is the claim in a few words, `source` the paper that makes it, `measure` what `estimate` is, with its
    unit. `findings(table)` gives the columns of `FINDING`, one row per run: `verdict` is `supported`, `contradicted`
    or `undecidable`, null where the number alone is the answer; a number that does not exist is NaN. `is_of_weights`:
    its interval is over weights, where the analysis has others over documents.
    """

    statement: str
    source: str
    measure: str
    findings: Callable[[pl.DataFrame], pl.DataFrame]
    is_of_weights: bool = False


def finding(
    null: str | Mapping[str, str] = "",
    q: str = "q",
    names: Mapping[str, str] | None = None,
    bar: pl.Expr | None = None,
    **where: str,
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """`Claim.findings` for a claim that the first row of each run with the keys `where` answers.

    `null` is the column of the null's mean, or p column -> column of the mean for each of several nulls, of which
    the closest, that with the largest p, of equal p the nearest, is shown; a trend that the data refute is none.
    `names` maps columns of `FINDING` to others than their own. `bar` is what the interval must exclude where that
    is not the null.
    """
    columns = {**{name: name for name in FINDING}, "q": q, **(names or {})}
    made = {"null": _closest(null), "bar": _closest(null) if bar is None else bar}

    def found(table: pl.DataFrame) -> pl.DataFrame:
        rows = table
        for name, value in where.items():
            rows = rows.filter(pl.col(name) == value)
        rows = rows.unique("run", keep="first", maintain_order=True)
        nothing = pl.lit(None, dtype=pl.String)
        absent = {"reason": nothing, "remedy": nothing, "power": pl.lit(float("nan"))}
        rows = rows.with_columns(**{name: value for name, value in absent.items() if name not in rows.columns})
        return rows.select(
            made.get(name, pl.col(columns[name])).cast(kind).alias(name) for name, kind in FINDING.items()
        )

    return found


def _closest(null: str | Mapping[str, str]) -> pl.Expr:
    """The mean of the null; of several that with the largest p, of equal p the mean next to the estimate.

    A trend that predicts surely more than there is (one-sided p above 0.975) does not hold, so nothing is held against
    it while there is another null.
    """
    if isinstance(null, str):
        return pl.col(null).cast(pl.Float64) if null else pl.lit(float("nan"))

    def choose(row: dict[str, float | None]) -> float:
        known = [(name, row[name], row[mean]) for name, mean in null.items()]
        ranked = {
            name: (p, -abs(mean - (row["estimate"] or 0.0)), mean)
            for name, p, mean in known
            if p is not None and mean is not None and not math.isnan(p + mean)
        }
        if len(ranked) > 1 and ranked.get(_TREND, (0.0,))[0] > REFUTED:
            del ranked[_TREND]
        return max(ranked.values())[2] if ranked else float("nan")

    names = dict.fromkeys(("estimate", *null, *null.values()))
    return pl.struct(*names).map_elements(choose, return_dtype=pl.Float64)
