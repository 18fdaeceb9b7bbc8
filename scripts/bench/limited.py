"""`rt` with every connection to a lake held to 1 GB: `python -m scripts.bench.limited report ...`."""

from typing import Any

import duckdb

import warehouse.connection

_connect = warehouse.connection.connect


def connect(*arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
    """`warehouse.connection.connect` with a limit; the processes of a report find it here."""
    con = _connect(*arguments, **named)
    con.execute("set memory_limit = '1GB'")
    return con


if __name__ == "__main__":
    warehouse.connection.connect = connect
    from cli import main

    main()
