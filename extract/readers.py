"""Read files of text, whole or row by row: plain text, JSON lines, Parquet; the first two also as .gz and .zst.

Every function gives records `(name, text)` and names the file and the line or row of what is wrong.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import CorpusError

Record = tuple[str, str]
KINDS = (".txt", ".jsonl", ".parquet")
NAME_COLUMNS = ("name", "id", "title")
_SUFFIXES = {".txt": ".txt", ".jsonl": ".jsonl", ".ndjson": ".jsonl", ".parquet": ".parquet"}
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_BATCH_ROWS = 256
_UTF8_BOM = b"\xef\xbb\xbf"


def kind_of(path: Path, strict: bool = True) -> str | None:
    """The kind of file, one of `KINDS`, by its suffixes; None (or `CorpusError` if `strict`) for any other file."""
    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        inner = _SUFFIXES.get(Path(path.stem).suffix.lower())
        kind = None if inner == ".parquet" else inner
    else:
        kind = _SUFFIXES.get(suffix)
    if kind is None and strict:
        raise CorpusError(
            f"{path} is not a kind of file that a corpus can be in",
            hint="accepted: .txt, .jsonl and .ndjson, each also with .gz or .zst, and .parquet",
        )
    return kind


def hidden(path: Path) -> bool:
    """Whether the relative path leads through a hidden file or folder."""
    return any(part.startswith(".") for part in path.parts)


def read_file(path: Path, label: str, text_column: str) -> Iterator[Record]:
    """The records of one file; `label` stands for the file in names and messages. Raises `CorpusError`."""
    reader = {".txt": _read_text, ".jsonl": _read_json_lines, ".parquet": _read_parquet}[kind_of(path) or ""]
    try:
        yield from reader(path, label, text_column)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise CorpusError(f"{path} cannot be read: {reason}", hint="is the file complete and readable?") from error


def record(row: Mapping[str, Any], text_column: str, label: str, number: int) -> Record:
    """Name and text of a row; a null text is an empty one. Raises `CorpusError` for a text that is none."""
    if text_column not in row:
        raise _no_column(f"{label}, row {number}", text_column, [str(name) for name in row])
    text = row[text_column]
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise CorpusError(
            f"{label}, row {number}: `{text_column}` holds {type(text).__name__}, not text",
            hint="--text-column names the column that holds the text",
        )
    name = next((row[column] for column in NAME_COLUMNS if column != text_column and row.get(column) is not None), "")
    name = str(name) if isinstance(name, str | int) and name != "" else f"{label}#{number}"
    # JSON can hold halves of surrogate pairs, which are not text in any encoding
    try:
        (name + text).encode()
    except UnicodeEncodeError as error:
        raise CorpusError(f"{label}, row {number}: half a surrogate pair", hint="mend or remove the row") from error
    return name, text


def _read_text(path: Path, label: str, _text_column: str) -> Iterator[Record]:
    with _open(path) as file:
        content = file.read()
    yield label, _decode(content.removeprefix(_UTF8_BOM), path, 1)


def _read_json_lines(path: Path, label: str, text_column: str) -> Iterator[Record]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            text = _decode(line.removeprefix(_UTF8_BOM) if number == 1 else line, path, number)
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (json.JSONDecodeError, RecursionError) as error:
                raise CorpusError(
                    f"{path}, line {number}: not JSON ({error})", hint="JSON lines have one object per line"
                ) from error
            if not isinstance(row, dict):
                raise CorpusError(
                    f"{path}, line {number}: a JSON {type(row).__name__}, not an object",
                    hint='each line should look like {"name": "...", "text": "..."}',
                )
            yield record(row, text_column, label, number)


def _read_parquet(path: Path, label: str, text_column: str) -> Iterator[Record]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if text_column not in schema.names:
            raise _no_column(str(path), text_column, schema.names)
        # what is not text shows its type here; a column of integers would otherwise fail at its first row only
        kind = schema.field(text_column).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)):
            raise CorpusError(
                f"{path}: column `{text_column}` is of type {kind}, not text",
                hint=f"columns: {', '.join(f'{name} ({schema.field(name).type})' for name in schema.names)}",
            )
        columns = [name for name in dict.fromkeys((text_column, *NAME_COLUMNS)) if name in schema.names]
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield record(row, text_column, label, number)


def _open(path: Path) -> io.BufferedReader:
    """The uncompressed bytes of a file.

    Arrow's streams, because the `zstandard` package reads a file that was cut off as if it ended there. Concatenated
    members and frames are one file, as for the gzip and zstd programs.
    """
    return io.BufferedReader(pa.input_stream(path, compression=_COMPRESSED.get(path.suffix.lower())))


def _decode(content: bytes, path: Path, first_line: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise CorpusError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x})",
            hint="convert it, as by `iconv -t utf-8`",
        ) from error


def _no_column(where: str, text_column: str, columns: list[str]) -> CorpusError:
    found = ", ".join(columns) or "none"
    return CorpusError(f"{where}: no text column `{text_column}`", hint=f"--text-column takes one of: {found}")
