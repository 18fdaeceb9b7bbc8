"""Commands that make a run, or hold one against its model: extract, import, verify."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_LAKE, LAKE, SEED, app, examples, mend, need_torch
from warehouse.errors import LakeError, RtError


@app.command(
    epilog=examples(
        "rt extract",
        "rt extract --dry-run --tokens 20000",
        "rt extract --heads",
        "rt extract --model EleutherAI/pythia-410m --revision step4000 --corpus pile.jsonl.zst --unigrams counts.npy",
        "rt extract --layers all --state-tokens 4000",
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
    frozen_tokens: Annotated[
        int,
        typer.Option(
            help="Positions, in whole windows spread over the run, whose deltas are also computed with the norm's "
            "scale, and with the frequency direction, frozen; as many as --tokens: all."
        ),
    ] = 0,
    heads: Annotated[
        bool,
        typer.Option("--heads", help="Also ablate every attention head, at sampled positions."),
    ] = False,
    head_tokens: Annotated[
        int, typer.Option(help="With --heads: positions to sample, half rare and half common targets; 0: all pairs.")
    ] = 512,
    head_ablation: Annotated[
        str,
        typer.Option(
            help="With --heads: what replaces a head's output: `mean`; `bos`, as if it attended to position 0 only; "
            "or `bos,mean`, both."
        ),
    ] = "mean",
    layers: Annotated[
        str,
        typer.Option(
            help="Also read these layers, `all` or numbers such as 0,6,12: moments, token types and top contexts of "
            "their neurons, sparsity of their states."
        ),
    ] = "",
    state_tokens: Annotated[
        int, typer.Option(help="With --layers: positions, some of every document, whose states are kept.")
    ] = 2000,
    store_layer: Annotated[
        str, typer.Option(help="With --layers: layers whose activations are kept whole, such as 3 or 3,5.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time and disk; write nothing.")] = False,
) -> None:
    """Run a model once over text; ablate every last-layer neuron at every position; write a run into the lake.

    An interrupted extraction goes on when the same command is run again. Optional passes (--heads, --layers) are
    added to the run, also to one that is there already.
    """
    need_torch()
    from extract.estimate import estimate
    from extract.extra_passes import ExtraPass
    from extract.head_pass import HeadPass
    from extract.layer_pass import LayersPass
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
        frozen_tokens=frozen_tokens,
    )
    passes: list[ExtraPass] = [HeadPass.of(head_tokens, head_ablation, seed)] if heads else []
    passes += [LayersPass(layers, state_tokens, store_layer)] if layers else []
    if store_layer and not layers:
        raise RtError(f"--store-layer {store_layer} without --layers", hint="add --layers all, or the layers to read")
    if not dry_run:
        extract_run(settings, passes=passes)
        return
    found = estimate(settings, passes=passes)
    from queries.stats.words import counted

    print(f"run {found.run}: {counted(found.n_windows, 'window')} of {counted(found.n_documents, 'document')}")
    print(f"{counted(found.n_positions, 'position')} x {counted(found.d_mlp, 'neuron')}")
    print(f"time: about {found.seconds / 60:,.1f} minutes")
    print(f"disk: about {found.final_bytes / 1e6:,.0f} MB, {found.staged_bytes / 1e6:,.0f} MB while it is made")
    for name, seconds, size in found.passes:
        print(f"{name}: about {seconds / 60:,.1f} minutes and {size / 1e6:,.0f} MB more")


@app.command("import", epilog=examples("rt import mine/ --model my-model --corpus my-corpus"))
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


@app.command(epilog=examples("rt verify r-0123456789", "rt verify r-0123 --pairs 1000"))
def verify(
    run: Annotated[str, typer.Argument(help="A run, or the beginning of its id.")],
    lake: LAKE = DEFAULT_LAKE,
    pairs: Annotated[int, typer.Option(min=1, help="(token, neuron) pairs to compare.")] = 128,
    seed: SEED = 0,
) -> None:
    """Compare stored deltas with hooked forward passes of the model, at sampled (token, neuron) pairs."""
    need_torch()
    from extract.verify import verify as verify_run
    from queries.stats.words import counted

    found = verify_run(lake, run, pairs, seed)
    mend(lake)
    within = "all" if not found.n_failed else f"{found.n_pairs - found.n_failed:,} of them"
    print(
        f"{found.run}: {counted(found.n_pairs, 'pair')}, {within} within the tolerance {found.tolerance}; "
        f"largest error {found.max_error:.2e} nats"
    )
    if found.n_failed:
        raise LakeError(
            f"{found.n_failed:,} of {counted(found.n_pairs, 'pair')} outside the tolerance",
            hint="extract the run again",
        )
