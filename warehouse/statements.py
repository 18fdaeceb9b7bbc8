"""What `rt sql` may be asked: statements that read, and what to say of those that DuckDB refuses."""

import re

import duckdb

from warehouse.errors import QueryError

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_EXPLAIN = re.compile(r"\s*explain\b\s*(?:analyze\b|\([^)]*\))?(.*)", re.DOTALL | re.IGNORECASE)
# `pivot` is several statements to DuckDB, also inside others; it reads where the whole begins like a query
_QUERY = re.compile(r"\s*(?:\(|(?:select|from|with|pivot|unpivot|values|table)\b)", re.IGNORECASE)


def reading_statements(sql: str) -> list[str]:
    """The statements in `sql`, one by one. Raises `QueryError` if there is none, or one that may change something."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refused(error, sql) from None
    for statement in statements:
        if not _reads(statement):
            kind = _COMMENT.sub(" ", statement.query).split()[0].upper()
            raise QueryError(
                f"rt sql only reads; it does not run {kind}",
                hint="a query (select, from, describe, summarize, show, explain); --output FILE writes its rows",
            )
    if not statements:
        raise QueryError("no statement to run", hint='for example: rt sql "from runs"; without any, the shell opens')
    return [statement.query for statement in statements]


def _reads(statement: duckdb.Statement) -> bool:
    kind = statement.type
    if kind == duckdb.StatementType.SELECT:
        return True
    if kind == duckdb.StatementType.MULTI:
        return _QUERY.match(_COMMENT.sub(" ", statement.query)) is not None
    found = _EXPLAIN.match(statement.query)
    if kind != duckdb.StatementType.EXPLAIN or found is None:
        return False
    # `explain analyze` runs what it explains
    try:
        inner = duckdb.extract_statements(found.group(1))
    except duckdb.Error:
        return False
    return all(each.type == duckdb.StatementType.SELECT for each in inner)


def refused(error: duckdb.Error, sql: str, names: str = "") -> QueryError:
    """What DuckDB said, in one line, and what may help: its own suggestion, `names` of tables, quotes for `window`."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    hints = [line.strip() for line in rest if line.strip() and not re.match(r"LINE \d+:|\s*\^", line)]
    if isinstance(error, duckdb.ParserException) and re.search(r'(?<![".\w])window\b', sql, re.IGNORECASE):
        hints.append('`window` is a reserved word: write tokens.window or "window"')
    if isinstance(error, duckdb.CatalogException) and "Table with name" in first and names:
        hints.append(f"tables and views are: {names}")
    if marked := re.search(r"LINE (\d+): (.*)\n( *)\^", str(error)):
        at = marked.group(2)[max(0, len(marked.group(3)) - len(f"LINE {marked.group(1)}: ")) :]
        hints.append(f"at: {at[:60]}" if isinstance(error, duckdb.ParserException) and at else "")
    return QueryError(first, hint="; ".join(filter(None, hints)))
