"""Ctrl-C ends what DuckDB computes, at once, and the connection can be asked again."""

import os
import signal
import threading
import time

import duckdb
import pytest

from warehouse.connection import batches, frame

ENDLESS = "select count(*) as n from range(10000000) as a, range(10000000) as b where a.range < b.range"


@pytest.mark.parametrize("ask", [frame, lambda con, sql: list(batches(con, sql))])
def test_a_query_can_be_interrupted(ask):
    with duckdb.connect() as con:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask(con, ENDLESS)
        assert time.monotonic() - begun < 30
        assert frame(con, "select 1 as one").item() == 1
