"""The manifest: everything that is needed to trust a run, or to do it again. One JSON file per run."""

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sync_folder

FORMAT = 1
NAME = "manifest.json"
RUN_PATTERN = re.compile(r"r-[0-9a-z][0-9a-z._-]*")
_REQUIRED = ("format", "run", "origin", "created_at", "config", "model", "tables")
_RESTORE = "restore it from a copy, or remove the run with `rt rm` and make it again"


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.partial")
    with disk_errors(path):
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.parent)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run, checked: readable, complete, and of a format that this version knows."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LakeError(f"no manifest at {path}", hint=_RESTORE) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LakeError(f"cannot read the manifest {path}: {reason}", hint=_RESTORE) from None
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(form, int) or form < 1:
        raise LakeError(f"{path} is not a manifest of rt: its format is {form!r}", hint=f"expected 1 to {FORMAT}")
    if form > FORMAT:
        raise LakeError(
            f"{path} was written by a newer rt: its format is {form}, this one reads up to {FORMAT}",
            hint="upgrade rt to read this lake",
        )
    missing = [name for name in _REQUIRED if name not in manifest]
    if missing:
        raise LakeError(f"the manifest {path} lacks {', '.join(missing)}", hint=_RESTORE)
    if fault := _fault(manifest):
        raise LakeError(f"the manifest {path} is damaged: {fault}", hint=_RESTORE)
    return dict(manifest)


def _fault(manifest: dict[str, Any]) -> str:
    """What in a manifest is not of the form that every reader of it counts on; empty if all is."""
    for name in ("run", "origin", "created_at"):
        if not isinstance(manifest[name], str):
            return f"`{name}` is no text"
    for name in ("config", "model", "tables"):
        if not isinstance(manifest[name], dict):
            return f"`{name}` is no object"
    if missing := [
        name for name in ("runs", "tokens", "neuron_tokens", "vocabulary") if name not in manifest["tables"]
    ]:
        return f"`tables` lacks {', '.join(missing)}"
    for name, table in manifest["tables"].items():
        try:
            whole = isinstance(table["rows"], int) and all(isinstance(column, str) for column in table["columns"])
            for record in table["files"]:
                types = {"file": str, "rows": int, "bytes": int, "sha256": str}
                whole = whole and all(isinstance(record[key], kind) for key, kind in types.items())
        except (KeyError, TypeError):
            whole = False
        if not whole:
            return f"`tables.{name}` does not list its columns, rows and files"
    return ""


def rt_version() -> str:
    """Version of this project as it is installed."""
    return metadata.version("rt-neurons")


def _installed(name: str) -> str:
    """Version of a package, empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Versions of Python, of the platform and of every installed package that can change a number."""
    names = ("rt-neurons", "duckdb", "polars", "pyarrow", "numpy", "scipy", "torch", "transformers", "tokenizers")
    found = {name: version for name in names if (version := _installed(name))}
    return {"python": sys.version.split()[0], "platform": platform.platform(), **found}
