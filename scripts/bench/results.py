"""What was measured, kept as JSON part by part, so that each can be measured again on its own."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from warehouse.manifest import write_json

NAME = "benchmarks.json"
PACKAGES = (
    "torch", "transformers", "duckdb", "polars", "pyarrow", "numpy", "scipy",
    "transformer-lens", "nnsight", "sae-lens", "pandas", "arch",
)  # fmt: skip


@dataclass
class Table:
    """A table of a part: `rows` of texts and numbers under `columns`; `caption` says what it holds."""

    caption: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)


@dataclass
class Result:
    """What a part measured: tables, sentences about them, and the points of its figure (panel -> series -> points)."""

    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    points: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)


def machine() -> str:
    """The processor, its cores and memory, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {cores} cores, {memory:.0f} GB, {platform.system()}"


def load() -> float:
    """Processes that wanted a core in the last five minutes."""
    return os.getloadavg()[1]


def commit() -> str:
    """The commit that is checked out; empty outside a clone."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of the packages that take part, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read(folder: Path) -> dict[str, Any]:
    """Results by part; none where nothing was measured."""
    path = folder / NAME
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(folder: Path, part: str, result: Result, about: Mapping[str, Any]) -> None:
    """Put the result of a part beside those of the others."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "load": round(load(), 1),
        "commit": commit(),
        "versions": versions(),
    }
    write_json(folder / NAME, {**read(folder), part: {**about, **facts, **asdict(result)}})
