"""How often intervals cover and tests reject, with exact binomial intervals, held against the limits."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from calibration.caveats import limits
from calibration.families import FAMILIES
from calibration.store import outcomes
from calibration.targets import Family, Interval, Rejection, Study
from calibration.worlds import Design

# From so many simulations on, the rate itself must be within the limits; with fewer, they must be within its interval.
ENOUGH = 1000
CHECK_LEVEL = 0.95  # of the intervals that the small version holds against the limits
SCHEMA = {
    "analysis": pl.String, "family": pl.String, "design": pl.String, "effect": pl.Float64, "target": pl.String,
    "kind": pl.String, "truth": pl.String, "n": pl.Int64, "n_without": pl.Int64, "rate": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "date": pl.String,
}  # fmt: skip


def binomial_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a rate; all of [0, 1] without a trial.

    >>> low, high = binomial_interval(0, 20)
    >>> low, round(high, 3)
    (0.0, 0.168)
    """
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(hits, n).proportion_ci(confidence_level=level, method="exact")
    return float(found.low), float(found.high)


def rates(folder: Path) -> pl.DataFrame:
    """One row per analysis, design and target that has outcomes in `folder`, in the order of the families.

    `kind` is `coverage`, `size` or `power`; `truth` says whether it was `planted` or is the `mean` of the draws; `n`
    counts the simulations with an answer, `n_without` those without; `date` is the day of the last of them.
    """
    rows = [row for family in FAMILIES for study in family.studies for row in study_rates(family, study, folder)]
    return pl.DataFrame(rows, schema=SCHEMA)


def study_rates(family: Family, study: Study, folder: Path) -> list[dict[str, object]]:
    """The rows of one analysis."""
    named = {"analysis": study.slug, "family": family.name}
    return [
        {**named, "design": design.name, "effect": design.effect, "date": date, **_rate(found, target, design)}
        for design, target, found, date in targets(family, study, folder)
    ]


def targets(
    family: Family, study: Study, folder: Path
) -> Iterator[tuple[Design, Interval | Rejection, pl.DataFrame, str]]:
    """Each design and target of one analysis that has outcomes in `folder`, with these and their day."""
    for design in family.designs:
        if not study.is_for(design):
            continue
        found, date = outcomes(study.slug, family.name, design.name, folder)
        for target in study.targets:
            # an interval and a test may have the same name
            is_test = pl.col("rejects").is_not_null() == isinstance(target, Rejection)
            of_target = found.filter(pl.col("target") == target.name, is_test)
            if target.is_for(design) and of_target.height:
                yield design, target, of_target, date


def hits(found: pl.DataFrame, target: Interval | Rejection, design: Design) -> tuple[np.ndarray, str, str]:
    """1, 0 or NaN of each outcome, what kind of rate they make, and where the truth of an interval is from."""
    if isinstance(target, Rejection):
        return found["rejects"].to_numpy(), "size" if design.is_null else "power", ""
    return _covered(found), "coverage", "mean" if target.truth is None else "planted"


def _rate(found: pl.DataFrame, target: Interval | Rejection, design: Design) -> dict[str, object]:
    """Kind, count and rate of one target."""
    each, kind, truth = hits(found, target, design)
    answered = each[~np.isnan(each)]
    n = len(answered)
    low, high = binomial_interval(int(answered.sum()), n)
    rate = float(answered.mean()) if n else float("nan")
    return {
        "target": target.name, "kind": kind, "truth": truth, "n": n, "n_without": found.height - n,
        "rate": rate, "low": low, "high": high,
    }  # fmt: skip


def _covered(found: pl.DataFrame) -> np.ndarray:
    """1 where an interval covers the truth, 0 where not, NaN where there is none; planted, or the mean of the draws."""
    low, high, truth = (found[name].to_numpy() for name in ("low", "high", "truth"))
    signal = found["signal"].fill_null(float("nan")).to_numpy()
    # what is exactly at a bound, such as a share of 1, is covered by an interval that ends there
    slack = 1e-9
    if np.isnan(truth).all():
        truth = np.full(len(truth), np.nanmean(signal))
        if np.isin(signal, (0.0, 1.0)).all():
            # a share that never, or always, happened in n draws is known to 3 / n only
            slack = 3.0 / len(signal)
    else:
        slack *= np.abs(truth).max()
    covered = (low <= truth + slack) & (truth - slack <= high)
    return np.where(np.isnan(low) | np.isnan(truth), np.nan, covered)


def faults(table: pl.DataFrame, level: float = 0.95) -> list[str]:
    """What is outside its limits, a line each: the rate from `ENOUGH` simulations on, else its whole interval."""
    found = []
    for row in table.iter_rows(named=True):
        (least, most), words = limits(row["analysis"], row["design"], row["target"], row["kind"])
        low, high = binomial_interval(round(row["rate"] * row["n"]), row["n"], level) if row["n"] else (0.0, 1.0)
        if row["n"] >= ENOUGH:
            low = high = row["rate"]
        if high < least or low > most:
            caveat = f", with the caveat: {words}" if words else ""
            found.append(
                f"{row['analysis']}, {row['target']} ({row['design']}): {row['kind']} {row['rate']:.3f} of {row['n']}, "
                f"allowed {least:.2f} to {most:.2f}{caveat}"
            )
    return found


def missing_analyses(table: pl.DataFrame, slugs: Iterable[str]) -> list[str]:
    """Analyses of the listing that have no row."""
    return sorted(set(slugs) - set(table["analysis"].unique()))
