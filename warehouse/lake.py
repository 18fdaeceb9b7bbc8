"""The folder of a lake: its runs, what is being written, and what is wrong with its files.

```
LAKE/runs/run=r-0123456789/manifest.json
LAKE/runs/run=r-0123456789/TABLE/part-00000.parquet
LAKE/staging/r-0123456789/                            a run in the making: no reader looks here
LAKE/warehouse.duckdb                                 views only; made from the above, safe to delete
```
A run appears by one rename of its folder from `staging` to `runs`, and disappears by one rename back.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import LakeError
from warehouse.manifest import NAME, RUN_PATTERN, read_manifest
from warehouse.shards import disk_errors, sha256, sync_folder


@dataclass(frozen=True)
class RunFolder:
    """One published run: its name, folder and manifest."""

    name: str
    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(table, record) for every file in the manifest."""
        for table, content in self.manifest["tables"].items():
            for record in content["files"]:
                yield table, record

    def check_sizes(self) -> None:
        """Raise `LakeError` if a file is missing or has another size than the manifest says: cheap, on every use."""
        for _, record in self.files():
            path = self.folder / record["file"]
            size = path.stat().st_size if path.is_file() else None
            if size != record["bytes"]:
                what = "is missing" if size is None else f"has {size:,} of {record['bytes']:,} bytes"
                raise LakeError(
                    f"{path} {what}", hint=f"run `rt check {self.name}`; restore the file or remove the run"
                )

    def faults(self) -> list[str]:
        """Everything wrong with the run's files, a line each; empty if they are as the manifest says."""
        found = []
        expected = set()
        for _, record in self.files():
            path = self.folder / record["file"]
            expected.add(path)
            if not path.is_file():
                found.append(f"{record['file']}: missing")
            elif path.stat().st_size < record["bytes"]:
                found.append(f"{record['file']}: truncated: {path.stat().st_size:,} of {record['bytes']:,} bytes")
            elif sha256(path) != record["sha256"]:
                found.append(f"{record['file']}: altered: its SHA-256 is not the manifest's")
            elif (rows := _rows(path)) != record["rows"]:
                found.append(f"{record['file']}: {rows} rows where the manifest says {record['rows']}")
        extra = set(self.folder.glob("*/*.parquet")) - expected
        found += [f"{path.relative_to(self.folder).as_posix()}: not in the manifest" for path in sorted(extra)]
        return found


def _rows(path: Path) -> int | str:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        return f"unreadable ({error})"


@dataclass(frozen=True)
class Lake:
    """A lake: its absolute folder and its published runs, oldest first."""

    root: Path
    runs: tuple[RunFolder, ...]


def runs_folder(lake: Path, run: str) -> Path:
    """Where a run is when it is published."""
    return lake.resolve() / "runs" / f"run={run}"


def staging_folder(lake: Path, run: str) -> Path:
    """Where a run is while it is made."""
    return lake.resolve() / "staging" / run


def open_lake(lake: Path) -> Lake:
    """The lake at a folder. Raises `LakeError` where there is none, or a manifest cannot be read."""
    if lake.exists() and not lake.is_dir():
        raise LakeError(f"{lake} is a file, not a lake", hint="give a folder with --lake")
    if not (lake / "runs").is_dir() and not (lake / "staging").is_dir():
        raise LakeError(f"no lake at {lake}", hint="run `rt extract` first, or give its folder with --lake")
    folders = sorted((lake.resolve() / "runs").glob("run=*"))
    runs = []
    for folder in folders:
        name = folder.name.removeprefix("run=")
        manifest = read_manifest(folder / NAME)
        if not RUN_PATTERN.fullmatch(name) or manifest["run"] != name:
            raise LakeError(f"{folder} holds the run {manifest['run']!r}", hint="a run's folder must keep its name")
        runs.append(RunFolder(name, folder, manifest))
    return Lake(lake.resolve(), tuple(sorted(runs, key=lambda run: (run.manifest["created_at"], run.name))))


def find_run(lake: Path, run: str) -> RunFolder:
    """One run by its name, or by the beginning of it. Raises `LakeError` where there is none or more than one."""
    runs = open_lake(lake).runs
    found = [each for each in runs if each.name == run] or [each for each in runs if each.name.startswith(run)]
    if len(found) != 1:
        names = ", ".join(each.name for each in (found or runs))
        what = "more than one run begins with" if found else "no run"
        raise LakeError(f"{what} {run} in {lake}", hint=f"there are: {names or 'none'}")
    return found[0]


def unfinished(lake: Path) -> list[str]:
    """Runs that were begun and not published."""
    staged = (path.name for path in (lake / "staging").glob("r-*") if path.is_dir())
    return sorted(name for name in staged if not runs_folder(lake, name).exists())


@contextmanager
def locked(lake: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run in the making; a process that dies lets go of it. Raises `LakeError` if it is held."""
    folder = lake.resolve() / "staging"
    with disk_errors(lake):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f"{run}.lock").open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(
                f"another process is writing the run {run}", hint="wait until it ends, or stop it first"
            ) from None
        yield


def publish(staged: Path, lake: Path, run: str) -> Path:
    """Make a staged run visible: one rename of its folder."""
    target = runs_folder(lake, run)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        sync_folder(target.parent)
    return target


def remove_run(lake: Path, run: str) -> None:
    """Take a run out of the lake: hidden by one rename, then deleted. What was staged of it goes too."""
    with locked(lake, run):
        shutil.rmtree(staging_folder(lake, run), ignore_errors=True)
        hidden = staging_folder(lake, f"removed-{run}")
        shutil.rmtree(hidden, ignore_errors=True)
        target = runs_folder(lake, run)
        if target.exists():
            with disk_errors(target):
                target.rename(hidden)
            shutil.rmtree(hidden)
