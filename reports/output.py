"""Where a table goes: checked before anything is computed, then printed or written whole."""

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reports import markdown, terminal
from reports.formats import SUFFIXES, Format
from reports.places import check_outside
from warehouse.errors import RtError
from warehouse.files import disk_errors

_LIMIT = 60  # rows that are printed
_WIDTH = 160  # characters, where there is no terminal to ask


def _check_place(output: Path) -> None:
    """Raise `RtError` if `output` cannot be a file that is written."""
    if output.is_dir():
        raise RtError(f"--output {output} is a folder", hint="name a file")
    if not output.parent.is_dir():
        raise RtError(f"--output {output}: no folder {output.parent}", hint="make it first")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise RtError(f"--output {output} cannot be written: no permission", hint="choose another place")


@dataclass(frozen=True)
class Destination:
    """A format, and the file if it is not to be printed."""

    form: Format
    path: Path | None

    @classmethod
    def of(cls, form: Format | None, output: Path | None, lake: Path) -> "Destination":
        """Format and file that go together; a format that was not asked for follows from the suffix of the file.

        Raises `RtError` for a file that cannot be written, a suffix that says nothing, and Parquet without a file.
        """
        if output is None:
            if form is Format.parquet:
                raise RtError("--format parquet needs a file", hint="add --output FILE.parquet")
            return cls(form or Format.table, None)
        check_outside(output, lake)
        _check_place(output)
        if form is None and output.suffix.lower() not in SUFFIXES:
            raise RtError(
                f"--output {output}: no format follows from its name",
                hint=f"end it in {', '.join(SUFFIXES)}, or add --format {'|'.join(Format)}",
            )
        return cls(form or SUFFIXES[output.suffix.lower()], output)

    def show(
        self,
        table: pl.DataFrame,
        keys: Sequence[str] = (),
        floors: Sequence[float] = (),
        digits: int = 3,
        excerpt: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    ) -> None:
        """Print the table, or write it: a file that is there is replaced when the new one is whole.

        `keys` and `floors` are those of an analysis, `digits` those of the terminal. `excerpt` is what a terminal shows
        of a table that is too long for it.
        """
        if excerpt is not None and self.path is None and self.form is Format.table and table.height > _LIMIT:
            some = excerpt(table)
            self.show(some, [name for name in keys if name in some.columns], floors, digits)
            print(f"{some.height:,} of {table.height:,} rows: --output FILE.csv writes all")
        elif self.path is None:
            width = shutil.get_terminal_size((_WIDTH, 24)).columns
            print(self._text(table, keys, floors, digits, width, _LIMIT), end="")
        elif self.form is Format.parquet:
            self._replace(table.write_parquet)
        else:
            self.put(self._text(table, keys, floors, digits, 10**9, None))

    def put(self, text: str) -> None:
        """Print a text, or write it, as `show` does."""
        if self.path is None:
            print(text, end="")
        else:
            self._replace(lambda target: target.write_text(text, encoding="utf-8"))

    def _replace(self, write: Callable[[Path], object]) -> None:
        """Write the file beside its place and move it there whole; what is no file, such as a pipe, directly."""
        assert self.path is not None
        replaced = self.path.is_file() or not self.path.exists()
        target = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial") if replaced else self.path
        with disk_errors(self.path):
            try:
                write(target)
                if replaced:
                    target.replace(self.path)
            finally:
                if replaced:
                    target.unlink(missing_ok=True)

    def _text(
        self,
        table: pl.DataFrame,
        keys: Sequence[str],
        floors: Sequence[float],
        digits: int,
        width: int,
        limit: int | None,
    ) -> str:
        if self.form is Format.csv:
            return _csv(table)
        if self.form is Format.json:
            rows = [{name: _plain(value) for name, value in row.items()} for row in table.iter_rows(named=True)]
            return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if self.form is Format.markdown:
            counts = [name for name in table.columns if name == "n" or name.startswith("n_")]
            return (
                markdown.table(table, ids=[name for name in table.columns if name not in counts], floors=floors) + "\n"
            )
        return terminal.table(table, width, keys=keys, floors=floors, digits=digits, limit=limit) + "\n"


def _csv(table: pl.DataFrame) -> str:
    """CSV; what has no cell of its own there (lists, structures, bytes) as JSON."""
    nested = [name for name, kind in table.schema.items() if kind.is_nested() or kind == pl.Binary]
    return table.with_columns(
        pl.Series(
            name,
            [None if value is None else json.dumps(_plain(value), ensure_ascii=False) for value in table[name]],
            pl.String,
        )
        for name in nested
    ).write_csv()


def _plain(value: Any) -> Any:
    """A value as JSON knows it: what is no number, or infinite, is null; dates, decimals and bytes are text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | pl.Series():
            return [_plain(each) for each in value]
        case _:
            return str(value)
