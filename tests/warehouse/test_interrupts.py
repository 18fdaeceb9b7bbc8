"""Ctrl-C ends what DuckDB computes, at once, and the connection can be asked again."""

import os
import signal
import threading
import time

import duckdb
import pytest

from warehouse.connection import batches, frame

LONG = "select count(*) as n from range(300000) as a, range(300000) as b where a.range < b.range"  # a minute or more


@pytest.fixture(autouse=True)
def heard():
    """What a shell starts in the background ignores SIGINT, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(ask, con, after):
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()
    ask(con, LONG)


@pytest.mark.parametrize("after", [0.002, 0.5])
@pytest.mark.parametrize("ask", [frame, lambda con, sql: list(batches(con, sql))])
def test_a_query_can_be_interrupted(ask, after):
    with duckdb.connect() as con:
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            interrupted(ask, con, after)
        assert time.monotonic() - begun < 30
        assert frame(con, "select 1 as one").item() == 1
