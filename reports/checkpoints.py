"""The checkpoints that analyses over training steps see, for the provenance of a report."""

import duckdb
import polars as pl

from reports.markdown import code, details, escape, rows
from warehouse.connection import frame

_SHORT = 12  # characters of a hash


def read_checkpoints(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """One row per sweep and step, of sweeps with several: what the table of `checkpoints` shows."""
    return frame(
        con,
        """select sweep_runs.last_run, sweep_runs.step, run, revision, weights_sha256, created_at, n_positions
        from sweep_runs inner join runs using (run)
        qualify count(*) over (partition by sweep_runs.sweep) > 1
        order by sweep_runs.last_run, sweep_runs.step""",
    )


def checkpoints(table: pl.DataFrame) -> str:
    """The table that a click opens; empty without checkpoints. Of several sweeps, one after the other."""
    if table.is_empty():
        return ""
    body = [
        [
            f"{row['step']:,}", code(row["run"]), escape(row["revision"] or "-"),
            code((row["weights_sha256"] or "-")[:_SHORT]), str(row["created_at"])[:19], f"{row['n_positions']:,}",
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    header = ["Step", "Run", "Revision", "Weights (SHA-256)", "Measured (UTC)", "Positions"]
    shown = rows(header, body, [True, False, False, False, False, True])
    return details(f"The checkpoints of the training: {len(body):,} runs", shown)
