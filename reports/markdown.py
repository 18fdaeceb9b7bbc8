"""Numbers, data and tables as Markdown that GitHub, a pager and `reports.page` show alike."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from queries.stats.nulls import is_floor

MISSING = "\u2013"  # an en dash: there is no number
_SPECIAL = re.compile(r"([\\`*|<>\[\]&~$])")
_EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


def significant(value: float | None, digits: int = 3) -> str:
    """A real number at `digits` significant digits: `0.500`, `12,300`, `1.23e-06`; no number is an en dash.

    A whole number is a rank, a count or an end of a scale, and exact: `31`, not `31.0`. From 0.0001 up to ten million
    a number is written out, rounded, with thousands separated; otherwise with an exponent.
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    scientific = f"{value:.{digits - 1}e}"
    # the exponent after rounding: 999.9 is 1,000 and not 1.00e+03
    exponent = int(scientific.partition("e")[2])
    if value == int(value) and exponent < 7:
        return f"{int(value):,}"
    if not -4 <= exponent < 7:
        return scientific
    return f"{float(scientific):,.{max(digits - 1 - exponent, 0)}f}"


def visible(text: str) -> str:
    """Data in one line: line breaks and control characters as Python writes them."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def escape(text: str) -> str:
    """Data as literal text in Markdown, also in a table cell: no markup, no HTML, no line break."""
    return _EDGE_UNDERSCORE.sub(r"\\_", _SPECIAL.sub(r"\\\1", visible(text)))


def code(text: str) -> str:
    """Data as an inline code span; the fence is longer than any run of backticks inside."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def block(text: str, language: str = "") -> str:
    """A fenced block of code; the fence is longer than any run of backticks inside."""
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def bounded(value: float | None, floors: Sequence[float]) -> str:
    """A Monte-Carlo p: `<= 0.001` where it is one of `floors`, the smallest values that the draws allow."""
    return f"<= {value:.2g}" if value is not None and is_floor(value, floors) else significant(value)


def cell(value: Any, is_id: bool = False) -> str:
    """One value as the text of a table cell; whole numbers have their thousands separated unless they are ids."""
    match value:
        case None:
            return MISSING
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value) if is_id else f"{value:,}"
        case float():
            return significant(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return escape(str(value))


def rows(header: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A Markdown table of cells that are Markdown already, padded so that it reads well as plain text too."""
    widths = [max(3, *(len(line[place]) for line in (header, *body))) for place in range(len(header))]
    rule = ["-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, body)])


def table(frame: pl.DataFrame, ids: Sequence[str] = (), floors: Sequence[float] = ()) -> str:
    """A frame as a Markdown table: real numbers at 3 significant digits, numbers to the right; `ids` are not counts.

    `floors` are the smallest values that columns of Monte-Carlo p (see `is_p`) can have.
    """
    right = [dtype.is_numeric() for dtype in frame.dtypes]
    body = [
        [bounded(value, floors) if is_p(name) else cell(value, name in ids) for name, value in row.items()]
        for row in frame.iter_rows(named=True)
    ]
    return rows([escape(name) for name in frame.columns], body, right)


def is_p(name: str) -> bool:
    """Whether a column holds p-values, or what they are corrected to: `p`, `p_...`, `..._p`, and likewise q."""
    return name in ("p", "q") or name.startswith(("p_", "q_")) or name.endswith(("_p", "_q"))


def details(summary: str, text: str) -> str:
    """A part that opens on a click; `summary` is plain text of our own."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


def anchor(heading: str) -> str:
    """The name by which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


_SQL_PART = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$([A-Za-z_]\w*)")


def literal(value: Any) -> str:
    """A value as DuckDB reads it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value) if math.isfinite(value) else f"'{value}'::double"
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def fill_in(sql: str, parameters: Mapping[str, Any]) -> str:
    """The SQL with each `$name` replaced by its value, ready to be pasted; comments and strings stay as they are."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return literal(parameters[name]) if name in parameters else match.group()

    filled = _SQL_PART.sub(replace, sql).rstrip()
    last = filled.rpartition("\n")[2]
    if "--" in last:
        return f"{filled}\n;"
    return filled if filled.endswith(";") else f"{filled};"
