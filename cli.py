"""The command `rt`: parse, call one function, print. Heavy imports happen inside the commands.

Longer than other modules because each option of each command is declared here, with its help, and nowhere else.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reports.formats import Format
from warehouse.errors import LakeError, QueryError, RtError

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


def _examples(*lines: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"`{line}`" for line in lines)


def _need_torch() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise RtError(
            f"this command needs {' and '.join(missing)}",
            hint='install them with: pip install "rt-neurons[extract]" -c constraints.txt',
        )


@app.command(
    epilog=_examples(
        "rt extract",
        "rt extract --dry-run --tokens 20000",
        "rt extract --model EleutherAI/pythia-410m --revision step4000 --corpus pile.jsonl.zst --unigrams counts.npy",
        "rt extract --model checkpoints --revision step512 --corpus texts/ --lake /data/lake",
    )
)
def extract(
    lake: LAKE = DEFAULT_LAKE,
    model: Annotated[
        str, typer.Option(help="`smollm2-135m`, a local folder, or a hub id. safetensors and GGUF only.")
    ] = "smollm2-135m",
    revision: Annotated[
        str | None, typer.Option(help="Hub revision; of a local folder, the subfolder with that name.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="`.txt`, a folder of `.txt`, JSONL, Parquet (`.gz`, `.zst` too), or a hub dataset id. "
            "Default: public-domain English that comes with rt."
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="The column with the text, in JSONL, Parquet and datasets.")
    ] = "text",
    context: Annotated[int, typer.Option(help="Tokens per window.")] = 256,
    tokens: Annotated[int, typer.Option(help="Positions to analyse, rounded up to whole windows; 0: all.")] = 16_000,
    skip: Annotated[int, typer.Option(help="First positions of a window that are not analysed.")] = 3,
    bos: Annotated[
        str, typer.Option(help="BOS token before each window: `always`, `never`, or `auto`: as the tokenizer does.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the sampling of windows.")] = 0,
    unigrams: Annotated[
        str,
        typer.Option(
            help="Token frequencies: `.npy` counts, Parquet (token_id, count, or token, count), `corpus`, `token-id` "
            "(merge ranks), or `auto`: token-id for the default model; for others corpus, or token-id if the corpus "
            "is so small that it makes no position rare."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Of the forward pass: `float32`, `bfloat16` or `float16`.")] = "float32",
    batch_size: Annotated[int, typer.Option(help="Windows per forward pass; the result does not depend on it.")] = 4,
    memory: Annotated[float, typer.Option(help="Gigabytes that the ablation may take, besides the model.")] = 2.0,
    frozen: Annotated[
        bool,
        typer.Option(
            "--frozen", help="Also each delta with the final norm's scale, and with the frequency direction, frozen."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time and disk; write nothing.")] = False,
) -> None:
    """Run a model once over text; ablate every last-layer neuron at every position; write a run into the lake.

    An interrupted extraction goes on when the same command is run again.
    """
    _need_torch()
    from extract.estimate import estimate
    from extract.run import extract as extract_run
    from extract.settings import Settings

    settings = Settings(
        lake=lake,
        model=model,
        revision=revision,
        corpus=corpus,
        text_column=text_column,
        context=context,
        tokens=tokens,
        skip=skip,
        bos=bos,
        seed=seed,
        unigrams=unigrams,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        memory=memory,
        frozen=frozen,
    )
    if not dry_run:
        extract_run(settings)
        return
    found = estimate(settings)
    print(f"run {found.run}: {found.n_windows:,} windows of {found.n_documents:,} documents")
    print(f"{found.n_positions:,} positions x {found.d_mlp:,} neurons")
    print(f"time: about {found.seconds / 60:,.1f} minutes")
    print(f"disk: about {found.final_bytes / 1e6:,.0f} MB, {found.staged_bytes / 1e6:,.0f} MB while it is made")


@app.command("import", epilog=_examples("rt import mine/ --model my-model --corpus my-corpus"))
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Parquet files named by table: tokens, neuron_tokens, vocabulary, ...")
    ],
    lake: LAKE = DEFAULT_LAKE,
    model: Annotated[str, typer.Option(help="Name of the model, for reports.")] = "unknown",
    corpus: Annotated[str, typer.Option(help="Name of the corpus, for reports.")] = "unknown",
    unigrams: Annotated[str, typer.Option(help="Where the counts in vocabulary come from, for reports.")] = "imported",
) -> None:
    """Bring your own activations and deltas into the lake as a run, after they were checked."""
    from extract.importer import import_folder

    import_folder(folder, lake, model, corpus, unigrams)


@app.command(epilog=_examples("rt verify r-0123456789", "rt verify r-0123 --pairs 1000"))
def verify(
    run: Annotated[str, typer.Argument(help="A run, or the beginning of its id.")],
    lake: LAKE = DEFAULT_LAKE,
    pairs: Annotated[int, typer.Option(min=1, help="(token, neuron) pairs to compare.")] = 128,
    seed: SEED = 0,
) -> None:
    """Compare stored deltas with hooked forward passes of the model, at sampled (token, neuron) pairs."""
    _need_torch()
    from extract.verify import verify as verify_run

    found = verify_run(lake, run, pairs, seed)
    _mend(lake)
    within = "all" if not found.n_failed else f"{found.n_pairs - found.n_failed} of them"
    print(
        f"{found.run}: {found.n_pairs} pairs, {within} within the tolerance {found.tolerance}; "
        f"largest error {found.max_error:.2e} nats"
    )
    if found.n_failed:
        raise LakeError(f"{found.n_failed} of {found.n_pairs} pairs miss the tolerance", hint="extract the run again")


@app.command(epilog=_examples("rt ls", "rt ls --lake /data/lake"))
def ls(lake: LAKE = DEFAULT_LAKE) -> None:
    """List the runs of the lake."""
    from warehouse.catalog import looks_fresh
    from warehouse.lake import open_lake, unfinished

    found = open_lake(lake)
    if not looks_fresh(lake):  # else DuckDB need not be imported, which takes longer than all the rest
        _mend(lake)
    for run in found.runs:
        row = run.manifest["tables"]
        size = sum(record["bytes"] for _, record in run.files())
        config = run.manifest["config"]
        name = f"{run.manifest['origin']} {run.manifest['model'].get('model', 'unknown')}"
        print(
            f"{run.name}  {run.manifest['created_at']}  {name}"
            f"{'@' + config['revision'] if config.get('revision') else ''}  "
            f"{row['tokens']['rows']:,} positions  {row['neuron_tokens']['rows']:,} pairs  {size / 1e6:,.1f} MB"
        )
    for name, error in found.unreadable.items():
        print(f"{name}  unreadable: {error.message}")
    for name in unfinished(lake):
        print(f"{name}  unfinished: run the same command again, or `rt rm {name}`")
    if not found.runs and not found.unreadable:
        print(f"no runs in {lake}", file=sys.stderr)


@app.command(epilog=_examples("rt check", "rt check r-0123456789"))
def check(
    run: Annotated[str | None, typer.Argument(help="A run, or the beginning of its id. Default: all.")] = None,
    lake: LAKE = DEFAULT_LAKE,
) -> None:
    """Hold every file against its manifest: missing, truncated and altered files are named."""
    from warehouse.lake import find_run, open_lake

    opened = open_lake(lake)
    runs = [find_run(lake, run)] if run is not None else opened.runs
    unreadable = opened.unreadable if run is None else {}
    faults = 0
    for each in runs:
        found = each.faults()
        faults += len(found)
        whole = f"{sum(1 for _ in each.files())} files as the manifest says"
        print(f"{each.name}: {'; '.join(found) or whole}")
    for name, error in unreadable.items():
        print(f"{name}: {error.message}")
    _mend(lake)
    if faults or unreadable:
        counts = {"files are not as their manifest says": faults, "runs have no readable manifest": len(unreadable)}
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        raise LakeError(said, hint="restore them, or `rt rm` the run")


@app.command(epilog=_examples("rt rm r-0123456789"))
def rm(
    run: Annotated[str, typer.Argument(help="The whole id of a run; also of one that is unfinished or unreadable.")],
    lake: LAKE = DEFAULT_LAKE,
) -> None:
    """Remove a run from the lake."""
    from warehouse.lake import removable, remove_run

    remove_run(lake, removable(lake, run))
    _mend(lake)
    print(f"removed {run}")


@app.command(
    epilog=_examples(
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
    from warehouse.catalog import refresh_catalog
    from warehouse.connection import frame

    if query is None:
        if form is not None or output is not None:
            raise QueryError("--format and --output need a query", hint='for example: rt sql "from tokens"')
        _warn(lake)
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
    con = _connect(lake)
    con.execute("set lock_configuration = true")  # some functions, called in a select, would open files to write
    for statement in statements:
        # 6 digits: unlike an analysis, a query may be about small differences of large numbers
        destination.show(frame(con, statement), digits=6)


@app.command(
    epilog=_examples(
        "rt run --list",
        "rt run influence",
        'rt run regimes --run r-0123456789 --where "position >= 32" --format markdown',
        "rt run influence --rare-quantile 0.2 --format parquet --output influence.parquet",
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
    form: FORMAT = None,
    output: OUTPUT = None,
) -> None:
    """Run one analysis and print its table."""
    import queries

    if list_ or slug is None:
        for name in queries.slugs():
            print(f"{name:24} {queries.load(name).question}")
        return
    from reports.output import Destination

    analysis = queries.load(slug)
    destination = Destination.of(form, output, lake)
    parameters = _parameters(rare_quantile, rare_by)
    con = _connect(lake, runs, where)
    if lacking := queries.missing(con, analysis):
        raise QueryError(
            f"nothing to compute {slug} from: no values in {', '.join(lacking)}",
            hint=f"`{queries.extraction(lacking)}` measures them, `rt import` brings them in",
        )
    table = queries.run(con, analysis, seed, parameters)
    if table.is_empty():
        raise QueryError(
            f"nothing to compute {slug} from: no position is left that has a token class",
            hint='rt sql "select token_class, count(*) from token_classes() group by all" counts them',
        )
    destination.show(table, analysis.keys)
    print(analysis.answer(table), file=sys.stderr)


@app.command(
    epilog=_examples("rt report", "rt report --html", "rt report --run r-0123456789 --output out/report.md --strict")
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
) -> None:
    """Run every analysis and write a Markdown report with figures and tables."""
    from reports.output import check_outside
    from reports.provenance import Source
    from reports.report import check_report, write_report
    from warehouse.lake import open_lake

    check_report(output, only or (), html)
    check_outside(output, lake)
    parameters = _parameters(rare_quantile, rare_by)
    con = _connect(lake, runs, where)
    manifests = {run.name: run.manifest for run in open_lake(lake).runs}
    written = write_report(
        con,
        output,
        seed=seed,
        parameters=parameters,
        source=Source(where, tuple(_full_names(lake, runs)), manifests),
        only=only or (),
        html=html,
        strict=strict,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        command=shlex.join(["rt", *sys.argv[1:]]),
    )
    print(f"report: {written.path}")
    if written.html_path:
        print(f"page: {written.html_path}")
    if written.failed:
        raise QueryError(
            f"failed: {', '.join(written.failed)}", hint="their sections say why; --strict shows the first"
        )


def _mend(lake: Path) -> None:
    from warehouse.catalog import refresh_catalog

    refresh_catalog(lake)


def _connect(lake: Path, runs: Iterable[str] | None = None, where: str = "") -> "duckdb.DuckDBPyConnection":
    """The lake in DuckDB; says which runs are not in it."""
    from warehouse.connection import connect

    names = _full_names(lake, runs)
    if not names:
        _warn(lake)
    con = connect(lake, names, where)
    _mend(lake)
    return con


def _warn(lake: Path) -> None:
    """Name the runs that are left out because their manifest cannot be read."""
    from warehouse.lake import open_lake

    for name, error in open_lake(lake).unreadable.items():
        print(f"warning: {name} is left out: {error.message}", file=sys.stderr)


def _full_names(lake: Path, runs: Iterable[str] | None) -> list[str]:
    from warehouse.lake import find_run

    return [find_run(lake, name).name for name in runs or ()]


def _parameters(rare_quantile: float, rare_by: str) -> dict[str, Any]:
    if not 0 < rare_quantile < 1:
        raise QueryError(f"--rare-quantile {rare_quantile}", hint="a share between 0 and 1, both excluded")
    if rare_by not in ("target", "input"):
        raise QueryError(f"--rare-by {rare_by}", hint="allowed: target, input")
    return {"rare_quantile": rare_quantile, "rare_by": rare_by}


def main() -> None:
    """The entry point: one line and a hint on stderr, exit 1, for what the user can mend."""
    try:
        app()
    except RtError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except PermissionError as error:
        print(f"error: cannot access {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
