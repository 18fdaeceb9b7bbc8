"""The command line: simulate what is missing, then write the table and the figure from all that is there.

python -m calibration                          all analyses, 1,000 simulations of each design, 200 for power
python -m calibration influence spectra        these analyses only
python -m calibration --simulations 200        fewer; a later run with more goes on from there
python -m calibration --no-simulations         only pack what is kept and write docs/calibration.* anew
python -m calibration --check                  a few simulations of each design, held against the limits
"""

import argparse
import sys
from pathlib import Path

from calibration.check import check, published_faults
from calibration.families import slugs
from calibration.figure import write
from calibration.page import page
from calibration.rates import rates
from calibration.runs import missing, simulate_all
from calibration.store import FOLDER, pack


def main() -> int:
    """Parse, simulate, write; 1 where something is outside its limits."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description=__doc__.splitlines()[0])
    parser.add_argument("slugs", nargs="*", metavar="ANALYSIS", help="only these analyses; all by default")
    parser.add_argument("--simulations", type=int, default=1000, help="simulations of each design (default 1000)")
    parser.add_argument("--no-simulations", action="store_true", help="only write the table and the figure anew")
    parser.add_argument("--check", action="store_true", help="a few simulations of each design, nothing written")
    parser.add_argument("--processes", type=int, default=1, help="processes, of one thread each (default 1)")
    parser.add_argument("--results", type=Path, default=FOLDER, help=f"where outcomes are kept (default {FOLDER})")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where table and figure go (default docs)")
    options = parser.parse_args()
    if unknown := sorted(set(options.slugs) - set(slugs())):
        parser.error(f"no analysis {', '.join(unknown)}; there are: {', '.join(slugs())}")
    wanted = options.slugs or slugs()
    if options.check:
        return _report(check(wanted, options.processes) + published_faults(options.docs))
    if not options.no_simulations:
        simulate_all(missing(wanted, options.simulations, options.results), options.processes)
    pack(options.results)
    table = rates(options.results)
    table.write_csv(options.docs / "calibration.csv", float_precision=6)
    (options.docs / "calibration.md").write_text(page(table), encoding="utf-8")
    write(table, options.docs / "calibration.svg")
    return _report(published_faults(options.docs))


def _report(faults: list[str]) -> int:
    """Print what is outside its limits."""
    for fault in faults:
        print(f"outside its limits: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
