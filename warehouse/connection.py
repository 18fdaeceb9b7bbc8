"""DuckDB on a lake: one typed view per table, then the derived views and macros of `warehouse/sql`."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import polars as pl

from warehouse.catalog import statements
from warehouse.errors import LakeError, QueryError
from warehouse.lake import open_lake
from warehouse.run_folder import RunFolder
from warehouse.schema import TABLES
from warehouse.statements import refused

T = TypeVar("T")
BATCH = 8192  # rows of a frame where they come in several
# Where the views have one run only, its name decides nothing (`warehouse/sql/01_same_position.sql`).
SINGLE_RUN = """create or replace macro same_position(run, token_index, other_run, other_token_index) as
token_index = other_token_index"""


def connect(lake: Path, runs: Sequence[str] = (), where: str = "") -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views of the lake: of all runs, or of `runs` only.

    `where` is an SQL condition on `tokens`: analyses join with `tokens`, so it chooses the positions they see.
    Runs whose manifest cannot be read are left out, unless they are among `runs`.
    Raises `LakeError` for a lake or run that is not there or not whole, `QueryError` for a condition that does not fit
    or that no position meets.
    """
    found = open_lake(lake)
    known = {run.name: run for run in found.runs}
    for name in runs:
        if name in found.unreadable:
            raise found.unreadable[name]
        if name not in known:
            raise LakeError(f"no run {name} in {lake}", hint=f"there are: {', '.join(sorted(known)) or 'none'}")
    chosen = [run for run in found.runs if not runs or run.name in runs]
    for run in chosen:
        run.check_sizes()
    # an extension that a query would need is never fetched: reading writes nothing to the disk
    con = duckdb.connect(config={"temp_directory": tempfile.gettempdir(), "autoinstall_known_extensions": False})
    con.execute("set enable_progress_bar = false")
    single = len(chosen) == 1
    some = bool(single or runs or found.unreadable)  # a single run is named: one that comes later is not seen
    try:
        con.execute(statements(found.root, chosen, some, where))
        if single:
            con.execute(SINGLE_RUN)
        if where:
            _check_condition(con, chosen, where)
    except duckdb.Error as error:
        if where:
            columns = ", ".join(column.name for column in TABLES["tokens"].columns)
            raise QueryError(
                f"cannot use the condition `{where}`: {_first_line(error)}", hint=f"columns of tokens: {columns}"
            ) from None
        if isinstance(error, duckdb.IOException | duckdb.InvalidInputException):
            reason = f"cannot read {lake}: {_first_line(error)}"
            raise LakeError(reason, hint="`rt check` names the damaged file") from None
        raise
    return con


def _check_condition(con: duckdb.DuckDBPyConnection, runs: Sequence[RunFolder], where: str) -> None:
    """Raise `QueryError` if the condition leaves no position of runs that have some."""
    positions = sum(run.manifest["tables"]["tokens"]["rows"] for run in runs)
    if positions and not con.execute("select 1 from tokens limit 1").fetchall():
        raise QueryError(
            f"the condition `{where}` leaves none of {positions:,} positions",
            hint='rt sql "summarize tokens" shows what values its columns have',
        )


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def frame(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """The rows of `sql` as a Polars frame; what DuckDB refuses is a `QueryError` in one line."""

    def ask() -> pl.DataFrame:
        relation = con.sql(sql, params=dict(params or {}))
        if relation is None:
            raise QueryError("the statement gives no rows", hint="one `select`, `from`, `describe` or `show`")
        rows: pl.DataFrame = relation.pl()
        return rows

    with _refusals(con, sql):
        return _interruptible(con, ask)


def batches(
    con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None, n_rows: int = BATCH
) -> Iterator[pl.DataFrame]:
    """The rows of the `select` in frames of at most `n_rows`, in its order; refusals as those of `frame`."""
    with _refusals(con, sql):
        reader = _interruptible(con, lambda: con.sql(sql, params=dict(params or {})).to_arrow_reader(n_rows))
        while (batch := _interruptible(con, lambda: next(reader, None))) is not None:
            yield pl.DataFrame(batch)


def _interruptible(con: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """What `work` gives, computed in another thread: Ctrl-C is not heard in the one in which DuckDB computes."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    found: list[T] = []
    raised: list[BaseException] = []
    stop, done = threading.Event(), threading.Event()

    def run() -> None:
        try:
            if not stop.is_set():
                found.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    worker = threading.Thread(target=run, daemon=True)
    try:
        worker.start()
        while not done.wait(0.1):
            pass
    except KeyboardInterrupt:
        stop.set()
        # again and again: what comes before the query begins is forgotten
        while worker.ident is not None and not done.wait(0.1):
            con.interrupt()
        raise
    if raised:
        raise raised[0]
    return found[0]


@contextmanager
def _refusals(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[None]:
    """What DuckDB and Polars refuse, as errors in one line."""
    try:
        yield
    except duckdb.IOException as error:
        raise LakeError(
            _first_line(error), hint="if it is a file of the lake: `rt check` names what is wrong"
        ) from None
    except duckdb.Error as error:
        raise refused(error, sql, _relations(con)) from None
    except pl.exceptions.PolarsError as error:
        raise QueryError(
            f"a column has a type that cannot be shown: {str(error).splitlines()[0]}", hint="cast it: column::varchar"
        ) from None


def _relations(con: duckdb.DuckDBPyConnection) -> str:
    names = con.execute("select view_name from duckdb_views() where not internal order by 1").fetchall()
    return ", ".join(name for (name,) in names)
