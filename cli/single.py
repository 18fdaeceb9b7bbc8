"""The command about a single neuron."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    DEFAULT_LAKE,
    LAKE,
    QUANTILE,
    RARE_BY,
    SEED,
    WHERE,
    app,
    connect_lake,
    examples,
    token_classes,
)
from cli.querying import no_run
from reports.formats import Format
from warehouse.errors import LakeError, RtError


@app.command(
    epilog=examples(
        "rt neuron L29N1326",
        "rt neuron 1326 --run r-0123456789 --output neuron.md",
        'rt neuron 1326 --where "position >= 32" --rare-quantile 0.2',
    )
)
def neuron(
    name: Annotated[
        str, typer.Argument(metavar="NEURON", help="`L29N1326`, or 1326: a run has the neurons of one layer.")
    ],
    lake: LAKE = DEFAULT_LAKE,
    run: Annotated[
        str | None,
        typer.Option("--run", help="The run, or the beginning of its id; needed where the lake has several."),
    ] = None,
    where: WHERE = "",
    seed: SEED = 0,
    rare_quantile: QUANTILE = 0.5,
    rare_by: RARE_BY = "target",
    output: Annotated[Path | None, typer.Option("--output", help="Markdown file to write instead of printing.")] = None,
) -> None:
    """Tell everything that is known of one neuron on one page: influence, contexts, tokens, partners."""
    from queries import Session
    from queries.cards import cards, find_neuron, measured
    from reports import provenance
    from reports.neuron_card import page
    from reports.output import Destination

    if output is not None and output.suffix.lower() != ".md":
        raise RtError(f"a card is a Markdown file, not {output}", hint="give a path that ends in .md")
    destination = Destination.of(Format.markdown, output, lake)
    parameters = token_classes(rare_quantile, rare_by)
    chosen = _only_run(lake, run)
    con = connect_lake(lake, [chosen], where)
    of = measured(con, chosen)
    number = find_neuron(of, name)
    session = Session(con, seed, parameters)
    (card,) = cards(session, of, [number])
    label = provenance.labels(provenance.read_runs(con, parameters))[chosen]
    asked = provenance.choices(seed, parameters, provenance.Source(where, (chosen,)))
    destination.put(page(card, label, asked, shlex.join(["rt", *sys.argv[1:]])))


def _only_run(lake: Path, run: str | None) -> str:
    """The run that is asked for, or the only one. Raises `LakeError` where that is not clear."""
    from warehouse.lake import find_run, open_lake

    if run is not None:
        return find_run(lake, run).name
    opened = open_lake(lake)
    if not opened.runs:
        raise no_run(lake, opened.unreadable)
    names = [each.name for each in opened.runs]
    if len(names) > 1:
        raise LakeError(f"{lake} has {len(names)} runs, a neuron is of one", hint=f"add --run: {', '.join(names)}")
    return names[0]
