"""`rt extract --dry-run`: what a run will take, from a small measurement; and whether the disk can hold it."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from extract.ablation import Ablation
from extract.extra_passes import ExtraPass
from extract.families import LastLayer, capture
from extract.neuron_logits import N_TOKENS
from extract.session import Session, gather, stack
from extract.settings import Settings
from extract.windows import positions_per_window
from warehouse.errors import LakeError

BYTES_PER_PAIR = 6.0  # of neuron_tokens on disk; measured 5.1 to 5.8
BYTES_PER_FROZEN = 8.0  # more of it with the frozen deltas
PAIRS_PER_SECOND = 1e7  # that the merge writes; measured 1.2e7


@dataclass(frozen=True)
class Estimate:
    """What a run will take: positions, neurons, bytes on disk at the end and while it is made, seconds.

    `passes`: name, seconds and bytes of each optional pass, on top of that.
    """

    run: str
    n_windows: int
    n_documents: int
    n_positions: int
    d_mlp: int
    final_bytes: int
    staged_bytes: int
    seconds: float
    passes: tuple[tuple[str, float, int], ...] = ()


def disk_bytes(n_positions: int, last: LastLayer, n_frozen: int) -> tuple[int, int]:
    """(bytes of the finished run, bytes at the most while it is made)."""
    pairs = n_positions * last.d_mlp
    fixed = last.d_mlp * (3 * last.d_model * 4 + 2 * N_TOKENS * 8) + last.n_vocabulary * 40
    of_pairs = pairs * BYTES_PER_PAIR + n_frozen * last.d_mlp * BYTES_PER_FROZEN
    final = int(of_pairs + n_positions * (last.d_model * 4 + 60) + fixed)
    # what is staged is not compressed: activations twice, residuals, deltas
    return final, final + int(pairs * (20 if n_frozen else 12) + n_positions * last.d_model * 4)


def check_disk(lake: Path, needed: int) -> None:
    """Raise `LakeError` if the disk under `lake` has not the `needed` bytes, with 5 % to spare."""
    place = lake.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > 0.95 * free:
        raise LakeError(
            f"the run needs about {needed / 1e9:.2f} GB while it is made, {place} has {free / 1e9:.2f} GB free",
            hint="lower --tokens, or put the lake on another disk with --lake",
        )


def estimate(settings: Settings, say: Callable[[str], None] = print, passes: Sequence[ExtraPass] = ()) -> Estimate:
    """Measure the forward pass and the ablation of a batch of windows, and scale up; writes nothing."""
    for each in passes:
        each.check()
    inputs = gather(settings, say)
    say("loading the model, and measuring a batch of windows")
    session = Session(inputs)
    for each in passes:
        each.fits(session)
    plan = session.plan()
    last = session.last
    ids = stack(plan.windows[: settings.batch_size]).to(session.model.device)
    capture(session.model, last, ids)
    begun = time.monotonic()
    residual, activation = capture(session.model, last, ids)
    forward = (time.monotonic() - begun) / len(ids)
    part = slice(settings.skip, -1)
    x, a, target = residual[:, part].flatten(0, 1), activation[:, part].flatten(0, 1), ids[:, settings.skip + 1 :]
    # the frequencies do not change the work
    frequency = torch.arange(last.n_vocabulary, device=x.device)
    mean = a.double().mean(dim=0)
    begun = time.monotonic()
    engine = Ablation(
        last, mean, settings.memory_bytes, x[:: -(-len(x) // 64)], frequency, frozen=settings.frozen_tokens > 0
    )
    engine.run(x[:1], a[:1], target.flatten()[:1])
    setup = time.monotonic() - begun
    n_positions = len(plan.windows) * positions_per_window(settings.context, settings.skip)
    n_frozen = min(settings.frozen_tokens, n_positions)
    per_position = 0.0
    for is_plain, share in ((True, 1 - n_frozen / n_positions), (False, n_frozen / n_positions)):
        if share:
            begun = time.monotonic()
            engine.run(x, a, target.flatten(), is_plain=is_plain)
            per_position += share * (time.monotonic() - begun) / len(x)
    final, most = disk_bytes(n_positions, last, n_frozen)
    added = tuple((each.of_pass, *each.estimate(session, plan)) for each in passes)
    check_disk(settings.lake, most + sum(size for _, _, size in added))
    return Estimate(
        run=inputs.run,
        n_windows=len(plan.windows),
        n_documents=len(plan.documents),
        n_positions=n_positions,
        d_mlp=last.d_mlp,
        final_bytes=final,
        staged_bytes=most,
        seconds=setup + forward * len(plan.windows) + (per_position + last.d_mlp / PAIRS_PER_SECOND) * n_positions,
        passes=added,
    )
