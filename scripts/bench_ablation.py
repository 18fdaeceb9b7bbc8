"""What the ablation costs: `rt extract` beside the plain forward pass of the same tokens, in one run.

    python -m scripts.bench_ablation [--tokens 16000] [--repeats 3] [--frozen]

Forward passes and extractions take turns, so that a busy machine slows both; the ratio is that of an extraction to the
mean of the forward passes before and after it. A forward pass is the whole model in float32 with logits, 4 windows at a
time; it starts with the model loaded, and so does what the ratio compares it with: both passes and the Parquet files.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from extract.run import extract
from extract.session import Session, gather, stack
from extract.settings import Settings


def forward(session: Session, ids: torch.Tensor, batch_size: int) -> float:
    """Seconds of a plain forward pass with logits over `ids` (S, C)."""
    begun = time.perf_counter()
    with torch.no_grad():
        for batch in ids.split(batch_size):
            session.model(input_ids=batch, use_cache=False)
    return time.perf_counter() - begun


def extraction(settings: Settings) -> dict[str, Any]:
    """The manifest of a run into a new lake, and the seconds that all of `rt extract` took."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = extract(replace(settings, lake=Path(folder) / "lake"), lambda line: None)
        seconds = time.perf_counter() - begun
        path = Path(folder) / "lake/runs" / f"run={run}" / "manifest.json"
        return {**json.loads(path.read_text(encoding="utf-8")), "all_seconds": seconds}


def measure(settings: Settings, repeats: int) -> list[dict[str, float]]:
    """Of each repeat the milliseconds per token that was read, and the ratios to the forward pass."""
    session = Session(gather(settings, lambda line: None))
    ids = stack(session.plan().windows)
    forward(session, ids[:8], settings.batch_size)  # what is done once only
    before, rows = forward(session, ids, settings.batch_size), []
    for _ in range(repeats):
        manifest = extraction(settings)
        after = forward(session, ids, settings.batch_size)
        plain = (before + after) / 2
        steps = {name: manifest["seconds"][name] for name in ("forward", "ablation", "merge")}
        row = {"plain forward": plain, **steps, "all of rt extract": manifest["all_seconds"]}
        rows.append({name: 1e3 * value / ids.numel() for name, value in row.items()})
        rows[-1] |= {
            "ratio": sum(steps.values()) / plain,
            "ratio, with loading and self-check": manifest["all_seconds"] / plain,
        }
        for name, routes in manifest["routes"].items():
            total = routes["n_moments"] + routes["n_terms"] + routes["n_double"]
            for route in ("moments", "terms", "double"):
                rows[-1][f"{name}: share by {route}"] = routes[f"n_{route}"] / total
            rows[-1][f"{name}: worst bound, share of the tolerance"] = routes["worst_share"]
        before = after
    return rows


def main() -> None:
    """Measure and print a Markdown table: median and range over the repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frozen", action="store_true")
    options = parser.parse_args()
    settings = Settings(lake=Path("unused"), tokens=options.tokens, frozen=options.frozen)
    rows = measure(settings, options.repeats)
    print(f"{options.tokens:,} positions, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("\n| ms per token, ratio or share | median | least | most |\n|---|---|---|---|")
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"| {name} | {statistics.median(values):.3g} | {min(values):.3g} | {max(values):.3g} |")


if __name__ == "__main__":
    main()
