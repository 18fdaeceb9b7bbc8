"""The app, the options that several commands have, and what they share on the way to the lake."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reports.formats import Format
from warehouse.errors import QueryError, RtError

if TYPE_CHECKING:
    import duckdb

app = typer.Typer(
    name="rt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Statistics of single neurons in language models: extract once, then ask in SQL.",
)


LAKE = Annotated[Path, typer.Option("--lake", envvar="RT_LAKE", help="Folder of the lake.")]
FORMAT = Annotated[
    Format | None,
    typer.Option("--format", help="How the table is printed; parquet needs --output, whose suffix is the default."),
]
OUTPUT = Annotated[Path | None, typer.Option("--output", help="File to write instead of printing.")]
RUNS = Annotated[list[str] | None, typer.Option("--run", help="Only this run; may be repeated. Default: all runs.")]
WHERE = Annotated[str, typer.Option(help='SQL condition on `tokens`, e.g. "position >= 32 and entropy > 2".')]
SEED = Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")]
QUANTILE = Annotated[float, typer.Option(help="Rare tokens: the bottom share of the vocabulary by frequency.")]
RARE_BY = Annotated[str, typer.Option(help="Whose rarity classes a position: `target` or `input` token.")]
DEFAULT_LAKE = Path("lake")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"rt {version('rt-neurons')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"`{line}`" for line in lines)


def need_torch() -> None:
    """Raise `RtError` where what touches a model is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise RtError(
            f"this command needs {' and '.join(missing)}",
            hint='install them with: pip install "rt-neurons[extract]" -c constraints.txt',
        )


def mend(lake: Path) -> None:
    """Bring the lake's `warehouse.duckdb` up to date: runs may have come or gone, or the lake was moved."""
    from warehouse.catalog import refresh_catalog

    refresh_catalog(lake)


def connect_lake(lake: Path, runs: Iterable[str] | None = None, where: str = "") -> "duckdb.DuckDBPyConnection":
    """The lake in DuckDB; says which runs are not in it."""
    from warehouse.connection import connect

    names = full_names(lake, runs)
    warn_of_unreadable(lake, names)
    con = connect(lake, names, where)
    mend(lake)
    return con


def warn_of_unreadable(lake: Path, chosen: Collection[str] = ()) -> None:
    """Name the runs, and the passes of runs, that are left out because their manifest cannot be read.

    Where runs are `chosen`, only passes of those.
    """
    from warehouse.lake import open_lake, with_pass

    opened = open_lake(lake)
    unreadable = {} if chosen else dict(opened.unreadable)
    for run in opened.runs:
        if not chosen or run.name in chosen:
            unreadable |= {with_pass(run.name, each): error for each, error in run.unreadable.items()}
    for name, error in unreadable.items():
        print(f"warning: {name} is left out: {error.message}; {error.hint}", file=sys.stderr)


def full_names(lake: Path, runs: Iterable[str] | None) -> list[str]:
    """The ids of runs that may be given by their beginnings."""
    from warehouse.lake import find_run

    return [find_run(lake, name).name for name in runs or ()]


def without_earlier(lake: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """The runs to report on if `names` were asked for (none: all), and the checkpoints that led to them.

    Of each sweep the last checkpoint stands for all, unless others were named. Where nothing is left out by that, the
    runs are `names` as they are, and the checkpoints none.
    """
    from warehouse.lake import open_lake
    from warehouse.sweeps import last_checkpoints, trajectories

    runs = open_lake(lake).runs
    last = last_checkpoints(runs)
    chosen = names or ([] if len(last) == len(runs) else last)
    checkpoints = trajectories(runs, chosen)
    return chosen, checkpoints if set(checkpoints) > set(chosen) else []


def token_classes(rare_quantile: float, rare_by: str) -> dict[str, Any]:
    """The parameters of an analysis that say which tokens are rare. Raises `QueryError` for what cannot be."""
    if not 0 < rare_quantile < 1:
        raise QueryError(f"--rare-quantile {rare_quantile}", hint="a share between 0 and 1, both excluded")
    if rare_by not in ("target", "input"):
        raise QueryError(f"--rare-by {rare_by}", hint="allowed: target, input")
    return {"rare_quantile": rare_quantile, "rare_by": rare_by}
