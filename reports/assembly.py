"""The Markdown of a whole report: what was measured, the summary, provenance, and the chapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reports import provenance
from reports.checkpoints import checkpoints
from reports.markdown import code, escape
from reports.provenance import Source
from reports.sections import Outcome, section
from reports.summary import summary


@dataclass(frozen=True)
class Facts:
    """What a report is about: the runs, run id -> name, the checkpoints over training steps, what was asked for."""

    runs: pl.DataFrame
    names: Mapping[str, str]
    checkpoints: pl.DataFrame
    parameters: Mapping[str, Any]
    source: Source
    seed: int


def report_text(facts: Facts, outcomes: Sequence[Outcome], unasked: Sequence[Outcome], command: str, last: str) -> str:
    """The whole Markdown file; `unasked` are questions about what the lake has not, `last` is a chapter at the end."""
    models = ", ".join(escape(name) for name in facts.names.values()) or "an empty lake"
    empty = facts.runs.is_empty()
    parts = [f"# What single neurons do in {models}"]
    parts.append("**The lake has no run.** Run `rt extract` to measure a model." if empty else _lead(facts))
    parts += ["## Summary", summary(outcomes, unasked, facts.names), "## Provenance"]
    if not empty:
        parts.append(provenance.provenance(facts.runs, facts.names, facts.parameters, facts.source))
    if trained := checkpoints(facts.checkpoints):
        parts.append(trained)
    parts += [
        "What this report was asked for:",
        provenance.choices(facts.seed, facts.parameters, facts.source),
        *([f"Command: {code(command)}"] if command else []),
    ]
    shown: dict[str, str] = {}  # SQL -> the section that has it
    for chapter in dict.fromkeys(outcome.chapter for outcome in outcomes):
        parts.append(f"## {chapter}")
        parts += [
            section(outcome, facts.parameters, facts.source.condition_of(outcome.over_steps), shown)
            for outcome in outcomes
            if outcome.chapter == chapter
        ]
    return "\n\n".join([*parts, *([last] if last else [])]) + "\n"


def _lead(facts: Facts) -> str:
    """What was measured, and which part of it the report is about."""
    where = facts.source.where
    only = f" Only positions with {code(where)} were used." if where else ""
    rare = provenance.rare_tokens(facts.parameters)
    return f"{provenance.lead(facts.runs, facts.names)}\n\nRare tokens: {rare}.{only}"
