"""A lake of a few rows and an analysis of made-up numbers, for reports about nothing in particular."""

import math

import duckdb
import polars as pl

from queries import Analysis, Chart, Claim, finding
from warehouse.catalog import SQL as VIEWS
from warehouse.schema import RUN, TABLES

RUN_A, RUN_B = "r-aaaaaaaaaa", "r-bbbbbbbbbb"
CLASSES = ("all", "common", "rare")


def lake(*runs):
    """Every table of the schema, with one run of 4 positions in 2 documents for each (id, model)."""
    con = duckdb.connect()
    con.execute("set enable_progress_bar = false")
    for table in TABLES.values():
        columns = ", ".join(f'"{column.name}" {column.type}' for column in (RUN, *table.columns))
        con.execute(f"create table {table.name} ({columns})")
    con.execute((VIEWS / "02_sweep_runs.sql").read_text(encoding="utf-8"))
    for run, model in runs:
        con.execute(
            """
            insert into runs by name
            select $run as run, 'extracted' as origin, timestamp '2026-01-02 03:04:05' as created_at,
                '0.1.0' as rt_version, $model as model, 'main' as revision, repeat('ab', 32) as model_sha256,
                5 as layer, 1024 as d_model, 4096 as d_mlp, 50000 as n_vocabulary, 'openings' as corpus,
                'token ids as ranks' as unigram_source, 256 as context, 3 as skip, false as bos, 0 as seed,
                'float32' as dtype, 'cpu' as device, 2 as n_documents, 4 as n_windows, 4 as n_positions
            """,
            {"run": run, "model": model},
        )
        con.execute(
            "insert into tokens by name select $run as run, range::int as token_index, (range // 2)::int as document, "
            "range::int as target_id, 1.5::float as loss from range(4)",
            {"run": run},
        )
    return con


def estimate(frame, rng):
    noise = rng.random()
    rows = [
        (run, token_class, neuron, 1 / (neuron + 1) / (place + 1), 0.01, 2.0, 4, neuron + 1, noise, None)
        for run in sorted(frame["run"])
        for place, token_class in enumerate(CLASSES)
        for neuron in range(6)
    ]
    names = ["run", "token_class", "neuron", "estimate", "low", "high", "n", "rank", "noise", "reason"]
    table = pl.DataFrame(rows, schema={**dict.fromkeys(names), "reason": pl.String}, orient="row")
    odd = (pl.col("token_class") == "rare") & (pl.col("neuron") == 3)
    return table.with_columns(
        *(pl.when(odd).then(math.nan).otherwise(pl.col(name)).alias(name) for name in ("estimate", "low", "high")),
        reason=pl.when(odd).then(pl.lit("only 1 document holds a rare token")),
    )


SQL = """-- Grain: one row per (run).
select run, count(*) as n from tokens where $rare_by = 'target' group by run order by run
"""


SHARE = Analysis(
    chapter="Influence",
    keys=("run", "token_class", "neuron"),
    unit="nats",
    resampled="documents",
    columns={"rank": "Rank by influence.", "noise": "A number from the seed."},
    chart=Chart("rank_curve", ("influence",)),
    estimate=estimate,
    answer=lambda table: f"- {table.height} rows.\n- And a second point.",
    excerpt=lambda table: table.filter(pl.col("neuron") < 4).drop("noise"),
    needs=("tokens.loss",),
    question="Which neurons matter?",
    explanation="Read it from left to right.",
    caveats="It is made up.",
    source="Nobody (2026).",
    sql=SQL,
    claims=(
        Claim(
            "The first leads",
            "nobody",
            "influence of neuron 0",
            lambda table: finding("noise", q="noise", neuron=0)(table.with_columns(verdict=pl.lit("supported"))),
        ),
    ),
)


def fail(frame, rng):
    raise RuntimeError("no | luck <b>here</b>")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
