"""The command `rt`: parse, call one function, print. Heavy imports happen inside the commands.

Longer than other modules because each option of each command is declared here, with its help, and nowhere else.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.errors import LakeError, QueryError, RtError

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(
    name="rt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Statistics of single neurons in language models: extract once, then ask in SQL.",
)


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"
    parquet = "parquet"


LAKE = Annotated[Path, typer.Option("--lake", envvar="RT_LAKE", help="Folder of the lake.")]
FORMAT = Annotated[Format, typer.Option("--format", help="How the table is printed; parquet needs --output.")]
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
            help="Token frequencies: `.npy` counts, Parquet (token_id, count), `corpus`, `token-id` (merge ranks), "
            "or `auto`: token-id for the default model, corpus for others."
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
    print(f"{found.run}: {found.n_pairs} pairs, largest error {found.max_error:.2e} nats, tolerance {found.tolerance}")
    if found.n_failed:
        raise LakeError(f"{found.n_failed} of {found.n_pairs} pairs miss the tolerance", hint="extract the run again")


@app.command(epilog=_examples("rt ls", "rt ls --lake /data/lake"))
def ls(lake: LAKE = DEFAULT_LAKE) -> None:
    """List the runs of the lake."""
    from warehouse.lake import open_lake, unfinished

    found = open_lake(lake)
    _mend(lake)
    for run in found.runs:
        row = run.manifest["tables"]
        size = sum(record["bytes"] for _, record in run.files())
        config = run.manifest["config"]
        name = f"{run.manifest['origin']} {run.manifest['model']['model']}"
        print(
            f"{run.name}  {run.manifest['created_at']}  {name}"
            f"{'@' + config['revision'] if config.get('revision') else ''}  "
            f"{row['tokens']['rows']:,} positions  {row['neuron_tokens']['rows']:,} pairs  {size / 1e6:,.1f} MB"
        )
    for name in unfinished(lake):
        print(f"{name}  unfinished: run the same `rt extract` again, or `rt rm {name}`")
    if not found.runs:
        print(f"no runs in {lake}", file=sys.stderr)


@app.command(epilog=_examples("rt check", "rt check r-0123456789"))
def check(
    run: Annotated[str | None, typer.Argument(help="A run, or the beginning of its id. Default: all.")] = None,
    lake: LAKE = DEFAULT_LAKE,
) -> None:
    """Hold every file against its manifest: missing, truncated and altered files are named."""
    from warehouse.lake import find_run, open_lake

    runs = [find_run(lake, run)] if run else open_lake(lake).runs
    faults = 0
    for each in runs:
        found = each.faults()
        faults += len(found)
        whole = f"{sum(1 for _ in each.files())} files as the manifest says"
        print(f"{each.name}: {'; '.join(found) or whole}")
    _mend(lake)
    if faults:
        raise LakeError(f"{faults} files are not as their manifest says", hint="restore them, or `rt rm` the run")


@app.command(epilog=_examples("rt rm r-0123456789"))
def rm(
    run: Annotated[str, typer.Argument(help="A run, or the beginning of its id; also one that is unfinished.")],
    lake: LAKE = DEFAULT_LAKE,
) -> None:
    """Remove a run from the lake."""
    from warehouse.connection import refresh_catalog
    from warehouse.lake import find_run, remove_run, unfinished

    if run not in unfinished(lake):
        run = find_run(lake, run).name
    remove_run(lake, run)
    refresh_catalog(lake)
    print(f"removed {run}")


@app.command(
    epilog=_examples(
        "rt sql",
        'rt sql "select neuron, avg(abs(delta_loss)) from ablations group by neuron order by 2 desc limit 5"',
        'rt sql "from tokens" --format csv --output tokens.csv',
    )
)
def sql(
    query: Annotated[str | None, typer.Argument(help="One statement; without it the DuckDB shell opens.")] = None,
    lake: LAKE = DEFAULT_LAKE,
    form: FORMAT = Format.table,
    output: OUTPUT = None,
) -> None:
    """Open the DuckDB shell on the lake, read-only, or print the rows of one query."""
    from warehouse.connection import connect, frame, refresh_catalog

    if query is None:
        catalog = refresh_catalog(lake)
        beside = Path(sys.executable).with_name("duckdb")
        shell = str(beside) if beside.exists() else shutil.which("duckdb")
        if shell is None:
            raise RtError("no DuckDB shell found", hint="pip install duckdb-cli, or put `duckdb` on the PATH")
        sys.exit(subprocess.run([shell, "-readonly", str(catalog)], check=False).returncode)
    con = connect(lake)
    _mend(lake)
    _show(frame(con, query), form, output)


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
    form: FORMAT = Format.table,
    output: OUTPUT = None,
) -> None:
    """Run one analysis and print its table."""
    import queries

    if list_ or slug is None:
        for name in queries.slugs():
            print(f"{name:24} {queries.load(name).question}")
        return
    from warehouse.connection import connect

    analysis = queries.load(slug)
    con = connect(lake, _full_names(lake, runs), where)
    _mend(lake)
    parameters = _parameters(rare_quantile, rare_by)
    table = queries.run(con, analysis, seed, parameters)
    if table.is_empty():
        raise QueryError(
            f"nothing to compute {slug} from",
            hint=f"it needs values in {', '.join(analysis.needs)}: `rt extract` first",
        )
    _show(table, form, output)
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
    from reports import write_report
    from warehouse.connection import connect

    con = connect(lake, _full_names(lake, runs), where)
    _mend(lake)
    written = write_report(
        con,
        output,
        seed=seed,
        parameters=_parameters(rare_quantile, rare_by),
        only=only or (),
        html=html,
        strict=strict,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        command=" ".join(["rt", *sys.argv[1:]]),
    )
    print(f"report: {written.path}")
    if written.html_path:
        print(f"page: {written.html_path}")
    if written.failed:
        raise QueryError(
            f"failed: {', '.join(written.failed)}", hint="their sections say why; --strict shows the first"
        )


def _mend(lake: Path) -> None:
    from warehouse.connection import refresh_catalog

    refresh_catalog(lake)


def _full_names(lake: Path, runs: Iterable[str] | None) -> list[str]:
    from warehouse.lake import find_run

    return [find_run(lake, name).name for name in runs or ()]


def _parameters(rare_quantile: float, rare_by: str) -> dict[str, Any]:
    if not 0 < rare_quantile < 1:
        raise QueryError(f"--rare-quantile {rare_quantile}", hint="a share between 0 and 1, both excluded")
    if rare_by not in ("target", "input"):
        raise QueryError(f"--rare-by {rare_by}", hint="allowed: target, input")
    return {"rare_quantile": rare_quantile, "rare_by": rare_by}


def _show(table: "pl.DataFrame", form: Format, output: Path | None) -> None:
    import polars as pl
    import polars.selectors as cs

    if form is Format.parquet and output is None:
        raise RtError("--format parquet needs a file", hint="add --output FILE.parquet")
    if output is not None and output.parent != Path() and not output.parent.is_dir():
        raise RtError(f"no folder {output.parent}", hint="make it first")
    if form is Format.parquet:
        assert output is not None
        table.write_parquet(output)
        return
    if form is Format.csv:
        lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
        text = table.with_columns(
            pl.col(name).map_elements(lambda row: json.dumps(list(row)), return_dtype=pl.String) for name in lists
        ).write_csv()
    elif form is Format.json:
        text = (
            json.dumps(
                table.with_columns(cs.float().fill_nan(None)).to_dicts(), default=str, indent=1, ensure_ascii=False
            )
            + "\n"
        )
    else:
        is_page = form is Format.markdown
        with pl.Config(
            tbl_formatting="MARKDOWN" if is_page else "UTF8_FULL_CONDENSED",
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=is_page,
            tbl_rows=-1 if is_page or output else 60,
            tbl_cols=-1,
            tbl_width_chars=shutil.get_terminal_size((160, 24)).columns,
            fmt_str_lengths=80,
        ):
            text = f"{table}\n"
    if output is not None:
        output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def main() -> None:
    """The entry point: one line and a hint on stderr, exit 1, for what the user can mend."""
    try:
        app()
    except RtError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
