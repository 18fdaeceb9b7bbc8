"""docs/benchmarks.md from the results: a section for each part, its text the docstring of the part's module."""

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench import results
from scripts.bench.parts import PARTS

HEAD = """# Benchmarks

<!-- Written by `python -m scripts.bench` from benchmarks.json: change the code, or measure again. -->

```sh
make bench         # small sizes, into .bench/: minutes
make bench-full    # full sizes, into docs/: hours; goes on where it stopped
.venv-bench/bin/python -m scripts.bench --full peers     # one part again
```

The tools that rt is compared with are installed into an environment of their own, `.venv-bench`, in the versions of
`scripts/bench/requirements.txt`. Where tools are compared, so are their answers, before any time is taken. What is
compared takes turns, so that other work on the machine slows all of it; ratios are of processor time, all threads of
the process, unless they are said to be by the clock, and the median over the turns. `least` and `most` are over the
repeats.
"""


def write_page(folder: Path) -> Path:
    """Write the page and its figure from what was measured; the page's path."""
    found = results.read(folder)
    path = folder / "benchmarks.md"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(page(found), encoding="utf-8")
    if any(part.get("points") for part in found.values()):
        from scripts.bench.figure import draw

        draw({name: panel for part in found.values() for name, panel in part["points"].items()}, folder)
    return path


def page(found: Mapping[str, Any]) -> str:
    """The page as Markdown; parts that were not measured are left out."""
    sections = [_section(part, found[part]) for part in PARTS if part in found]
    return "\n".join([HEAD, *sections, *_versions(found)]).rstrip() + "\n"


def _versions(found: Mapping[str, Any]) -> list[str]:
    """The versions that took part, once for all parts that had the same."""
    parts: dict[str, list[str]] = {}
    for part in (each for each in PARTS if each in found):
        said = ", ".join(f"{name} {version}" for name, version in found[part]["versions"].items())
        parts.setdefault(said, []).append(part)
    return ["## Versions", ""] + [f"{', '.join(names)}: {said}.\n" for said, names in parts.items()]


def _section(part: str, result: Mapping[str, Any]) -> str:
    title, _, text = _docstring(part).partition("\n\n")
    lines = [f"## {title.rstrip('.')}", "", text, ""]
    if result["points"]:
        lines += ["![Cost against tokens, neurons and vocabulary, with fitted slopes](benchmarks.svg)", ""]
    for table in result["tables"]:
        lines += [f"{table['caption']}:", "", _row(table["columns"]), "|---" * len(table["columns"]) + "|"]
        lines += [*map(_row, table["rows"]), ""]
    lines += [note + "\n" for note in result["notes"]]
    full = " --full" if result["sizes"] == "full" else ""
    lines += [
        f"`python -m scripts.bench{full} {part}`, {result['date']}, {result['seconds']} s, {result['machine']}, load "
        f"{result['load']} (processes that wanted a core in the last five minutes).",
        "",
    ]
    return "\n".join(lines)


def _docstring(part: str) -> str:
    """The docstring of a part's module, which is not imported: that would need what only .venv-bench has."""
    source = (Path(__file__).parent / f"{part}.py").read_text(encoding="utf-8")
    return inspect.cleandoc(ast.get_docstring(ast.parse(source)) or "")


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: object) -> str:
    """A number at three digits, a text as it is.

    >>> _cell(12345.6), _cell(0.01234), _cell(7), _cell("x"), _cell(None)
    ('12,346', '0.0123', '7', 'x', '')
    """
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
