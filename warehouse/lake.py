"""The folder of a lake: its runs, what is being written, and what is wrong with its files.

```
LAKE/runs/run=r-0123456789/manifest.json
LAKE/runs/run=r-0123456789/TABLE/part-00000.parquet
LAKE/runs/run=r-0123456789/PASS/manifest.json         an optional pass that was added to the run, and its tables
LAKE/runs/run=r-0123456789/PASS/TABLE/part-00000.parquet
LAKE/staging/r-0123456789/                            a run in the making: no reader looks here
LAKE/staging/r-0123456789+PASS/                       a pass in the making
LAKE/warehouse.duckdb                                 views only; made from the above, safe to delete
```
A run, or a pass, appears by one rename of its folder from `staging` to `runs`, and disappears by one rename back.
What is made is called by the run's name, or by `RUN+PASS`.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sync_folder
from warehouse.run_folder import RunFolder
from warehouse.schema import PASSES

_REMOVED = "removed-"


@dataclass(frozen=True)
class Lake:
    """A lake: its absolute folder, its published runs, oldest first, and why others cannot be read, by their name."""

    root: Path
    runs: tuple[RunFolder, ...]
    unreadable: dict[str, LakeError]


def with_pass(run: str, of_pass: str = "") -> str:
    """The name of a run, or that of one of its passes, in the making."""
    return f"{run}+{of_pass}" if of_pass else run


def removal(name: str) -> str:
    """The command that removes a run or, of a name like `RUN+PASS`, one of its passes."""
    run, _, of_pass = name.partition("+")
    return f"rt rm {run} --pass {of_pass}" if of_pass else f"rt rm {run}"


def runs_folder(lake: Path, name: str) -> Path:
    """Where a run or a pass is when it is published."""
    run, _, of_pass = name.partition("+")
    return lake.resolve() / "runs" / f"run={run}" / of_pass


def staging_folder(lake: Path, name: str) -> Path:
    """Where a run or a pass is while it is made."""
    return lake.resolve() / "staging" / name


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
        try:
            runs.append(RunFolder.read(folder))
        except LakeError as error:
            unreadable[folder.name.removeprefix("run=")] = error
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


def removable(lake: Path, run: str, of_pass: str = "") -> str:
    """What `remove_run` may be given: `run` or, if one is asked for, its pass; readable or not, finished or not.

    Raises `LakeError` if `run` is not the whole name of a run, or has nothing of that pass.
    """
    opened = open_lake(lake)
    begun = unfinished(lake)
    names = sorted({*(each.name for each in opened.runs), *opened.unreadable, *(n.partition("+")[0] for n in begun)})
    if run not in names:
        like = [name for name in names if run and name.startswith(run)]
        what = f"{run} is only the beginning of a run's id" if like else f"no run {run} in {lake}"
        there = f"there are: {', '.join(names) or 'none'}"
        raise LakeError(what, hint=f"what is removed is named in full: {', '.join(like)}" if like else there)
    has = [each for each in PASSES if os.path.lexists(runs_folder(lake, run) / each) or with_pass(run, each) in begun]
    if of_pass and of_pass not in has:
        raise LakeError(f"{run} has no pass {of_pass}", hint=f"it has: {', '.join(has) or 'none'}")
    return with_pass(run, of_pass)


def unfinished(lake: Path) -> list[str]:
    """Runs and passes (`RUN+PASS`) that were begun and not published, or whose removal was cut off."""
    staged = [path.name for path in (lake / "staging").glob("*") if path.is_dir()]
    names = {name.removeprefix(_REMOVED) for name in staged if name.startswith(("r-", _REMOVED))}
    return sorted(name for name in names if not os.path.lexists(runs_folder(lake, name)))


@contextmanager
def locked(lake: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run that is made, added to or removed; a process that dies lets go of it.

    Raises `LakeError` if it is held.

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


def publish(staged: Path, lake: Path, name: str) -> Path:
    """Make a staged run or pass visible: one rename of its folder."""
    target = runs_folder(lake, name)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        sync_folder(target.parent)
    return target


def remove_run(lake: Path, name: str) -> None:
    """Take a run, or one of its passes, out of the lake: hidden by one rename, then deleted.

    What was staged of it goes too; of a run, also what was staged of its passes. `name` as `removable` gives it.
    """
    run, _, of_pass = name.partition("+")
    with locked(lake, run):
        parts = [name] if of_pass else [run, *(with_pass(run, each) for each in PASSES)]
        for each in parts:
            shutil.rmtree(staging_folder(lake, each), ignore_errors=True)
        hidden = [staging_folder(lake, f"{_REMOVED}{each}") for each in parts]
        target = runs_folder(lake, name)
        with disk_errors(target):
            for folder in hidden:
                _delete(folder)
            if os.path.lexists(target):
                target.rename(hidden[0])
                _delete(hidden[0])


def _delete(path: Path) -> None:
    """Delete a folder with all in it, or a file or link that lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
