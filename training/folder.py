"""The folder that a training writes: it is there whole, with `testbed.json`, or not at all."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sync_folder
from warehouse.manifest import rt_version, versions, write_json

NAME = "testbed.json"


def check_target(folder: Path) -> None:
    """Raise `LakeError` if `folder` holds something that no earlier training wrote, which is not for us to replace."""
    if not folder.exists() or (folder.is_dir() and (not any(folder.iterdir()) or is_ours(folder))):
        return
    what = "is not a folder" if not folder.is_dir() else "holds files that `rt train-testbed` did not write"
    raise LakeError(f"{folder} {what}", hint="give a new folder, or an empty one")


def is_ours(folder: Path) -> bool:
    """Whether a training was written here."""
    try:
        found = json.loads((folder / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "kind" in found and "rt_version" in found


def write_whole(folder: Path, record: Mapping[str, Any], fill: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Let `fill` write beside `folder`, add `testbed.json`, and rename; what an earlier training left there goes.

    `record` and what `fill` returns are the content of `testbed.json`, which comes back. Raises `LakeError` where
    `check_target` does or the disk refuses; the folder is then as it was.
    """
    folder = folder.expanduser().absolute()
    check_target(folder)
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            new = Path(name, "new")
            new.mkdir()
            begun = time.monotonic()
            found = dict(fill(new))
            seconds = round(time.monotonic() - begun, 1)
            facts = {**record, "rt_version": rt_version(), "versions": versions(), "seconds": seconds, **found}
            write_json(new / NAME, facts)
            check_target(folder)
            if folder.exists():
                folder.rename(Path(name, "old"))
            new.rename(folder)
            sync_folder(folder.parent)
    return facts
