"""Taking turns, and what a measurement of it says: a busy machine slows all that take turns, and ratios stay."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Turn:
    """One call: seconds on the clock, and of processor time over all threads of this process."""

    wall: float
    processor: float


def timed(work: Callable[[], object]) -> Turn:
    """One call of `work`."""
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return Turn(time.perf_counter() - wall, time.process_time() - processor)


def in_turns(
    ways: Mapping[str, Callable[[], object]], repeats: int, between: Callable[[], object] | None = None
) -> dict[str, list[Turn]]:
    """Every way once, then all again, `repeats` times; `between` runs before each call and is not timed."""
    turns: dict[str, list[Turn]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            if between is not None:
                between()
            turns[name].append(timed(work))
    return turns


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most.

    >>> spread([3.0, 1.0, 2.0])
    (2.0, 1.0, 3.0)
    """
    return statistics.median(values), min(values), max(values)


def ratio(turns: list[Turn], base: list[Turn]) -> float:
    """Median over the turns of the processor time, relative to `base` of the same turn."""
    pairs = zip(turns, base, strict=True)
    return statistics.median(one.processor / max(other.processor, 1e-9) for one, other in pairs)


@dataclass(frozen=True)
class Child:
    """What a process of its own took: seconds, processor seconds, and bytes of memory at most."""

    wall: float
    processor: float
    peak: int


# Runs in a small process of its own: the most memory of a child counts what its parent had when it was forked.
_WATCH = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - begun
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
sys.exit(process.returncode != 0)
"""


def child(arguments: Sequence[str]) -> Child:
    """Run a command to its end, its output thrown away. Raises `CalledProcessError` if it fails."""
    found = subprocess.run([sys.executable, "-c", _WATCH, *arguments], stdout=subprocess.PIPE, check=True)
    wall, processor, peak = json.loads(found.stdout)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Child(wall, processor, peak * unit)


# An analysis of a lake, with DuckDB held to a limit.
_ASK = """
import sys
from pathlib import Path
import queries
from warehouse.connection import connect
con = connect(Path(sys.argv[1]))
con.execute(f"set memory_limit = '{sys.argv[2]}'")
queries.run(con, queries.load(sys.argv[3]))
"""


def asked(slug: str, lake: Path, limit: str) -> Child:
    """What the analysis `slug` of `lake` takes in a process of its own, with DuckDB's `memory_limit` at `limit`."""
    return child([sys.executable, "-c", _ASK, str(lake), limit, slug])
