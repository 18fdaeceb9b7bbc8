"""How far long work has come: a bar on a terminal, a plain line now and then elsewhere. Always on stderr."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

EVERY = 15.0  # seconds between plain lines


class Progress:
    """`with Progress("ablation", total, "positions") as bar: bar.advance(n)`; `done` counts what an earlier run did."""

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self._begun = self._spoken = time.monotonic()
        self._first = done
        self._bar: RichProgress | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(unit),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task(title, total=total, completed=done)

    def advance(self, n: int) -> None:
        """`n` more units are done."""
        self.done += n
        if self._bar:
            self._bar.advance(self._task, n)
        elif (now := time.monotonic()) - self._spoken > EVERY:
            self._spoken = now
            rate = (self.done - self._first) / (now - self._begun)
            left = (self.total - self.done) / rate if rate else 0
            print(
                f"{self.title}: {self.done:,} of {self.total:,} {self.unit}, {left:,.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None:
            print(
                f"{self.title}: {self.done:,} {self.unit} in {time.monotonic() - self._begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )
