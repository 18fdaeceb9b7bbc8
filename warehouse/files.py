"""What writers of files need: hashes, renames that last, errors of the disk in words. Imports nothing heavy."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from warehouse.errors import LakeError


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the place and the way out."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "free some space and run the same command again: it goes on where it stopped" if full else ""
        raise LakeError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error
