"""`influence` beside a bare scan, pandas and torch.

A simulated run: 25,000 positions x 1,536 neurons in 100 documents (5,000 positions for `make bench`). The bare scan
reads the two columns that the question is about, neuron and delta_loss, in DuckDB, and adds them up. The question that
all can answer is the mean size of the delta by neuron and token class: rt in SQL from the lake, pandas from the same
Parquet file, torch from a `.pt` file with the same matrix, each from the disk to the answer. `influence` also gives
intervals and ranks of every neuron and class from B resamples of the documents, and sign tests: its target was twice
the bare scan.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import torch

import queries
from queries import PARAMETERS
from queries.stats.bootstrap import document_weights, replicates
from queries.stats.document_sums import document_sums
from scripts.bench.lakes import simulated_lake
from scripts.bench.results import Result, Table
from scripts.bench.timing import asked, in_turns, ratio, spread
from warehouse.connection import connect, frame

N_NEURONS = 1_536
QUESTION = """select token_class, neuron, avg(abs(delta_loss)) as influence
from ablations join token_classes() using (run, token_index) group by all order by all"""
SCAN = "select sum(neuron), sum(delta_loss) from neuron_tokens"


def measure(full: bool) -> Result:
    """Answers first, then times in turns, then memory."""
    n_positions, repeats = (25_000, 5) if full else (5_000, 2)
    lake = simulated_lake(n_positions, N_NEURONS)
    con = connect(lake)
    (file,) = lake.glob("runs/*/neuron_tokens/*.parquet")
    classes = frame(con, "select token_index, token_class from token_classes() order by token_index")
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "delta.pt"
        values = pq.read_table(file, columns=["delta_loss"]).column(0).to_numpy()
        torch.save(torch.from_numpy(np.ascontiguousarray(values.reshape(N_NEURONS, -1).T)), matrix)
        del values
        ours, theirs = _answers(con, file, matrix, classes)
        gap = _compare(ours, theirs)
        turns = in_turns({**_rt(con), **ours, **theirs}, repeats)
    table = _times(turns, n_positions)
    note = f"The answers of rt, pandas and torch agree to {gap:.1g} relative (allowed: 1e-5; torch adds up in float32)."
    return Result([table, _memory(lake, file)], [note, _target(table)])


def _rt(con: duckdb.DuckDBPyConnection) -> dict[str, Callable[[], object]]:
    analysis = queries.load("influence")
    rows = frame(con, analysis.sql, PARAMETERS)
    return {
        "bare scan of neuron and delta_loss": lambda: con.execute(SCAN).fetchall(),
        "rt, sums per document and class (the SQL of `influence`)": lambda: frame(con, analysis.sql, PARAMETERS),
        "rt, B = 10,000 resampled means of every neuron": lambda: _means(rows),
        "rt, `influence` whole, B = 2,000": lambda: queries.run(con, analysis),
        "rt, `influence` whole, B = 10,000": lambda: queries.run(con, analysis.with_effort(10_000)),
    }


def _means(rows: pl.DataFrame) -> None:
    """The product of resample counts and document sums, in blocks of replicates, one class."""
    names = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
    sums = document_sums(*(rows[name].to_numpy() for name in names)).classes["all"]
    weights = document_weights(len(sums.counts), 10_000, np.random.default_rng(0))
    for first in range(0, 10_000, 2_000):
        replicates(sums.absolute, sums.counts, weights[first : first + 2_000])


def _answers(
    con: duckdb.DuckDBPyConnection, file: Path, matrix: Path, classes: pl.DataFrame
) -> tuple[dict[str, Callable[[], Any]], dict[str, Callable[[], Any]]]:
    """Ways to the means of |delta|, (classes, neurons) in the order common, rare."""
    import pandas as pd

    n = int(classes["token_index"].max()) + 1  # type: ignore[arg-type]
    code = np.full(n, -1, dtype=np.int8)
    code[classes["token_index"].to_numpy()] = (classes["token_class"] == "rare").to_numpy()

    def with_pandas() -> np.ndarray:
        rows = pd.read_parquet(file, columns=["neuron", "token_index", "delta_loss"])
        rows["token_class"] = code[rows["token_index"].to_numpy()]
        rows["size"] = rows["delta_loss"].abs().astype(np.float64)
        rows = rows[rows["token_class"] >= 0]
        return rows.groupby(["token_class", "neuron"])["size"].mean().to_numpy().reshape(2, -1)

    def with_torch() -> np.ndarray:
        size, of = torch.load(matrix).abs(), torch.from_numpy(code)
        return torch.stack([size[of == each].mean(0) for each in (0, 1)]).numpy()

    def with_sql() -> np.ndarray:
        return frame(con, QUESTION)["influence"].to_numpy().reshape(2, -1)

    return {"rt, the question in SQL": with_sql}, {
        "pandas, the question": with_pandas,
        "torch, the question": with_torch,
    }


def _compare(ours: dict[str, Callable[[], Any]], theirs: dict[str, Callable[[], Any]]) -> float:
    (mine,) = (way() for way in ours.values())
    gap = max(float(np.abs(way() / mine - 1).max()) for way in theirs.values())
    if gap > 1e-5:
        raise SystemExit(f"answers differ by {gap:.2g} relative")
    return gap


def _times(turns: dict[str, Any], n_positions: int) -> Table:
    base = turns["bare scan of neuron and delta_loss"]
    columns = ["", "s, median", "least", "most", "processor s", "times the bare scan"]
    table = Table(f"{n_positions:,} positions x {N_NEURONS:,} neurons", columns)
    for name, mine in turns.items():
        processor = spread([turn.processor for turn in mine])[0]
        table.rows.append([name, *spread([turn.wall for turn in mine]), processor, ratio(mine, base)])
    return table


def _target(table: Table) -> str:
    found = {row[0]: row[-1] for row in table.rows}
    whole = found["rt, `influence` whole, B = 10,000"]
    sums = found["rt, sums per document and class (the SQL of `influence`)"]
    means = found["rt, B = 10,000 resampled means of every neuron"]
    verdict = "reached" if whole <= 2 else "missed"
    return (
        f"The target of 2 is {verdict}: `influence` with B = 10,000 takes {whole:.0f} times the bare scan. The sums "
        f"per document take {sums:.1f} of it, as they read one column more and add every pair to one of many sums; the "
        f"resampled means of one statistic of one class {means:.1f}, and there are six of them; the rest is the ends "
        "of their BCa intervals, for which all replicates are sorted, sign tests of three classes, and ranks and the "
        "ranked curve of the first 2,000 resamples."
    )


def _memory(lake: Path, file: Path) -> Table:
    raw = pq.read_metadata(file).num_rows * 16 / 1e6
    table = Table(
        f"Memory of a process that runs `influence` on it ({file.stat().st_size / 1e6:,.0f} MB of Parquet, "
        f"{raw:,.0f} MB as columns), by DuckDB's `memory_limit`",
        ["memory_limit", "most memory, MB", "s"],
    )
    for limit in ("4GB", "1GB", "256MB"):
        found = asked("influence", lake, limit)
        table.rows.append([limit, found.peak / 1e6, found.wall])
    return table
