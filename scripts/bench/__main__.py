"""Benchmarks of rt beside the tools that people use today.

    python -m scripts.bench                       every part, small sizes, into .bench/: minutes
    python -m scripts.bench --full                every part, full sizes, into docs/: hours
    python -m scripts.bench --full peers storage  only these parts; the others keep what was measured
    python -m scripts.bench --full --resume       only the parts that were not yet measured at this commit
    python -m scripts.bench --full --page         only write the page from what was measured

Each part runs in its own process; one that fails leaves its earlier result, and the others go on. It needs the
environment .venv-bench, which `make bench` makes.
"""

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

from scripts.bench import results
from scripts.bench.page import write_page
from scripts.bench.parts import PARTS


def main() -> int:
    """Measure what is asked for; 1 if a part failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--full", action="store_true", help="full sizes, into docs/")
    parser.add_argument("--resume", action="store_true", help="leave out what was measured at this commit")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    folder = Path("docs" if options.full else ".bench")
    if options.one:
        measure(options.parts[0], options.full, folder)
        return 0
    failed = []
    for part in [] if options.page else options.parts or list(PARTS):
        if options.resume and results.read(folder).get(part, {}).get("commit") == results.commit():
            print(f"{part}: measured at this commit already", flush=True)
            continue
        again = [sys.executable, "-m", "scripts.bench", "--one", part, *(["--full"] if options.full else [])]
        if subprocess.run(again, check=False).returncode:
            failed.append(part)
            print(f"{part}: failed", flush=True)
        write_page(folder)
    print(f"page: {write_page(folder)}")
    return 1 if failed else 0


def measure(part: str, full: bool, folder: Path) -> None:
    """Measure one part in this process and keep its result."""
    print(f"== {part}", flush=True)
    begun = time.monotonic()
    result = importlib.import_module(f"scripts.bench.{part}").measure(full)
    seconds = round(time.monotonic() - begun)
    results.keep(folder, part, result, {"sizes": "full" if full else "small", "seconds": seconds})
    print(f"{part}: {seconds} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
