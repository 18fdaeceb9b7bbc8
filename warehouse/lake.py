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
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sha256, sync_folder
from warehouse.manifest import NAME, RUN_PATTERN, read_manifest

_REMOVED = "removed-"


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
        """Raise `LakeError` if a file is missing, of another size, or not in the manifest: cheap, on every use.

        A file too many would be read with the others, and count rows twice.
        """
        for _, record in self.files():
            path = self.folder / record["file"]
            size = path.stat().st_size if path.is_file() else None
            if size != record["bytes"]:
                what = "is missing" if size is None else f"has {size:,} of {record['bytes']:,} bytes"
                raise LakeError(
                    f"{path} {what}", hint=f"run `rt check {self.name}`; restore the file or remove the run"
                )
        for path in self._extra():
            raise LakeError(f"{path} is not in the run's manifest", hint="move it out of the lake")

    def _extra(self) -> list[Path]:
        """Parquet files that a query would read, but the manifest does not name."""
        named = {self.folder / record["file"] for _, record in self.files()}
        return sorted(set(self.folder.glob("*/*.parquet")) - named)

    def faults(self) -> list[str]:
        """Everything wrong with the run's files, a line each; empty if they are as the manifest says."""
        found = []
        for _, record in self.files():
            path = self.folder / record["file"]
            if not path.is_file():
                found.append(f"{record['file']}: missing")
            elif path.stat().st_size < record["bytes"]:
                found.append(f"{record['file']}: truncated: {path.stat().st_size:,} of {record['bytes']:,} bytes")
            elif sha256(path) != record["sha256"]:
                found.append(f"{record['file']}: altered: its SHA-256 is not the manifest's")
            elif (rows := _rows(path)) != record["rows"]:
                found.append(f"{record['file']}: {rows} rows where the manifest says {record['rows']}")
        return [*found, *(f"{path.relative_to(self.folder).as_posix()}: not in the manifest" for path in self._extra())]


def _rows(path: Path) -> int | str:
    import pyarrow as pa  # here: to list the runs of a lake must not wait for it
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        return f"unreadable ({error})"


@dataclass(frozen=True)
class Lake:
    """A lake: its absolute folder, its published runs, oldest first, and why others cannot be read, by their name."""

    root: Path
    runs: tuple[RunFolder, ...]
    unreadable: dict[str, LakeError]


def runs_folder(lake: Path, run: str) -> Path:
    """Where a run is when it is published."""
    return lake.resolve() / "runs" / f"run={run}"


def staging_folder(lake: Path, run: str) -> Path:
    """Where a run is while it is made."""
    return lake.resolve() / "staging" / run


def open_lake(lake: Path) -> Lake:
    """The lake at a folder. Raises `LakeError` where there is none.

    A run whose manifest cannot be read is set apart, with the reason: it says nothing about the other runs.
    """
    if lake.exists() and not lake.is_dir():
        raise LakeError(f"{lake} is a file, not a lake", hint="give a folder with --lake")
    if not (lake / "runs").is_dir() and not (lake / "staging").is_dir():
        raise LakeError(f"no lake at {lake}", hint="run `rt extract` first, or give its folder with --lake")
    runs, unreadable = [], {}
    for folder in sorted((lake.resolve() / "runs").glob("run=*")):
        name = folder.name.removeprefix("run=")
        try:
            manifest = read_manifest(folder / NAME)
            if not RUN_PATTERN.fullmatch(name) or manifest["run"] != name:
                raise LakeError(f"{folder} holds the run {manifest['run']!r}", hint="a run's folder must keep its name")
        except LakeError as error:
            unreadable[name] = error
        else:
            runs.append(RunFolder(name, folder, manifest))
    runs.sort(key=lambda run: (run.manifest["created_at"], run.name))
    return Lake(lake.resolve(), tuple(runs), unreadable)


def find_run(lake: Path, run: str) -> RunFolder:
    """One run by its name, or by the beginning of it.

    Raises `LakeError` where there is none or more than one, and the reason where it cannot be read.
    """
    opened = open_lake(lake)
    runs = {each.name: each for each in opened.runs}
    names = sorted([*runs, *opened.unreadable])
    found = [run] if run in names else [name for name in names if run and name.startswith(run)]
    if len(found) != 1:
        what = "more than one run begins with" if found else "no run"
        raise LakeError(f"{what} {run} in {lake}", hint=f"there are: {', '.join(found or names) or 'none'}")
    if found[0] in opened.unreadable:
        raise opened.unreadable[found[0]]
    return runs[found[0]]


def removable(lake: Path, run: str) -> str:
    """`run`, if it is the whole name of a run, readable or not, finished or not. Raises `LakeError` if it is not."""
    opened = open_lake(lake)
    names = sorted({*(each.name for each in opened.runs), *opened.unreadable, *unfinished(lake)})
    if run not in names:
        like = [name for name in names if run and name.startswith(run)]
        what = f"{run} is only the beginning of a run's id" if like else f"no run {run} in {lake}"
        there = f"there are: {', '.join(names) or 'none'}"
        raise LakeError(what, hint=f"what is removed is named in full: {', '.join(like)}" if like else there)
    return run


def unfinished(lake: Path) -> list[str]:
    """Runs that were begun and not published, and runs whose removal was cut off."""
    staged = [path.name for path in (lake / "staging").glob("*") if path.is_dir()]
    names = {name.removeprefix(_REMOVED) for name in staged if name.startswith(("r-", _REMOVED))}
    return sorted(name for name in names if not os.path.lexists(runs_folder(lake, name)))


@contextmanager
def locked(lake: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run in the making; a process that dies lets go of it. Raises `LakeError` if it is held.

    The holder deletes the file before it lets go. Who opened it earlier then holds the lock of a file that has no name
    any more, which keeps nobody out: so a lock counts only if the file still has its name, else it is taken anew.
    """
    path = lake.resolve() / "staging" / f"{run}.lock"
    while True:
        with disk_errors(lake):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LakeError(
                    f"another process is writing the run {run}", hint="wait until it ends, or stop it first"
                ) from None
            if not _is_named(file.fileno(), path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_named(handle: int, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


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
        hidden = staging_folder(lake, f"{_REMOVED}{run}")
        target = runs_folder(lake, run)
        with disk_errors(target):
            _delete(hidden)
            if os.path.lexists(target):
                target.rename(hidden)
                _delete(hidden)


def _delete(path: Path) -> None:
    """Delete a folder with all in it, or a file or link that lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
