"""The folder of one published run: its files, those of its optional passes, and what is wrong with them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import sha256
from warehouse.manifest import NAME, RUN_PATTERN, read_manifest, read_pass_manifest
from warehouse.schema import PASSES


@dataclass(frozen=True)
class RunFolder:
    """One published run: its name, folder and manifest.

    `passes` are the manifests of the optional passes that were added to it, `unreadable` those that are there but whose
    manifest cannot be read: the run goes without them.
    """

    name: str
    folder: Path
    manifest: dict[str, Any] = field(repr=False)
    passes: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    unreadable: dict[str, LakeError] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: Path) -> "RunFolder":
        """The run in a folder and its passes. Raises `LakeError` if its manifest cannot be read."""
        name = folder.name.removeprefix("run=")
        manifest = read_manifest(folder / NAME)
        if not RUN_PATTERN.fullmatch(name) or manifest["run"] != name:
            raise LakeError(f"{folder} holds the run {manifest['run']!r}", hint="a run's folder must keep its name")
        run = cls(name, folder, manifest)
        for each in PASSES:
            if os.path.lexists(folder / each):
                try:
                    run.passes[each] = read_pass_manifest(folder / each / NAME, name, each)
                except LakeError as error:
                    run.unreadable[each] = error
        return run

    @property
    def sweep(self) -> str:
        """The sweep over checkpoints that it is of, empty for a run of none."""
        return self.manifest.get("sweep") or ""

    @property
    def step(self) -> int:
        """The training step of its checkpoint, -1 where it is none."""
        step = self.manifest.get("step")
        return -1 if step is None else int(step)

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """What the manifests say of each table: columns, rows, files."""
        return {
            name: table for each in (self.manifest, *self.passes.values()) for name, table in each["tables"].items()
        }

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(table, record) for every file in the manifests; `file` is the path within the run's folder."""
        for prefix, manifest in (("", self.manifest), *((f"{each}/", of) for each, of in self.passes.items())):
            for table, content in manifest["tables"].items():
                for record in content["files"]:
                    yield table, {**record, "file": f"{prefix}{record['file']}"}

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
        found = {path for each in ("", *self.passes) for path in (self.folder / each).glob("*/*.parquet")}
        return sorted(found - named)

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
