"""The command as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rt(*arguments, cwd=ROOT, stdin="", **environment):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from cli import main; main()",
            *arguments,
        ],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def failed(result, *words):
    assert result.returncode == 1, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) <= 2, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in result.stderr


def write_format(run, number):
    """Give the run's manifest another format, as another version of rt would."""
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))
