"""What the small version would see: the true coverage or size at which it fails four times in five."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

from calibration.caveats import limits
from calibration.families import FAMILIES, slugs
from calibration.rates import CHECK_LEVEL
from calibration.targets import Rejection

POWER = 0.8
NONE = "none"


def seen_below(n: int, least: float) -> float | None:
    """The true rate below which `n` independent trials fail with `POWER`; None where even 0 hits would not.

    >>> round(seen_below(20, 0.9), 2)
    0.57
    """
    hits = np.arange(n)
    failing = hits[special.betaincinv(hits + 1, n - hits, 0.5 * (1 + CHECK_LEVEL)) < least]  # Clopper and Pearson
    return float(1 - special.betaincinv(n - failing[-1], failing[-1] + 1, POWER)) if len(failing) else None


def seen_above(n: int, most: float) -> float | None:
    """The true rate above which `n` independent trials fail with `POWER`; None where even `n` hits would not.

    >>> seen_above(20, 0.98) is None
    True
    """
    hits = np.arange(1, n + 1)
    failing = hits[special.betaincinv(hits, n - hits + 1, 0.5 * (1 - CHECK_LEVEL)) > most]
    return float(special.betaincinv(failing[0], n - failing[0] + 1, POWER)) if len(failing) else None


class _Row(NamedTuple):
    """A target in a design of the small version: its kind, its limits, and of which lakes it is."""

    kind: str
    allowed: tuple[float, float]
    lakes: str
    n: int


def _rows(slug: str) -> Iterator[_Row]:
    """All rows of an analysis in the small version."""
    for family in FAMILIES:
        for study in (each for each in family.studies if each.slug == slug):
            for design in (each for each in family.designs if not each.is_planted):
                for target in (each for each in study.targets if each.is_for(design)):
                    kind = "coverage" if not isinstance(target, Rejection) else "size" if design.is_null else "power"
                    if kind != "power":
                        allowed, _ = limits(slug, design.name, target.name, kind)
                        yield _Row(kind, allowed, f"{family.name}, {design.name}", family.n_check)


def strength() -> str:
    """A Markdown table: of each analysis, what one row and what the pool of rows with the same limits would show."""
    lines = [
        "| analysis | lakes of a design | coverage seen below, one interval | all together | coverage seen above, all "
        "together | size seen above, one test | all together |",
        "|---|---|---|---|---|---|---|",
    ]
    for slug in slugs():
        rows = list(_rows(slug))
        lakes = " or ".join(str(n) for n in sorted({row.n for row in rows}))
        cells = [*_cells([row for row in rows if row.kind == "coverage"], 0), *_cells(_of_tests(rows), 1)]
        cells.insert(2, _pooled(_largest([row for row in rows if row.kind == "coverage"]), 1))
        lines.append(f"| {slug} | {lakes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_tests(rows: Iterable[_Row]) -> list[_Row]:
    return [row for row in rows if row.kind == "size"]


def _cells(rows: list[_Row], side: int) -> list[str]:
    """What one row shows, and what the largest pool does; `side` 0: below what is allowed, 1: above."""
    if not rows:
        return ["", ""]
    group = _largest(rows)
    see = (seen_below, seen_above)[side]
    return [_number(see(max(row.n for row in group), group[0].allowed[side])), _pooled(group, side)]


def _largest(rows: list[_Row]) -> list[_Row]:
    """The largest pool: the rows with the most common limits."""
    pools = [[row for row in rows if row.allowed == allowed] for allowed in dict.fromkeys(row.allowed for row in rows)]
    return max(pools, key=len, default=[])


def _pooled(group: list[_Row], side: int) -> str:
    """What a pool shows: if the rows of a lake say all the same, to if each says its own."""
    if not group:
        return ""
    see, limit = (seen_below, seen_above)[side], group[0].allowed[side]
    least = sum({row.lakes: row.n for row in group}.values())
    ends = [_number(see(n, limit)) for n in (least, sum(row.n for row in group))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _number(rate: float | None) -> str:
    return NONE if rate is None else f"{rate:.2f}" if rate < 0.975 else f"{rate:.3f}"
