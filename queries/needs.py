"""What an analysis needs that a lake lacks, and the command that measures it."""

from collections.abc import Iterable

import duckdb

from queries import Analysis
from warehouse.connection import frame
from warehouse.schema import PASSES, TABLES

TRAJECTORY = "trajectory_states"  # a view, of a sweep's runs or of files


def missing(con: duckdb.DuckDBPyConnection, analysis: Analysis) -> list[str]:
    """The columns that the analysis needs and that hold no value; `runs.sweep` where it has no checkpoints."""
    if analysis.over_steps and not of_trajectories(analysis) and not has_sweep(con):
        return ["runs.sweep"]
    empty = []
    for need in analysis.needs:
        table, _, column = need.partition(".")
        if frame(con, f"select 1 from {table} where {column} is not null limit 1").is_empty():
            empty.append(need)
    return empty


def has_sweep(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any sweep has two checkpoints or more, so that there is something over steps."""
    several = "select 1 from sweep_runs group by sweep having count(*) > 1 limit 1"
    return not frame(con, several).is_empty()


def extraction(columns: Iterable[str]) -> str:
    """The command that measures `columns` (`table.column`).

    >>> extraction(["neuron_tokens.delta_frozen_norm"])
    'rt extract --frozen-tokens 4000'
    >>> extraction(["neuron_tokens.delta_loss", "head_tokens.delta_loss"])
    'rt extract --heads'
    >>> extraction(["runs.sweep"])
    "rt sweep --model FOLDER --revisions 'step*'"
    """
    names = list(columns)
    if "runs.sweep" in names or any(name.startswith(TRAJECTORY) for name in names):
        return "rt sweep --model FOLDER --revisions 'step*'"
    passes = dict.fromkeys(PASSES[of] for name in names if (of := TABLES[name.partition(".")[0]].of_pass))
    if passes:
        return " and ".join(passes)
    return "rt extract --frozen-tokens 4000" if any("frozen" in name for name in names) else "rt extract"


def importable(columns: Iterable[str]) -> bool:
    """Whether `rt import` takes `columns` (`table.column`) too: not those of the tables of an optional pass, nor views.

    >>> importable(["neuron_tokens.delta_loss"]), importable(["head_tokens.delta_loss"])
    (True, False)
    """
    tables = [TABLES.get(name.partition(".")[0]) for name in columns]
    return not any(table is None or table.of_pass for table in tables)


def of_trajectories(analysis: Analysis) -> bool:
    """Whether trajectories are all that the analysis needs, so that files of them will do."""
    return all(need.startswith(f"{TRAJECTORY}.") for need in analysis.needs)
