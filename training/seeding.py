"""Chance in training: a generator that is handed on, and initial weights that no global seed decides."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """A generator for draws; within the block, what libraries draw on their own (initial weights) follows `seed` too.

    torch's global state is afterwards as it was before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)
