"""The tables of several analyses at once, each in a process: what a report asks for, and its figures.

NumPy's work on small arrays holds the interpreter, so threads would wait for each other. Every process opens the lake
itself and keeps what it has read. The tables are those that one process computes: each analysis has a seed of its own.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import polars as pl

from queries import Connect, Session, load
from queries import slugs as all_slugs
from warehouse.errors import RtError

T = TypeVar("T")

MAX_PROCESSES = 4
# What a process that computes tables has: one session.
_sessions: list[Session] = []


def processes() -> int:
    """How many processes are worth it on this machine: its processors, at most 4, each of which takes memory."""
    known = getattr(os, "sched_getaffinity", None)  # what a container or a batch system leaves us
    return max(1, min(MAX_PROCESSES, len(known(0)) if known else os.cpu_count() or 1))


class Workers:
    """Processes that compute tables of one lake, and whatever else is given to them, until they are closed.

    `opener` connects to the lake, `steps` to all checkpoints of it (see `queries.Session`); they are called once in
    each process, so it must be possible to send them there. The processes begin at once: what they import and open
    takes seconds, in which the one that asked for them can do the same.
    """

    def __init__(
        self, opener: Connect, seed: int, parameters: Mapping[str, Any], n_processes: int, steps: Connect | None = None
    ) -> None:
        self._n = n_processes
        self._pool = ProcessPoolExecutor(
            n_processes, get_context("spawn"), initializer=_begin, initargs=(opener, seed, dict(parameters), steps)
        )
        for _ in range(n_processes):
            self._pool.submit(_begun)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def start(self, function: Callable[[], T]) -> Callable[[], T]:
        """Call `function` in one of the processes; what is returned waits for it, and gives or raises what it does."""
        return partial(_result, self._submit(function))

    def _submit(self, function: Callable[..., T], *values: Any) -> "Future[T]":
        try:
            return self._pool.submit(function, *values)
        except BrokenProcessPool:
            raise _EndedError() from None

    def tables(self, slugs: Iterable[str], progress: Callable[[str], None]) -> dict[str, pl.DataFrame | Exception]:
        """The table of each analysis of `slugs` and of those they use, or what it raised."""
        waiting = _with_used(slugs)
        done: dict[str, pl.DataFrame | Exception] = {}
        running: dict[Future[pl.DataFrame], str] = {}
        while waiting or running:
            ready = [slug for slug, uses in waiting.items() if all(used in done for used in uses)]
            # those that others use, then those that had to wait for them, which read most
            ready.sort(key=lambda slug: (not any(slug in uses for uses in waiting.values()), not waiting[slug]))
            for slug in ready[: self._n - len(running)]:
                used: dict[str, pl.DataFrame] = {}
                for name in waiting.pop(slug):
                    if isinstance(table := done[name], Exception):
                        done[slug] = table
                    else:
                        used[name] = table
                if slug not in done:
                    progress(f"analysing {slug}")
                    running[self._submit(_table, slug, used)] = slug
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slug = running.pop(future)
                try:
                    done[slug] = _result(future)
                except _EndedError:
                    raise
                except Exception as error:
                    done[slug] = error
        return done


class _EndedError(RtError):
    """A process is gone, and all others with it."""

    def __init__(self) -> None:
        super().__init__(
            "a process of the report was ended from outside, most likely for lack of memory",
            hint="--processes 1 takes the least",
        )


def _result(future: "Future[T]") -> T:
    try:
        return future.result()
    except BrokenProcessPool:
        raise _EndedError() from None


def _with_used(slugs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each analysis with those that it uses, and these with theirs."""
    found: dict[str, tuple[str, ...]] = {}
    open_ = list(slugs)
    while open_:
        slug = open_.pop(0)
        if slug not in found:
            found[slug] = load(slug).uses
            open_ += found[slug]
    return found


def _begin(opener: Connect, seed: int, parameters: dict[str, Any], steps: Connect | None) -> None:
    _sessions.append(Session(opener(), seed, parameters, steps))
    for slug in all_slugs():
        with suppress(Exception):  # met again by whoever asks for its table
            load(slug)


def _begun() -> None:
    """Nothing: what makes a process begin."""


def _table(slug: str, used: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    (session,) = _sessions
    for name, table in used.items():
        session.give(name, table)
    return session.table(load(slug))
