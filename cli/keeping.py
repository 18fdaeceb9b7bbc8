"""Commands that look after a lake: ls, check, rm."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.options import DEFAULT_LAKE, LAKE, app, examples, mend
from warehouse.errors import LakeError
from warehouse.schema import PASSES


@app.command(epilog=examples("rt ls", "rt ls --lake /data/lake"))
def ls(lake: LAKE = DEFAULT_LAKE) -> None:
    """List the runs of the lake."""
    from warehouse.catalog import looks_fresh
    from warehouse.lake import open_lake, removal, unfinished, with_pass

    found = open_lake(lake)
    if not looks_fresh(lake):  # else DuckDB need not be imported, which takes longer than all the rest
        mend(lake)
    for run in found.runs:
        row = run.tables
        size = sum(record["bytes"] for _, record in run.files())
        config = run.manifest["config"]
        name = f"{run.manifest['origin']} {run.manifest['model'].get('model', 'unknown')}"
        sweep = f"  {run.sweep} step {run.step:,}" if run.sweep else ""
        print(
            f"{run.name}  {run.manifest['created_at']}  {name}"
            f"{'@' + config['revision'] if config.get('revision') else ''}  "
            f"{row['tokens']['rows']:,} positions  {row['neuron_tokens']['rows']:,} pairs  "
            f"{size / 1e6:,.1f} MB{sweep}{''.join(f'  +{each}' for each in run.passes)}"
        )
        for each, error in run.unreadable.items():
            print(f"{with_pass(run.name, each)}  unreadable: {error.message}; {error.hint}")
    for name, error in found.unreadable.items():
        print(f"{name}  unreadable: {error.message}; {error.hint}")
    for name in unfinished(lake):
        print(f"{name}  unfinished: run the same command again, or `{removal(name)}`")
    if not found.runs and not found.unreadable:
        print(f"no runs in {lake}", file=sys.stderr)


@app.command(epilog=examples("rt check", "rt check r-0123456789"))
def check(
    run: Annotated[str | None, typer.Argument(help="A run, or the beginning of its id. Default: all.")] = None,
    lake: LAKE = DEFAULT_LAKE,
) -> None:
    """Hold every file against its manifest: missing, truncated and altered files are named."""
    from warehouse.lake import find_run, open_lake, with_pass

    opened = open_lake(lake)
    runs = [find_run(lake, run)] if run is not None else opened.runs
    unreadable = dict(opened.unreadable) if run is None else {}
    unreadable |= {with_pass(of.name, each): error for of in runs for each, error in of.unreadable.items()}
    faults = 0
    for each in runs:
        found = each.faults()
        faults += len(found)
        whole = f"{sum(1 for _ in each.files())} files as the manifest says"
        print(f"{each.name}: {'; '.join(found) or whole}")
    for name, error in unreadable.items():
        print(f"{name}: {error.message}")
    mend(lake)
    if faults or unreadable:
        raise _not_whole(faults, unreadable)


def _not_whole(faults: int, unreadable: Mapping[str, LakeError]) -> LakeError:
    """What `rt check` ends with; a run of a newer rt is not damaged, so the hint is that of its own error."""
    said = [f"{faults:,} file{' is' if faults == 1 else 's are'} not as the manifest says"] if faults else []
    if unreadable:
        runs = sum("+" not in name for name in unreadable)
        passes = len(unreadable) - runs
        counted = [f"{runs:,} run{'s' * (runs != 1)}"] if runs else []
        counted += [f"{passes:,} pass{'es' * (passes != 1)}"] if passes else []
        said.append(f"{' and '.join(counted)} {'has' if len(unreadable) == 1 else 'have'} no readable manifest")
    hints = ["restore the files, or `rt rm` the run"] if faults else []
    hints += dict.fromkeys(error.hint for error in unreadable.values())
    return LakeError(", ".join(said), hint="; ".join(hints))


@app.command(epilog=examples("rt rm r-0123456789", "rt rm r-0123456789 --pass heads"))
def rm(
    run: Annotated[str, typer.Argument(help="The whole id of a run; also of one that is unfinished or unreadable.")],
    lake: LAKE = DEFAULT_LAKE,
    of_pass: Annotated[
        str, typer.Option("--pass", help=f"Only this optional pass of the run: {', '.join(PASSES)}.")
    ] = "",
) -> None:
    """Remove a run, or one of its optional passes, from the lake."""
    from warehouse.lake import removable, remove_run

    name = removable(lake, run, of_pass)
    remove_run(lake, name)
    mend(lake)
    print(f"removed {name}")
