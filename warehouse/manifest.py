"""The manifest: everything that is needed to trust a run, or to do it again. One JSON file per run, one per pass."""

import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import disk_errors, sync_folder
from warehouse.schema import tables_of

FORMAT = 1
NAME = "manifest.json"
RUN_PATTERN = re.compile(r"r-[0-9a-z][0-9a-z._-]*")
_REQUIRED = ("format", "run", "origin", "created_at", "config", "model", "tables")
_REQUIRED_OF_PASS = ("format", "run", "pass", "created_at", "identity", "tables")
_TEXTS = ("run", "origin", "created_at", "pass")
_OBJECTS = ("config", "model", "identity", "tables")
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
    return _checked(path, _REQUIRED, ("runs", "tokens", "neuron_tokens", "vocabulary"), _RESTORE)


def read_pass_manifest(path: Path, run: str, of_pass: str) -> dict[str, Any]:
    """The manifest of an optional pass of a run, checked in the same way, and that it is that pass of that run."""
    restore = f"restore it from a copy, or remove the pass with `rt rm {run} --pass {of_pass}` and make it again"
    tables = tuple(table.name for table in tables_of(of_pass))
    manifest = _checked(path, _REQUIRED_OF_PASS, tables, restore)
    if (manifest["run"], manifest["pass"]) != (run, of_pass):
        raise LakeError(f"{path.parent} holds the pass {manifest['pass']} of {manifest['run']}", hint=restore)
    return manifest


def _checked(path: Path, required: Sequence[str], tables: Sequence[str], restore: str) -> dict[str, Any]:
    """The manifest at `path`, with the fields `required` and the `tables`. Raises `LakeError`."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LakeError(f"no manifest at {path}", hint=restore) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LakeError(f"cannot read the manifest {path}: {reason}", hint=restore) from None
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(form, int) or form < 1:
        raise LakeError(f"{path} is not a manifest of rt: its format is {form!r}", hint=f"expected 1 to {FORMAT}")
    if form > FORMAT:
        raise LakeError(
            f"{path} was written by a newer rt: its format is {form}, this one reads up to {FORMAT}",
            hint="upgrade rt to read this lake",
        )
    missing = [name for name in required if name not in manifest]
    if missing:
        raise LakeError(f"the manifest {path} lacks {', '.join(missing)}", hint=restore)
    if fault := _fault(manifest, required, tables):
        raise LakeError(f"the manifest {path} is damaged: {fault}", hint=restore)
    return dict(manifest)


def _fault(manifest: dict[str, Any], required: Sequence[str], tables: Sequence[str]) -> str:
    """What in a manifest is not of the form that every reader of it counts on; empty if all is."""
    for name in required:
        if name in _TEXTS and not isinstance(manifest[name], str):
            return f"`{name}` is no text"
    for name in required:
        if name in _OBJECTS and not isinstance(manifest[name], dict):
            return f"`{name}` is no object"
    if missing := [name for name in tables if name not in manifest["tables"]]:
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


@cache
def rt_version() -> str:
    """Version of this project as it is installed."""
    return metadata.version("rt-neurons")


@cache
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
