"""Commands that ask the lake: sql, run, report."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    DEFAULT_LAKE,
    FORMAT,
    LAKE,
    OUTPUT,
    QUANTILE,
    RARE_BY,
    RUNS,
    SEED,
    WHERE,
    app,
    connect_lake,
    examples,
    full_names,
    token_classes,
    warn_of_unreadable,
    without_earlier,
)
from warehouse.errors import LakeError, QueryError, RtError

if TYPE_CHECKING:
    import duckdb

    from queries import Analysis


@app.command(
    epilog=examples(
        "rt sql",
        'rt sql "select neuron, avg(abs(delta_loss)) from ablations group by neuron order by 2 desc limit 5"',
        'rt sql "from tokens" --format csv --output tokens.csv',
    )
)
def sql(
    query: Annotated[
        str | None, typer.Argument(help="What to ask; several statements with `;`. Without it the DuckDB shell opens.")
    ] = None,
    lake: LAKE = DEFAULT_LAKE,
    form: FORMAT = None,
    output: OUTPUT = None,
) -> None:
    """Open the DuckDB shell on the lake, read-only, or print the rows of a query.

    A query only reads; what would write (create, copy, insert, attach, ...) is refused.
    """
    from warehouse.catalog import comments, refresh_catalog
    from warehouse.connection import frame

    if query is None:
        if form is not None or output is not None:
            raise QueryError("--format and --output need a query", hint='for example: rt sql "from tokens"')
        warn_of_unreadable(lake)
        catalog = refresh_catalog(lake)
        beside = Path(sys.executable).with_name("duckdb")
        shell = str(beside) if beside.exists() else shutil.which("duckdb")
        if shell is None:
            raise RtError("no DuckDB shell found", hint="pip install duckdb-cli, or put `duckdb` on the PATH")
        sys.exit(subprocess.run([shell, "-readonly", str(catalog)], check=False).returncode)
    from reports.output import Destination
    from warehouse.statements import reading_statements

    destination = Destination.of(form, output, lake)
    statements = reading_statements(query)
    if output is not None and len(statements) > 1:
        raise QueryError(f"--output takes one statement, not {len(statements)}", hint="run them one by one")
    con = connect_lake(lake)
    con.execute(comments())
    con.execute("set lock_configuration = true")  # some functions, called in a select, would open files to write
    for statement in statements:
        # 6 digits: unlike an analysis, a query may be about small differences of large numbers
        destination.show(frame(con, statement), digits=6)


@app.command(
    epilog=examples(
        "rt run --list",
        "rt run influence",
        'rt run regimes --run r-0123456789 --where "position >= 32" --format markdown',
        "rt run influence --rare-quantile 0.2 --format parquet --output influence.parquet",
        "rt run phase --states training/states.parquet",
    )
)
def run(
    slug: Annotated[str | None, typer.Argument(help="The analysis; see --list.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the analyses with their questions.")] = False,
    lake: LAKE = DEFAULT_LAKE,
    runs: RUNS = None,
    where: WHERE = "",
    seed: SEED = 0,
    rare_quantile: QUANTILE = 0.5,
    rare_by: RARE_BY = "target",
    states: Annotated[
        list[Path] | None,
        typer.Option(
            "--states",
            help="Instead of a lake: Parquet of (step, sample, vector), a training; may be repeated. For analyses of "
            "trajectories.",
        ),
    ] = None,
    form: FORMAT = None,
    output: OUTPUT = None,
) -> None:
    """Run one analysis and print its table."""
    import queries
    from queries.needs import missing

    if list_ or slug is None:
        width = max(map(len, queries.slugs()))
        for name in queries.slugs():
            print(f"{name:{width}}  {queries.load(name).question}")
        return
    from reports.output import Destination
    from warehouse.connection import connect

    analysis = queries.load(slug)
    destination = Destination.of(form, output, lake)
    parameters = token_classes(rare_quantile, rare_by)
    steps = None
    if states:
        con = connect_files(analysis, states, runs, where)
    else:
        if analysis.over_steps:
            runs, checkpoints = without_earlier(lake, full_names(lake, runs))
            steps = cache(partial(connect, lake, checkpoints or runs, where))
        con = connect_lake(lake, runs, where)
    if lacking := missing(steps() if steps else con, analysis):
        raise QueryError(
            f"nothing to compute {slug} from: no values in {', '.join(lacking)}", hint=lack_hint(lacking, bool(states))
        )
    table = queries.run(con, analysis, seed, parameters, steps)
    if table.is_empty() and analysis.subject:
        raise QueryError(
            f"nothing to compute {slug} from: it needs {analysis.subject}", hint=f"`{analysis.subject_from}` adds it"
        )
    if table.is_empty():
        raise QueryError(
            f"nothing to compute {slug} from: no position is left that has a token class",
            hint='rt sql "select token_class, count(*) from token_classes() group by all" counts them',
        )
    destination.show(table, analysis.keys, analysis.p_floors, excerpt=analysis.excerpt)
    print(analysis.answer(table), file=sys.stderr)


def lack_hint(lacking: Sequence[str], is_of_files: bool) -> str:
    """How to come by the columns (`table.column`) that an analysis lacks."""
    from queries.needs import TRAJECTORY, extraction, importable

    of_files = [name.partition(".")[2] for name in lacking if name.startswith(f"{TRAJECTORY}.")]
    if of_files and (is_of_files or of_files != ["vector"]):
        return f"give files that have them: --states FILE with columns {', '.join(['step, sample, vector', *of_files])}"
    hint = f"`{extraction(lacking)}` measures them"
    if of_files:
        return f"{hint}, or give files of a training: --states FILE"
    return f"{hint}{', `rt import` brings them in' if importable(lacking) else ''}"


def connect_files(
    analysis: "Analysis", states: Sequence[Path], runs: Sequence[str] | None, where: str
) -> "duckdb.DuckDBPyConnection":
    """The files as trajectories, for an analysis that asks for nothing else."""
    import queries
    from queries.needs import of_trajectories
    from warehouse.trajectories import connect_states

    if not of_trajectories(analysis):
        fitting = [slug for slug in queries.slugs() if of_trajectories(queries.load(slug))]
        raise QueryError(f"{analysis.slug} reads a lake, not --states", hint=f"these do: {', '.join(fitting)}")
    if runs or where:
        raise QueryError(
            f"{'--run' if runs else '--where'} chooses from a lake, not from --states", hint="leave it out"
        )
    return connect_states(states)


@app.command(
    epilog=examples("rt report", "rt report --html", "rt report --run r-0123456789 --output out/report.md --strict")
)
def report(
    lake: LAKE = DEFAULT_LAKE,
    output: Annotated[Path, typer.Option(help="The Markdown file; figures and tables go beside it.")] = Path(
        "report/report.md"
    ),
    runs: RUNS = None,
    where: WHERE = "",
    only: Annotated[list[str] | None, typer.Option(help="Only this analysis; may be repeated.")] = None,
    seed: SEED = 0,
    rare_quantile: QUANTILE = 0.5,
    rare_by: RARE_BY = "target",
    html: Annotated[bool, typer.Option("--html", help="Write one self-contained page as well.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first analysis that fails.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="How many analyses at once; each takes memory. Default: one a processor, at most 4."),
    ] = None,
) -> None:
    """Run every analysis and write a Markdown report with figures and tables."""
    from queries.parallel import Workers
    from queries.parallel import processes as all_processes
    from reports.places import check_outside, check_report
    from warehouse.connection import connect
    from warehouse.lake import open_lake

    check_report(output, only or (), html)
    check_outside(output, lake)
    parameters = token_classes(rare_quantile, rare_by)
    opened = open_lake(lake)
    if not opened.runs:
        raise no_run(lake, opened.unreadable)
    named = full_names(lake, runs)
    names, checkpoints = without_earlier(lake, named)
    con = connect_lake(lake, names, where)
    manifests = {run.name: {**run.manifest, "passes": run.passes} for run in opened.runs}
    steps = partial(connect, lake, checkpoints or names or list(manifests), where)
    n_processes = 1 if only and len(only) == 1 else processes or all_processes()
    with ExitStack() as stack:
        workers = None
        if n_processes > 1:  # they begin while this process imports what writes the page
            opener = partial(connect, lake, names or list(manifests), where)
            workers = stack.enter_context(Workers(opener, seed, parameters, n_processes, steps))
        from reports.provenance import Source
        from reports.report import write_report

        written = write_report(
            con,
            output,
            seed=seed,
            parameters=parameters,
            source=Source(where, tuple(names), manifests, tuple(checkpoints), is_last=names != named),
            only=only or (),
            html=html,
            strict=strict,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
            command=shlex.join(["rt", *sys.argv[1:]]),
            steps=steps,
            workers=workers,
        )
    print(f"report: {written.path}")
    if written.html_path:
        print(f"page: {written.html_path}")
    if written.failed:
        raise QueryError(
            f"failed: {', '.join(written.failed)}", hint="their sections say why; --strict shows the first"
        )


def no_run(lake: Path, unreadable: Mapping[str, LakeError]) -> LakeError:
    """Why there is nothing to report on: no run at all, or none that is finished and can be read."""
    from warehouse.lake import unfinished

    begun = unfinished(lake)
    there = [f"{name} cannot be read: {error.message}" for name, error in unreadable.items()]
    there += [f"{name} is unfinished" for name in begun]
    hints = [*dict.fromkeys(error.hint for error in unreadable.values())]
    hints += ["run the command that began it again to finish it"] if begun else []
    return LakeError(
        f"no run to report on in {lake}{': ' if there else ''}{'; '.join(there)}",
        hint="; ".join(hints) or "run `rt extract` to measure a model",
    )
