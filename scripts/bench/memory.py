"""The memory of every analysis on a lake larger than DuckDB may hold.

A simulated run with activations, deltas, frozen deltas and weights: 274,176 positions x 1,536 neurons in 1,000
documents (20,000 x 256 in 100 for `make bench`), with a plateau of one neuron in 60. Its `neuron_tokens` are 10 GB
uncompressed, ten times DuckDB's `memory_limit` of 1 GB. Every analysis that such a run can answer is asked once, in a
process of its own; its memory is the most that this process had, with Python, its libraries and DuckDB.
"""

import queries
from scripts.bench.lakes import simulated_lake
from scripts.bench.results import Result, Table
from scripts.bench.timing import asked
from warehouse.connection import connect

BYTES = 24  # of a pair, uncompressed: two ids and four values


def measure(full: bool) -> Result:
    """Memory and seconds of each analysis, in the order of their memory."""
    n_positions, n_neurons, n_documents = (274_176, 1_536, 1_000) if full else (20_000, 256, 100)
    small = connect(simulated_lake(2_000, 120, 20, is_whole=True))
    slugs = [slug for slug in queries.slugs() if not queries.run(small, queries.load(slug)).is_empty()]
    lake = simulated_lake(n_positions, n_neurons, n_documents, is_whole=True)
    found = {}
    for slug in slugs:
        found[slug] = asked(slug, lake, "1GB")
        print(f"{slug}: {found[slug].peak / 1e6:,.0f} MB, {found[slug].wall:.0f} s", flush=True)
    n_pairs = n_positions * n_neurons
    caption = (
        f"{n_positions:,} positions x {n_neurons:,} neurons, {n_documents:,} documents, `neuron_tokens` "
        f"{BYTES * n_pairs / 1e9:.1f} GB uncompressed, DuckDB's `memory_limit` 1 GB"
    )
    table = Table(caption, ["", "most memory, MB", "s"])
    for slug in sorted(found, key=lambda slug: found[slug].peak):
        table.rows.append([f"`{slug}`", found[slug].peak / 1e6, found[slug].wall])
    return Result([table], [f"The matrix of positions x neurons alone, as float32, is {4 * n_pairs / 1e6:,.0f} MB."])
