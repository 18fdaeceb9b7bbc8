"""docs/calibration.md from the table of rates: what was measured, how, and what is outside the limits."""

from collections.abc import Iterable
from dataclasses import fields

import polars as pl

from calibration.caveats import CAVEATS, COVERAGE, SIZE, Caveat
from calibration.families import FAMILIES
from calibration.rates import CHECK_LEVEL, ENOUGH
from calibration.runs import ENOUGH_POWER, SEED
from calibration.strength import POWER, strength
from calibration.targets import Study

_HEAD = """# Calibration

How often does a nominal 95 % interval cover the truth, and how often does a test at 5 % reject where nothing is?
Measured on lakes whose truth is known, which go the way of every lake: tables in Parquet, the checks of `rt import`,
the views, the SQL of the analysis, its estimate. Written by

```sh
make calibrate                                        # all analyses, 1,000 simulations of each design
.venv/bin/python -m calibration influence spectra     # some analyses only
.venv/bin/python -m calibration --processes 2         # a later call goes on where the last one stopped
```

Outcomes are kept in `.calibration/`, those that the table was made of in `.calibration/packed/ANALYSIS/`, which is part
of the repository: remove that folder when the analysis has changed.

Seed {seed}; simulations {simulations}; {dates}. The numbers are in [calibration.csv](calibration.csv). A simulation
without an answer (too few documents hold a class, say) is not counted. Ranges are exact binomial 95 % intervals of the
rate.

![Coverage, size and power of every interval and test](calibration.svg)

## Limits

Coverage must be {coverage}, size at most {size}. What is outside is in **bold**, and is either mended or has a caveat
below, in the analysis's page and in its section of the report.

`make calibrate-check` simulates {checked} lakes of each design but those that show power only, and fails if this table
is outside of the limits without a caveat, or if a simulated rate is: if the exact {level} % interval of a row excludes
its limits, or that of a pool, which is all intervals, or all tests, of an analysis that have the same limits, and each
of them over all designs. Rows of one lake are not independent: the variance between lakes says how many independent
trials a pool is worth (Korn and Graubard, 1998). What it sees with a probability of {power} %, where a pool is worth
from one trial a lake to one a row (measured on the table below: most of the latter; `none`: too few to see that):

{strength}

## The lakes

A document's tokens are alike (a factor of the document for all neurons, and one for each neuron), a hard token moves
all neurons, deltas and activations have heavy tails, activations go on from one position to the next, documents differ
in length. {shape}

{families}

The truth of an interval is `planted` where the simulation sets it; else (marked with a degree sign) it is the mean of
the estimates over all simulations of the design: what other corpora of the same size give on average, biases of the
estimator included. Tests of groups of neurons get other neurons in each lake; intervals get the same neurons.
"""


def page(table: pl.DataFrame) -> str:
    """The page as Markdown, from the table of `rates.rates`."""
    known = table.with_columns(made=pl.col("n") + pl.col("n_without"))
    power_only = [(family.name, each.name) for family in FAMILIES for each in family.designs if each.is_planted]
    is_power = pl.Series([key in power_only for key in table.select("family", "design").iter_rows()], dtype=pl.Boolean)
    made = [known.filter(rows)["made"] for rows in (~is_power, is_power)]
    days = sorted(set(table["date"]))
    corpus = FAMILIES[0].designs[0].corpus
    head = _HEAD.format(
        seed=SEED,
        simulations=f"{_range(made[0])} of each design, {_range(made[1])} of one that shows power only",
        dates=days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        coverage=f"{COVERAGE[0] * 100:.0f} to {COVERAGE[1] * 100:.0f} %",
        size=f"{SIZE[1] * 100:.0f} %",
        shape=f"Unless a design says otherwise there are {corpus.documents} documents of {corpus.positions} positions "
        f"on average, {corpus.rare_share * 100:.0f} % of them rare.",
        checked=_range(family.n_check for family in FAMILIES),
        level=f"{100 * CHECK_LEVEL:.0f}",
        power=f"{100 * POWER:.0f}",
        strength=strength(),
        families="\n".join(f"- **{family.name}**: {family.words}." for family in FAMILIES),
    )
    enough = pl.when(is_power).then(ENOUGH_POWER).otherwise(ENOUGH)
    if fewer := sorted(set(known.filter(pl.col("made") < enough)["analysis"])):
        head += (
            f"\nSome have fewer than {ENOUGH:,} simulations of a design so far, or than {ENOUGH_POWER} of one that "
            f"shows power only: {', '.join(fewer)}. Read the intervals of their rates; `make calibrate` goes on.\n"
        )
    studies = [(family.name, study) for family in FAMILIES for study in family.studies]
    parts = [head, *(part for name, study in studies if (part := _section(table, name, study)))]
    return "\n".join(parts).rstrip() + "\n"


def _range(values: Iterable[int]) -> str:
    """The smallest and the largest, in words."""
    known = sorted(set(values)) or [0]
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _section(table: pl.DataFrame, family: str, study: Study) -> str:
    """Tables of one analysis on one family of lakes; empty where nothing was simulated."""
    mine = table.filter(pl.col("analysis") == study.slug, pl.col("family") == family)
    if mine.is_empty():
        return ""
    lines = [f"\n## {study.slug}, {family}", ""]
    for title, kinds in (("interval", ["coverage"]), ("test", ["size", "power"])):
        lines += _grid(mine.filter(pl.col("kind").is_in(kinds)), title)
    if study.effort is not None:
        full = type(study.effort)()
        names = [each.name for each in fields(full) if getattr(study.effort, each.name) != getattr(full, each.name)]
        used = ", ".join(f"{name} {getattr(study.effort, name)} ({getattr(full, name)})" for name in names)
        lines += [f"Draws inside the analysis, where lowered (normally): {used}.", ""]
    lines += [
        f"- Caveat ({_about(caveat)}): {caveat.words} Allowed: {caveat.allowed[0]:.2f} to {caveat.allowed[1]:.2f}."
        for caveat in CAVEATS
        if any(
            caveat.is_for(study.slug, row["design"], row["target"], row["kind"]) for row in mine.iter_rows(named=True)
        )
    ]
    return "\n".join(lines).rstrip() + "\n"


def _about(caveat: Caveat) -> str:
    """What a caveat is about, in words."""
    where = f", {' and '.join(caveat.designs)}" if caveat.designs else ""
    return f"{caveat.kind} of {caveat.target or 'all'}{where}"


def _grid(rows: pl.DataFrame, title: str) -> list[str]:
    """Targets down, designs across; sizes and powers share a table, as a design is one or the other."""
    if rows.is_empty():
        return []
    designs = rows["design"].unique(maintain_order=True).to_list()
    word = {"coverage": "coverage", "size": "size", "power": "power"}
    heads = []
    for design in designs:
        of_design = rows.filter(pl.col("design") == design)
        heads.append(f"{word[of_design['kind'][0]]}: {design} (n = {max(of_design['n'].to_list()):,})")
    lines = [f"| {title} | {' | '.join(heads)} |", f"|---|{'---|' * len(designs)}"]
    for target in rows["target"].unique(maintain_order=True).to_list():
        cells = [_cell(rows.filter(pl.col("target") == target, pl.col("design") == design)) for design in designs]
        of_mean = rows.filter(pl.col("target") == target)["truth"][0] == "mean"
        lines.append(f"| {target.replace('|', chr(92) + '|')}{'°' if of_mean else ''} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(rows: pl.DataFrame) -> str:
    """A rate with its interval, bold where it is outside the limits that hold without a caveat."""
    if rows.is_empty():
        return ""
    row = rows.row(0, named=True)
    if not row["n"]:
        return "no answer"
    least, most = {"coverage": COVERAGE, "size": SIZE}.get(row["kind"], (0.0, 1.0))
    low, high = (row["rate"], row["rate"]) if row["n"] >= ENOUGH else (row["low"], row["high"])
    text = f"{row['rate']:.3f}"
    if high < least or low > most:
        text = f"**{text}**"
    return f"{text} ({row['low']:.3f} to {row['high']:.3f})"
