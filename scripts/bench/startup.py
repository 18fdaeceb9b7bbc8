"""How long `rt` takes to start.

Whole processes, in turns with a Python that does nothing; the lake of `rt ls` has one run. The target is 0.5 s.
"""

import sys

from scripts.bench.lakes import default_lake
from scripts.bench.results import Result, Table
from scripts.bench.timing import Child, child, spread

RT = "from cli import main; main()"


def measure(full: bool) -> Result:
    """Seconds of `rt --help` and `rt ls`."""
    lake = default_lake(16_000 if full else 2_000)
    commands = {
        "python -c pass": ["-c", "pass"],
        "rt --help": ["-c", RT, "--help"],
        "rt ls": ["-c", RT, "ls", "--lake", str(lake)],
    }
    found: dict[str, list[Child]] = {name: [] for name in commands}
    for _ in range(15 if full else 5):
        for name, arguments in commands.items():
            found[name].append(child([sys.executable, *arguments]))
    table = Table("Whole processes", ["", "s, median", "least", "most", "processor s"])
    for name, runs in found.items():
        processor = spread([run.processor for run in runs])[0]
        table.rows.append([f"`{name}`", *spread([run.wall for run in runs]), processor])
    return Result([table])
