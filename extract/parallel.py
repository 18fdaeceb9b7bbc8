"""Work in the caches: independent pieces on as many threads as torch has, each with single-threaded operations."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def is_compiled(device: torch.device) -> bool:
    """Whether loops on this device are those of `extract.compiled`, which run on as many threads as torch has."""
    return device.type == "cpu"


def run_each(work: Callable[[Piece], Result], pieces: Sequence[Piece], device: torch.device) -> list[Result]:
    """`work` of each piece, in order. On the CPU in parallel: torch releases the GIL in its operations."""
    if not is_compiled(device) or len(pieces) < 2:
        return [work(piece) for piece in pieces]
    with _one_thread_each() as n_threads, ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, pieces))


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Within the block, torch's operations run on one thread; yields how many they had. It is set for the process."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)
