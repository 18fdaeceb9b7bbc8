"""What is held against the truth: intervals that should cover it, and tests that should reject only what is planted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from calibration.worlds import Corpus, Design, World
from queries import Analysis, load

LEVEL = 0.05
Row = Mapping[str, Any]
# What is true, of the world and the corpus; the row of the table says which neuron, where that was searched for.
Truth = Callable[[World, Corpus, Row], float]


@dataclass(frozen=True)
class Interval:
    """An interval of the one row per run whose columns equal `row`; `columns` are the estimate and its ends.

    `truth(world, corpus, row)` is what was planted; without it the truth is the mean over all draws of the column
    `signal`, which is what other corpora of the same size give on average. `designs` limits it to some. `first` orders
    the rows where a report picks one of several, such as the neuron with the smallest p: the first of each run counts.
    """

    name: str
    row: Row
    truth: Truth | None = None
    columns: tuple[str, str, str] = ("estimate", "low", "high")
    signal: str = "estimate"
    designs: tuple[str, ...] = ()
    first: tuple[pl.Expr, ...] = ()

    def is_for(self, design: Design) -> bool:
        """Whether it is looked at in this design."""
        return not self.designs or design.name in self.designs

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Its row of every run."""
        found = table.filter(*(pl.col(name) == value for name, value in self.row.items()))
        return found.sort("run", *self.first).unique("run", keep="first") if self.first else found

    def outcome(self, row: Row, world: World, corpus: Corpus) -> dict[str, float]:
        """What is kept of one draw."""
        estimate, low, high = (_number(row[name]) for name in self.columns)
        nan = float("nan")
        truth = nan if self.truth is None else self.truth(world, corpus, row)
        return {"estimate": estimate, "low": low, "high": high, "truth": truth, "signal": _number(row[self.signal])}


@dataclass(frozen=True)
class Rejection:
    """A test: `column` is a p-value, or, with `claim`, the verdict that must not be given under the null.

    `designs` limits it to some.
    """

    name: str
    row: Row
    column: str = "p"
    claim: str = ""
    designs: tuple[str, ...] = ()

    def is_for(self, design: Design) -> bool:
        """Whether it is looked at in this design."""
        return design.is_tested and (not self.designs or design.name in self.designs)

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Its row of every run."""
        return table.filter(*(pl.col(name) == value for name, value in self.row.items()))

    def outcome(self, row: Row, world: World, corpus: Corpus) -> dict[str, float]:
        """What is kept of one draw: 1 for a rejection, 0 for none, NaN for no answer."""
        value = row[self.column]
        if self.claim:
            return {"rejects": float(value == self.claim) if value is not None else float("nan")}
        p = _number(value)
        return {"rejects": float("nan") if np.isnan(p) else float(p <= LEVEL + 1e-9)}


def _number(value: float | bool | str | None) -> float:
    """A cell as a number; text is compared before it comes here, so only `plateau` counts as 1."""
    if isinstance(value, str):
        return float(value == "plateau")
    return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Study:
    """One analysis on a family of lakes: the targets, and how many draws it makes inside where that is lowered."""

    slug: str
    intervals: tuple[Interval, ...] = ()
    tests: tuple[Rejection, ...] = ()
    effort: Any = None

    @property
    def targets(self) -> "tuple[Interval | Rejection, ...]":
        """Intervals, then tests."""
        return (*self.intervals, *self.tests)

    def is_for(self, design: Design) -> bool:
        """Whether any target is looked at in the design."""
        return any(target.is_for(design) for target in self.targets)

    @property
    def analysis(self) -> Analysis:
        """The analysis, with the draws that are used here."""
        return load(self.slug) if self.effort is None else load(self.slug).with_effort(self.effort)

    def outcomes(self, table: pl.DataFrame, runs: list[str], worlds: list[World], design: Design) -> pl.DataFrame:
        """One row per run, in their order, and target of `design`; `run` is its place in `runs`."""
        rows = []
        for target in self.targets:
            if not target.is_for(design):
                continue
            found = {row["run"]: row for row in target.rows(table).iter_rows(named=True)}
            for place, (run, world) in enumerate(zip(runs, worlds, strict=True)):
                rows.append({"run": place, "target": target.name, **target.outcome(found[run], world, design.corpus)})
        return pl.DataFrame(rows, schema=OUTCOME)


OUTCOME = {
    "run": pl.Int64, "target": pl.String, "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "truth": pl.Float64, "signal": pl.Float64, "rejects": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Lakes that several analyses are run on: their designs, what the tables hold, and the analyses.

    `upstream` are analyses that others use and that are made with fewer draws. `words` say what is planted,
    `n_check` how many simulations the small version makes.
    """

    name: str
    designs: tuple[Design, ...]
    studies: tuple[Study, ...]
    parts: tuple[str, ...] = ()
    upstream: tuple[Study, ...] = ()
    words: str = ""
    n_check: int = 20
