"""A table for the terminal: every cell whole, whatever the width; numbers rounded, long texts below, lists cut."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rich.cells import cell_len

from reports.markdown import MISSING, bounded, is_p, significant, visible

GUTTER = "  "
LONG = 40  # characters: a longer text moves below a table that is too wide
ITEMS = 6  # of a list that are shown
STATISTICS = ("estimate", "low", "high")  # always columns, be they equal in all rows
Columns = Mapping[str, Sequence[str]]


def table(
    frame: pl.DataFrame,
    width: int,
    *,
    keys: Sequence[str] = (),
    floors: Sequence[float] = (),
    digits: int = 3,
    limit: int | None = None,
) -> str:
    """The first `limit` rows of `frame` in lines of at most `width` characters, real numbers at `digits` digits.

    A table that is too wide says first what is equal in every row (if it has `keys`), shows its columns in blocks
    that repeat the `keys` (or the row's number), and long texts once each below. Only a single cell can be wider.
    `floors` are the smallest values that columns of Monte-Carlo p can have: `<= 0.001`.
    """
    if frame.columns == ["explain_key", "explain_value"]:  # a plan is a drawing of many lines, not a cell
        return "\n".join(frame["explain_value"])
    shown = frame if limit is None else frame.head(limit)
    columns: dict[str, Sequence[str]] = {
        name: [
            bounded(value, floors) if floors and is_p(name) else _text(value, digits) for value in shown[name].to_list()
        ]
        for name in shown.columns
    }
    right = {name for name, kind in shown.schema.items() if kind.is_numeric()}
    parts = []
    if len(columns) == 1 or _width(columns) <= width:
        parts.append(_block(columns, right))
    else:
        equal = _equal(frame, keys)
        if equal:
            named = ", ".join(f"{name} = {columns[name][0]}" for name in equal)
            parts.append(textwrap.fill(f"in every row: {named}", width))
        columns, notes = _notes({name: cells for name, cells in columns.items() if name not in equal}, right)
        repeated = [name for name in keys if name in columns]
        if not repeated:
            columns = {"#": [str(number) for number in range(1, shown.height + 1)], **columns}
            repeated, right = ["#"], {*right, "#"}
        parts += [_block(block, right) for block in _blocks(columns, repeated, width)]
        if notes:
            parts.append("\n".join(textwrap.fill(f"[{n}] {note}", width) for n, note in enumerate(notes, start=1)))
    if shown.height < frame.height:
        parts.append(f"... and {frame.height - shown.height:,} more rows: --output FILE.csv writes all")
    return "\n\n".join(parts)


def _text(value: Any, digits: int) -> str:
    if value is None:
        return MISSING
    if isinstance(value, float):
        return significant(value, digits)
    if isinstance(value, list):
        shown = [_text(each, digits) for each in value[:ITEMS]]
        return f"[{', '.join(shown)}]" if len(value) <= ITEMS else f"[{', '.join(shown)}, ... {len(value):,} in all]"
    return visible(str(value))


def _width(columns: Columns) -> int:
    """Characters of a line with these columns."""
    return sum(_column_width(name, cells) + len(GUTTER) for name, cells in columns.items()) - len(GUTTER)


def _column_width(name: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (name, *cells))


def _equal(frame: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    """The columns that say the same in every row, shown or not, of a table of two rows or more that has keys."""
    if not keys or frame.height < 2:
        return []
    plain = [name for name, kind in frame.schema.items() if not kind.is_nested() and name not in STATISTICS]
    return [name for name in plain if frame[name].n_unique() == 1]


def _notes(columns: Columns, right: set[str]) -> tuple[dict[str, Sequence[str]], list[str]]:
    """The columns with each long text replaced by the number of a note, and the notes."""
    notes: dict[str, int] = {}

    def short(text: str) -> str:
        return text if cell_len(text) <= LONG else f"[{notes.setdefault(text, len(notes) + 1)}]"

    shown = {name: cells if name in right else [short(text) for text in cells] for name, cells in columns.items()}
    return shown, list(notes)


def _blocks(columns: Columns, repeated: Sequence[str], width: int) -> list[Columns]:
    """The columns in blocks that are not wider than `width`, each with the `repeated` ones first."""
    head = {name: columns[name] for name in repeated}
    blocks, block = [], dict(head)
    for name, cells in columns.items():
        if name in head:
            continue
        if len(block) > len(head) and _width({**block, name: cells}) > width:
            blocks.append(block)
            block = dict(head)
        block[name] = cells
    return [*blocks, block]


def _block(columns: Columns, right: set[str]) -> str:
    widths = {name: _column_width(name, cells) for name, cells in columns.items()}

    def line(texts: Sequence[str]) -> str:
        padded = []
        for name, text in zip(columns, texts, strict=True):
            gap = " " * (widths[name] - cell_len(text))
            padded.append(gap + text if name in right else text + gap)
        return GUTTER.join(padded).rstrip()

    rule = GUTTER.join("-" * width for width in widths.values())
    return "\n".join([line(list(columns)), rule, *(line(row) for row in zip(*columns.values(), strict=True))])
