"""What can be asked of a report, and where it can be: told before anything is imported that takes long."""

from collections.abc import Sequence
from pathlib import Path

import queries
from warehouse.errors import RtError


def selected(only: Sequence[str]) -> list[str]:
    """The slugs to report on, by name."""
    known = queries.slugs()
    if unknown := [slug for slug in only if slug not in known]:
        raise queries.no_analysis(unknown[0])
    return [slug for slug in known if slug in only] if only else known


def check_report(output: Path, only: Sequence[str] = (), html: bool = False) -> None:
    """Raise `RtError` for a path that no report (or page) can have, `QueryError` for an unknown slug."""
    selected(only)
    if output.suffix != ".md" or output.is_dir():
        raise RtError(f"a report is a Markdown file, not {output}", hint="give a path that ends in .md")
    if html and output.with_suffix(".html").is_dir():
        raise RtError(
            f"{output.with_suffix('.html')} is a folder, the page would go there", hint="choose another place"
        )


def check_outside(output: Path, lake: Path) -> None:
    """Raise `RtError` if `output` is among the files of the lake."""
    root = lake.resolve()
    kept = (root / "runs", root / "staging", root / "warehouse.duckdb")
    if any(output.resolve().is_relative_to(each) for each in kept):
        raise RtError(f"--output {output} is in the lake, which is only read", hint="choose another place")
