"""What a corpus is: named documents, read one at a time, with a hash over their text.

`read_corpus` takes the vendored default, a `.txt`, JSON lines, Parquet, a folder of one of these, or a data set of the
Hugging Face hub. It reads everything once, so that a fault in the last file shows before a model has run for an hour;
no more than one document (Parquet: one batch of rows) is in memory at a time, and nothing is cached.
"""

import hashlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.readers import KINDS, Record, hidden, kind_of, read_file, record
from warehouse.errors import CorpusError

DEFAULT = Path(__file__).parent / "data" / "corpus.jsonl.gz"
TITLE = (
    "public-domain English: the openings of 233 State of the Union addresses (1790 to 2021), Moby Dick by chapter, "
    "The Devil's Dictionary by groups of entries"
)
ACCEPTED = (
    "a corpus is `default`, a .txt, .jsonl or .ndjson file (also .gz, .zst), a .parquet file, a folder of one of "
    "these kinds, or a hub data set `owner/name` or `owner/name:config`"
)
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")


@dataclass(frozen=True)
class Document:
    """One document; the unit that is resampled. Text is as in the source: nothing is stripped or normalised."""

    name: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Documents that can be read any number of times, always in the same order.

    `name` is the corpus as it was asked for. `sha256` is over the names and texts of the documents that are not
    empty, in order, whatever file format and compression they are in. `n_documents` counts these, `n_empty` the
    documents that were skipped because their text is missing or white space only.
    """

    name: str
    sha256: str
    n_documents: int
    n_empty: int
    read: Callable[[], Iterator[Record]] = field(repr=False, compare=False)

    @property
    def title(self) -> str | None:
        """What the texts are, in words; None for a corpus of which only its name is known."""
        return TITLE if self.name == "default" else None

    def documents(self) -> Iterator[Document]:
        """The documents that are not empty, one at a time. Raises `CorpusError` if a file changed into a bad one."""
        for name, text in self.read():
            if text.strip():
                yield Document(name, text)


def read_corpus(corpus: str | None, text_column: str = "text") -> Corpus:
    """Open `corpus` and read it through once. None and "default" are the vendored corpus.

    A `.txt` file is one document; in a folder (searched through its subfolders, sorted by path) each is one. Rows of
    JSON lines and Parquet have their text in `text_column` and are named by a column `name`, `id` or `title` (the
    first of these that there is), else `file#row` with rows from 1. Other columns are ignored. An empty or null text
    is skipped and counted.

    Raises `CorpusError` where nothing can be read: no such path, an unknown kind of file, text that is not UTF-8 or
    not text, a text column that is not there, or no text at all. The file and the line or row are named.
    """
    name = corpus or "default"
    read = _source(name, text_column)
    digest = hashlib.sha256()
    n_documents = n_empty = 0
    for document, text in read():
        if not text.strip():
            n_empty += 1
            continue
        n_documents += 1
        for part in (document.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "little") + part)
    if not n_documents:
        empty = f": {n_empty} empty documents" if n_empty else ""
        raise CorpusError(f"corpus `{name}` holds no text{empty}", hint=ACCEPTED)
    return Corpus(name, digest.hexdigest(), n_documents, n_empty, read)


def _source(name: str, text_column: str) -> Callable[[], Iterator[Record]]:
    """What reads the records of the corpus `name`: the local path if there is one, else the hub."""
    if name == "default":
        return lambda: read_file(DEFAULT, DEFAULT.name, "text")
    path = Path(name).expanduser()
    if path.is_dir():
        files = _files(path)
        return lambda: (
            record for file in files for record in read_file(file, file.relative_to(path).as_posix(), text_column)
        )
    if path.exists():
        kind_of(path)
        return lambda: read_file(path, path.name, text_column)
    return _hub(name, text_column)


def _files(folder: Path) -> list[Path]:
    """The files of the folder that a corpus can be in, sorted by relative path: all of one kind."""
    found: dict[str, list[Path]] = {}
    for path in folder.rglob("*"):
        kind = kind_of(path, strict=False)
        if kind and path.is_file() and not hidden(path.relative_to(folder)):
            found.setdefault(kind, []).append(path)
    if not found:
        raise CorpusError(f"no {', '.join(KINDS)} files in folder {folder}", hint=ACCEPTED)
    if len(found) > 1:
        counts = ", ".join(f"{len(paths)} {kind}" for kind, paths in sorted(found.items()))
        raise CorpusError(f"folder {folder} mixes kinds of files: {counts}", hint="give a folder with one kind only")
    return sorted(*found.values(), key=lambda path: path.relative_to(folder).as_posix())


def _hub(name: str, text_column: str) -> Callable[[], Iterator[Record]]:
    """What streams the split `train` of a hub data set, by the package `datasets`."""
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or kind_of(Path(name), strict=False)
    if looks_local or not _HUB_ID.fullmatch(name):
        raise CorpusError(f"no file or folder {name}", hint=ACCEPTED)
    if importlib.util.find_spec("datasets") is None:
        raise CorpusError(
            f"no file or folder {name}; to read it as a hub data set, `datasets` is missing",
            hint=f"pip install datasets, or: {ACCEPTED}",
        )
    return lambda: _hub_records(name, text_column)


def _hub_records(name: str, text_column: str) -> Iterator[Record]:
    import datasets

    identity, _, config = name.partition(":")
    rows: Iterator[dict[str, Any]]
    # ValueError: no such configuration or split; RuntimeError: a data set that needs code of its own, or its HTTP
    # client has given up; what else the network can do to us is an OSError
    try:
        rows = iter(datasets.load_dataset(identity, name=config or None, split="train", streaming=True))
        for number, row in enumerate(rows, start=1):
            yield record(row, text_column, name, number)
    except CorpusError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CorpusError(
            f"hub data set {name} cannot be read: {reason}",
            hint="check the name, the configuration (`owner/name:config`) and the network; gated sets need a login",
        ) from error
