"""The small version for every submission: a few simulations of each design, and the published table.

With few simulations a rate says little: a row fails only if its exact 95 % interval excludes what is allowed. So all
intervals of an analysis, and all its tests, are also pooled (`pooled.py`): that sees what is a little wrong everywhere,
and intervals that are too wide, which no row of so few simulations can show. Draws depend on the seed alone, so the
outcome is the same each time.
"""

import tempfile
from pathlib import Path

import polars as pl

from calibration.families import FAMILIES
from calibration.page import page
from calibration.pooled import answers, pooled_faults
from calibration.rates import CHECK_LEVEL, SCHEMA, faults, missing_analyses, rates
from calibration.runs import missing, simulate_all
from queries import slugs as all_slugs

SMALL = max(family.n_check for family in FAMILIES)


def check(slugs: list[str], n_processes: int) -> list[str]:
    """What is outside its limits in a few simulations of each null and of each design that is for intervals."""
    with tempfile.TemporaryDirectory(prefix="calibration-check-") as name:
        folder = Path(name)
        simulate_all(missing(slugs, SMALL, folder, is_small=True), n_processes)
        return faults(rates(folder), CHECK_LEVEL) + pooled_faults(answers(folder), CHECK_LEVEL)


def published_faults(docs: Path) -> list[str]:
    """What is wrong with the published table: rates outside their limits, analyses without a row, a page of its own."""
    path = docs / "calibration.csv"
    if not path.exists():
        return [f"no {path}: run `make calibrate`"]
    table = pl.read_csv(path, schema=SCHEMA)
    found = faults(table)
    found += [f"{slug} has no row in {path}" for slug in missing_analyses(table, all_slugs())]
    if (docs / "calibration.md").read_text(encoding="utf-8") != page(table):
        found.append(f"{docs / 'calibration.md'} is not made from {path}: run `python -m calibration --no-simulations`")
    return found
