"""The formats of a single table, apart from what writes them: the command line names them without heavy imports."""

from enum import StrEnum


class Format(StrEnum):
    """How a table is printed or written."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"
    parquet = "parquet"


SUFFIXES = {
    ".txt": Format.table,
    ".csv": Format.csv,
    ".json": Format.json,
    ".md": Format.markdown,
    ".parquet": Format.parquet,
}
