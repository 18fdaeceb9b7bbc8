"""A run in the making: what is finished of it is written down, so that the same command can go on after any end.

`state.json` names every finished file. A file is renamed into place first and named second: one that is there without
being named is made again.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse.errors import LakeError
from warehouse.files import disk_errors
from warehouse.lake import removal, staging_folder
from warehouse.manifest import write_json
from warehouse.shards import Shard


@dataclass
class Stage:
    """The folder of a run in the making, and what is finished in it."""

    folder: Path
    state: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, lake: Path, run: str, identity: Mapping[str, Any]) -> "Stage":
        """Go on with what is there of `run` (or of a pass, `RUN+PASS`), or begin."""
        folder = staging_folder(lake, run)
        with disk_errors(folder):
            (folder / "run").mkdir(parents=True, exist_ok=True)
        path = folder / "state.json"
        if path.exists():
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["identity"] != json.loads(json.dumps(identity)):
                other = "was begun with other settings" if "+" in run else "belongs to another run"
                raise LakeError(f"{folder} {other}", hint=f"remove it: {removal(run)} --lake {lake}")
            return cls(folder, state)
        stage = cls(folder, {"identity": dict(identity), "shards": {}, "facts": {}, "seconds": {}})
        stage._save()
        return stage

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        """An attempt that ends before its first file is finished leaves nothing behind."""
        if not self.state["shards"]:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self) -> None:
        write_json(self.folder / "state.json", self.state)

    def record(self, shard: Shard) -> None:
        """Note that a file is finished."""
        self.state["shards"][shard.file] = shard.as_dict()
        self._save()

    def has(self, file: str) -> bool:
        """Whether a file (path within the stage) is finished and still of its size."""
        noted = self.state["shards"].get(file)
        path = self.folder / file
        return noted is not None and path.is_file() and path.stat().st_size == noted["bytes"]

    def tables(self) -> dict[str, list[Shard]]:
        """The finished files of the run itself, by table, with paths within the run."""
        found: dict[str, list[Shard]] = {}
        for file, noted in sorted(self.state["shards"].items()):
            if file.startswith("run/"):
                inner = file.removeprefix("run/")
                found.setdefault(inner.split("/")[0], []).append(Shard(**{**noted, "file": inner}))
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What was found out on the way and belongs into the manifest."""
        return dict(self.state["facts"])

    def note(self, **facts: Any) -> None:
        """Keep facts for the manifest."""
        self.state["facts"].update(facts)
        self._save()

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds of a step, also of one that is cut off by an error."""
        begun = time.monotonic()
        try:
            yield
        finally:
            seconds = self.state["seconds"]
            seconds[step] = round(seconds.get(step, 0.0) + time.monotonic() - begun, 3)
            self._save()


@contextmanager
def beside_the_caller() -> Iterator[Callable[..., None]]:
    """Within the block, `beside(function, *arguments)` runs it while the caller goes on: one at a time, in order.

    What it raises is raised by the next call, or at the end of the block.
    """
    pending: list[Future[None]] = []

    def beside(function: Callable[..., None], *arguments: object) -> None:
        while pending:
            pending.pop().result()
        pending.append(pool.submit(function, *arguments))

    with ThreadPoolExecutor(1) as pool:
        yield beside
        while pending:
            pending.pop().result()
