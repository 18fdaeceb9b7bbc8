"""All of `rt extract` beside the plain forward pass.

A forward pass is the default model (SmolLM2-135M, d 576, 1,536 neurons, 49,152 tokens) in float32 with logits, windows
of 256, 4 at a time. Forward passes and extractions take turns; a ratio is that of an extraction to the mean of the
forward passes before and after it, by the clock. The forward pass starts with the model loaded, and so does what the
ratio compares it with: both passes of the extraction, and the Parquet files. The target is a ratio of 2.5, if possible
1.5. The forward pass is that of rt, with attention by its formula (`eager`), which is the same arithmetic everywhere;
the fused kernels that transformers takes by itself (`sdpa`) are faster, and have a row of their own.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from extract.run import extract
from extract.session import Session, gather, stack
from extract.settings import Settings
from scripts.bench.results import Result, Table
from scripts.bench.timing import Turn, spread, timed

TARGET = 2.5
STEPS = ("forward", "ablation", "merge")


def forward(session: Session, ids: torch.Tensor, batch_size: int) -> None:
    """A plain forward pass with logits over `ids` (S, C)."""
    with torch.no_grad():
        for batch in ids.split(batch_size):
            session.model(input_ids=batch, use_cache=False)


def fused(session: Session, ids: torch.Tensor, batch_size: int) -> None:
    """The same with the attention that transformers would take."""
    session.model.set_attn_implementation("sdpa")
    try:
        forward(session, ids, batch_size)
    finally:
        session.model.set_attn_implementation("eager")


def extraction(settings: Settings) -> tuple[dict[str, Any], Turn]:
    """The manifest of a run into a new lake, and the time that all of `rt extract` took."""
    with tempfile.TemporaryDirectory() as folder:
        new = replace(settings, lake=Path(folder) / "lake")
        turn = timed(lambda: extract(new, lambda line: None))
        (path,) = new.lake.glob("runs/*/manifest.json")
        return json.loads(path.read_text(encoding="utf-8")), turn


def measure(full: bool) -> Result:
    """Milliseconds per token that was read, and ratios to the forward pass."""
    settings = Settings(lake=Path("unused"), tokens=16_000 if full else 2_000)
    session = Session(gather(settings, print))
    ids = stack(session.plan().windows)
    forward(session, ids[:8], settings.batch_size)  # what is done once only
    fused(session, ids[:8], settings.batch_size)
    before = timed(lambda: forward(session, ids, settings.batch_size))
    rows: list[dict[str, float]] = []
    for _ in range(3 if full else 1):
        manifest, turn = extraction(settings)
        after = timed(lambda: forward(session, ids, settings.batch_size))
        by_sdpa = timed(lambda: fused(session, ids, settings.batch_size))
        rows.append(_row(manifest, turn, before, after, by_sdpa, ids.numel()))
        before = after
    table = Table(f"{ids.numel():,} tokens read, {torch.get_num_threads()} threads", ["", "median", "least", "most"])
    table.rows = [[name, *spread([row[name] for row in rows])] for name in rows[0]]
    return Result([table], [verdict(table)])


def verdict(table: Table) -> str:
    """Which of the ratios reach the target."""
    found = {row[0]: row[1] for row in table.rows}
    named = {
        "forward pass, ablation and Parquet": found["**ratio of the extraction to the forward pass**"],
        "with loading and self-check": found["ratio of all of `rt extract`, with loading and self-check"],
        "without them, to the forward pass with fused attention": found["ratio of the extraction to that"],
        "with them": found["ratio of all of `rt extract` to that"],
    }
    each = (f"{name} {value:.2f} ({'reached' if value <= TARGET else 'missed'})" for name, value in named.items())
    return f"The target of {TARGET}: {'; '.join(each)}."


def _row(
    manifest: dict[str, Any], turn: Turn, before: Turn, after: Turn, by_sdpa: Turn, n_tokens: int
) -> dict[str, float]:
    plain, steps = (before.wall + after.wall) / 2, [manifest["seconds"][step] for step in STEPS]
    once = manifest["seconds"]["self_check"]
    found = {"plain forward pass with logits, ms per token": 1e3 * plain / n_tokens}
    found |= {
        f"extraction, {step}, ms per token": 1e3 * value / n_tokens for step, value in zip(STEPS, steps, strict=True)
    }
    found["**ratio of the extraction to the forward pass**"] = sum(steps) / plain
    found["ratio of all of `rt extract`, with loading and self-check"] = turn.wall / plain
    found["the same in processor time"] = turn.processor / ((before.processor + after.processor) / 2)
    found["plain forward pass with fused attention, ms per token"] = 1e3 * by_sdpa.wall / n_tokens
    found["ratio of the extraction to that"] = sum(steps) / by_sdpa.wall
    found["ratio of all of `rt extract` to that"] = turn.wall / by_sdpa.wall
    found["self-check, s"] = once
    routes = manifest["routes"]["delta_loss"]
    total = routes["n_moments"] + routes["n_terms"] + routes["n_double"]
    for route, name in (("moments", "moments"), ("terms", "more terms"), ("double", "float64")):
        found[f"share of the pairs done by {name}"] = routes[f"n_{route}"] / total
    found["worst bound, share of the tolerance"] = routes["worst_share"]
    return found
