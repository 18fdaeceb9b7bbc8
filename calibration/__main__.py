"""The command line: simulate what is missing, then write the table and the figure from all that is there.

python -m calibration                          all analyses, 1,000 simulations of each design
python -m calibration influence spectra        these analyses only
python -m calibration --simulations 200        fewer; a later run with more goes on from there
python -m calibration --no-simulations         only write docs/calibration.md and docs/calibration.svg anew
"""

import argparse
import os
from multiprocessing import get_context
from pathlib import Path

from calibration.families import slugs
from calibration.runs import FOLDER, Batch, missing, run


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description=__doc__.splitlines()[0])
    parser.add_argument("slugs", nargs="*", metavar="ANALYSIS", help="only these analyses; all by default")
    parser.add_argument("--simulations", type=int, default=1000, help="simulations of each design (default 1000)")
    parser.add_argument("--no-simulations", action="store_true", help="only write the table and the figure anew")
    parser.add_argument("--processes", type=int, default=1, help="processes, of one thread each (default 1)")
    parser.add_argument("--results", type=Path, default=FOLDER, help=f"where outcomes are kept (default {FOLDER})")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where table and figure go (default docs)")
    options = parser.parse_args()
    if unknown := sorted(set(options.slugs) - set(slugs())):
        parser.error(f"no analysis {', '.join(unknown)}; there are: {', '.join(slugs())}")
    if not options.no_simulations:
        wanted = options.slugs or slugs()
        simulate_all(list(missing(wanted, options.simulations, options.results)), options.processes)


def simulate_all(batches: list[Batch], n_processes: int) -> None:
    """Run the batches, each in a process of one thread, and say what is done."""
    # threads of the numerical libraries are counted when a process starts
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", POLARS_MAX_THREADS="1")
    with get_context("spawn").Pool(n_processes, maxtasksperchild=20) as pool:
        for i, batch in enumerate(pool.imap_unordered(run, batches), start=1):
            print(
                f"{i}/{len(batches)} {batch.family}-{batch.design} {batch.number}: {', '.join(batch.slugs)}", flush=True
            )


if __name__ == "__main__":
    main()
