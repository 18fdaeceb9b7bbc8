"""The tables that checkpoints of a sweep have in common: stored once, and linked into every later run."""

import errno
import os
import shutil
from pathlib import Path

from extract.staging import Stage
from warehouse.files import disk_errors, sha256
from warehouse.lake import open_lake
from warehouse.run_folder import RunFolder
from warehouse.shards import Shard

SHARED = ("documents", "windows", "vocabulary")
# A file system without hard links, one too many links, or the lake on two disks: the file is copied then.
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS)


def share_tables(stage: Stage, lake: Path, sweep: str | None, n_vocabulary: int) -> bool:
    """Put the shared tables of another run of the sweep into `stage`; False where no run has them whole.

    They depend on nothing but what the id of the sweep is made of, and the size of the vocabulary. A file counts only
    if its bytes are those that its manifest names, so that a damaged one is not passed on.
    """
    for run in open_lake(lake).runs if sweep else ():
        if run.manifest.get("sweep") == sweep and run.tables["vocabulary"]["rows"] == n_vocabulary:
            files = [Shard(**record) for table, record in run.files() if table in SHARED]
            if all(_is_whole(run, shard) for shard in files):
                for shard in files:
                    _link(run.folder / shard.file, stage.folder / "run" / shard.file)
                    stage.record(Shard(f"run/{shard.file}", shard.rows, shard.bytes, shard.sha256))
                return True
    return False


def _is_whole(run: RunFolder, shard: Shard) -> bool:
    path = run.folder / shard.file
    return path.is_file() and sha256(path) == shard.sha256


def _link(source: Path, target: Path) -> None:
    """A hard link where the disk has them, else a copy; what an earlier attempt left there is replaced."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copyfile(source, target)
