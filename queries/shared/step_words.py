"""What a training did, in words, from the rows of `dynamics`."""

from typing import Any

import numpy as np
import polars as pl

from queries import by_group
from queries.stats.words import counted

CLASSES, CONTRAST = ("common", "rare"), "rare_minus_common"
CLAIM = "delta_bias"
TOLD = {
    "loss": "Loss",
    "plateau_size": "Plateau size",
    "kappa": "Kappa",
    "participation": "Participation ratio of the leading neurons",
    "alpha_in": "Tail index of their input weights",
}


def step_words(run: str, part: pl.DataFrame) -> str:
    """The verdict of one sweep, and what became of the plateau's height and of the measures `TOLD`: a list."""
    steps = part["step"].unique().sort().to_list()
    first, last = steps[0], steps[-1]
    paths = {key: list(rows.iter_rows(named=True)) for key, rows in by_group(part, ("token_class", "measure"))}
    since = "the untrained model" if first == 0 else f"step {first:,} (there is no step 0)"
    head = f"- `{run}`, {counted(len(steps), 'checkpoint')} from step {first:,} to {last:,}: "
    if ("rare", CLAIM) not in paths:
        return head + "no rare tokens."
    rare = paths["rare", CLAIM][-1]
    lines = [f"{head}that three regimes emerge in training is **{rare['verdict']}**: {rare['reason']}."]
    if len(steps) < 2:
        return lines[0]
    said = [f"{name} tokens: {when(paths[name, CLAIM])}" for name in reversed(CLASSES) if (name, CLAIM) in paths]
    if (CONTRAST, CLAIM) in paths:
        said.append(f"rare minus common: {when(paths[CONTRAST, CLAIM])}")
    lines.append(f"  - Height of the plateau over the continued power law (ln), since {since}; {'; '.join(said)}.")
    for measure, title in TOLD.items():
        moved = [
            f"{name} tokens: {when(paths[name, measure])}" for name in reversed(CLASSES) if (name, measure) in paths
        ]
        if moved:
            lines.append(f"  - {title}; {'; '.join(moved)}.")
    return "\n".join(lines)


def when(path: list[dict[str, Any]]) -> str:
    """From which step on a measure differs from the reference, and by how much at the end and at its farthest."""
    row = path[-1]
    if np.isnan(row["difference"]):
        return "no answer"
    at_end = f"{_change(row)} at step {row['step']:,}"
    if row["emerged"] is not None:
        way = "up" if row["difference"] > 0 else "down"
        return f"{way}, shown from step {row['emerged']:,} on (not yet at {row['emerged_after']:,}); {at_end}"
    away = [each for each in path if each["wide_low"] > 0 or each["wide_high"] < 0]
    if not away:
        return f"no change is shown, {at_end}"
    farthest = max(away, key=lambda each: abs(each["difference"]))
    return f"{_change(farthest)} at step {farthest['step']:,}, but no lasting change is shown, {at_end}"


def _change(row: dict[str, Any]) -> str:
    return f"{row['difference']:+.3g} ({row['wide_low']:.3g} to {row['wide_high']:.3g})"
