"""The whole default report.

`rt report` on a run of the default extraction (16,128 positions of the default model; 2,024 for `make bench`): every
analysis, its intervals and nulls, figures and tables. The target was 60 s. The second row holds DuckDB to 1 GB.
Seconds depend on what else a machine does: the code of 2026-11-23 took 71 s (64 to 73) on a virtual machine of the
same kind whose processors others used too.
"""

import sys
import tempfile
from pathlib import Path

from scripts.bench.lakes import default_lake
from scripts.bench.results import Result, Table
from scripts.bench.timing import child, spread

PLAIN, LIMITED = ["-c", "from cli import main; main()"], ["-m", "scripts.bench.limited"]


def measure(full: bool) -> Result:
    """Seconds and memory of the report."""
    lake = default_lake(16_000 if full else 2_000)
    columns = ["", "s, median", "least", "most", "processor s", "most memory, MB"]
    table = Table("`rt report`", columns)
    for name, code in (("as it is", PLAIN), ("DuckDB's `memory_limit` at 1 GB", LIMITED)):
        repeats = 3 if full and code == PLAIN else 1
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["report", "--lake", str(lake), "--output", str(Path(folder) / "report.md")]
            runs = [child([sys.executable, *code, *arguments]) for _ in range(repeats)]
        processor = spread([run.processor for run in runs])[0]
        peak = max(run.peak for run in runs) / 1e6
        table.rows.append([name, *spread([run.wall for run in runs]), processor, peak])
    middle = table.rows[0][1]
    verdict = "reached" if middle <= 60 else "missed"
    return Result([table], [f"The target of 60 s is {verdict}: {middle:.0f} s."])
