"""The tables of several analyses at once, each in a process: what a report asks for.

NumPy's work on small arrays holds the interpreter, so threads would wait for each other. Every process opens the lake
itself and keeps what it has read. The tables are those that one process computes: each analysis has a seed of its own.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import polars as pl

from queries import Connect, Session, load
from warehouse.errors import RtError

MAX_PROCESSES = 4
# What a process that computes tables has: one session.
_sessions: list[Session] = []


def processes() -> int:
    """How many processes are worth it on this machine: its processors, at most 4, each of which takes memory."""
    known = getattr(os, "sched_getaffinity", None)  # what a container or a batch system leaves us
    return max(1, min(MAX_PROCESSES, len(known(0)) if known else os.cpu_count() or 1))


def tables(
    opener: Connect,
    slugs: Iterable[str],
    seed: int,
    parameters: Mapping[str, Any],
    n_processes: int,
    progress: Callable[[str], None],
    steps: Connect | None = None,
) -> dict[str, pl.DataFrame | Exception]:
    """The table of each analysis of `slugs` and of those they use, or what it raised.

    `opener` connects to the lake, `steps` to all checkpoints of it (see `queries.Session`); they are called once in
    each process, so it must be possible to send them there.
    """
    waiting = _with_used(slugs)
    done: dict[str, pl.DataFrame | Exception] = {}
    running: dict[Future[pl.DataFrame], str] = {}
    with ProcessPoolExecutor(
        n_processes, get_context("spawn"), initializer=_begin, initargs=(opener, seed, dict(parameters), steps)
    ) as pool:
        try:
            while waiting or running:
                ready = [slug for slug, uses in waiting.items() if all(used in done for used in uses)]
                # those that others use, then those that had to wait for them, which read most
                ready.sort(key=lambda slug: (not any(slug in uses for uses in waiting.values()), not waiting[slug]))
                for slug in ready[: n_processes - len(running)]:
                    used: dict[str, pl.DataFrame] = {}
                    for name in waiting.pop(slug):
                        if isinstance(table := done[name], Exception):
                            done[slug] = table
                        else:
                            used[name] = table
                    if slug not in done:
                        progress(f"analysing {slug}")
                        running[pool.submit(_table, slug, used)] = slug
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    slug = running.pop(future)
                    try:
                        done[slug] = future.result()
                    except BrokenProcessPool:
                        raise
                    except Exception as error:
                        done[slug] = error
        except BrokenProcessPool:
            raise RtError(
                "a process that computed a table was ended from outside, most likely for lack of memory",
                hint="--processes 1 takes the least",
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


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


def _table(slug: str, used: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    (session,) = _sessions
    for name, table in used.items():
        session.give(name, table)
    return session.table(load(slug))
