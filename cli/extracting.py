"""Commands that make runs, or hold one against its model: extract, sweep, import, verify."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.extract_options import (
    BATCH_SIZE,
    BOS,
    CHECKPOINTS,
    CONTEXT,
    CORPUS,
    DEVICE,
    DRY_RUN,
    DTYPE,
    FROZEN_TOKENS,
    HEAD_ABLATION,
    HEAD_TOKENS,
    HEADS,
    HEADS_AT,
    HEADS_BY,
    LAYERS,
    MEMORY,
    MODEL,
    REVISION,
    SKIP,
    STATE_TOKENS,
    STATES_AT,
    STORE_LAYER,
    TEXT_COLUMN,
    TOKENS,
    UNIGRAMS,
    WINDOW_SEED,
)
from cli.options import DEFAULT_LAKE, LAKE, SEED, app, examples, mend, need_torch
from warehouse.errors import LakeError, RtError

if TYPE_CHECKING:
    from extract.extra_passes import ExtraPass
    from extract.settings import Settings


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
    model: MODEL = "smollm2-135m",
    revision: REVISION = None,
    corpus: CORPUS = None,
    text_column: TEXT_COLUMN = "text",
    context: CONTEXT = 256,
    tokens: TOKENS = 16_000,
    skip: SKIP = 3,
    bos: BOS = "auto",
    seed: WINDOW_SEED = 0,
    unigrams: UNIGRAMS = "auto",
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    batch_size: BATCH_SIZE = 4,
    memory: MEMORY = 2.0,
    frozen_tokens: FROZEN_TOKENS = 0,
    heads: HEADS = False,
    head_tokens: HEAD_TOKENS = HEADS_AT,
    head_ablation: HEAD_ABLATION = HEADS_BY,
    layers: LAYERS = None,
    state_tokens: STATE_TOKENS = STATES_AT,
    store_layer: STORE_LAYER = "",
    dry_run: DRY_RUN = False,
) -> None:
    """Run a model once over text; ablate every last-layer neuron at every position; write a run into the lake.

    An interrupted extraction goes on when the same command is run again. Optional passes (--heads, --layers) are
    added to the run, also to one that is there already.
    """
    options = dict(locals())  # before anything else has a name
    need_torch()
    from extract.run import extract as extract_run

    settings, passes = _asked(**options)
    if dry_run:
        _tell(settings, passes)
    else:
        extract_run(settings, passes=passes)


@app.command(
    epilog=examples(
        "rt sweep --model checkpoints --revisions 'step*'",
        "rt sweep --model checkpoints --revisions step0,step512,step4000 --tokens 4000 --layers all",
        "rt sweep --model EleutherAI/pythia-410m --revisions pythia:standard --corpus pile.jsonl.zst",
    )
)
def sweep(
    revisions: Annotated[
        str,
        typer.Option(
            help="Checkpoints: names such as step0,step512, a pattern such as 'step*', `pythia:standard` (16 of them) "
            "or `pythia:all` (154). Subfolders of a local model, branches of one of the hub."
        ),
    ],
    model: CHECKPOINTS,
    lake: LAKE = DEFAULT_LAKE,
    corpus: CORPUS = None,
    text_column: TEXT_COLUMN = "text",
    context: CONTEXT = 256,
    tokens: TOKENS = 16_000,
    skip: SKIP = 3,
    bos: BOS = "auto",
    seed: WINDOW_SEED = 0,
    unigrams: UNIGRAMS = "auto",
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    batch_size: BATCH_SIZE = 4,
    memory: MEMORY = 2.0,
    frozen_tokens: FROZEN_TOKENS = 0,
    heads: HEADS = False,
    head_tokens: HEAD_TOKENS = HEADS_AT,
    head_ablation: HEAD_ABLATION = HEADS_BY,
    layers: LAYERS = None,
    state_tokens: STATE_TOKENS = STATES_AT,
    store_layer: STORE_LAYER = "",
    dry_run: DRY_RUN = False,
) -> None:
    """Extract the same windows for every checkpoint of a model: one run each, of one sweep.

    A checkpoint that is in the lake is not measured again, and one that fails does not stop the others: the same
    command goes on. Checkpoints with identical weights are named before anything is measured.
    """
    options = dict(locals())  # before anything else has a name
    need_torch()
    from extract.sweep import sweep as extract_sweep

    del options["revisions"]
    settings, passes = _asked(**options)
    if dry_run:
        from extract.checkpoints import checkpoints

        chosen = checkpoints(model, revisions)
        print(f"the first of {len(chosen)} checkpoints, each of which takes about as much:")
        _tell(replace(settings, revision=chosen[0].revision), passes)
    else:
        extract_sweep(settings, revisions, passes=passes)


def _asked(
    heads: bool,
    head_tokens: int,
    head_ablation: str,
    layers: str | None,
    state_tokens: int,
    store_layer: str,
    dry_run: bool,
    **options: Any,
) -> "tuple[Settings, list[ExtraPass]]":
    """The options of `rt extract` as settings and optional passes. Raises `RtError` for some that do not fit."""
    from extract.head_pass import HeadPass
    from extract.layer_pass import LayersPass
    from extract.settings import Settings
    from queries.stats.verdict import MIN_POSITIONS

    del dry_run
    _check_alone(heads, head_tokens, head_ablation, layers, state_tokens, store_layer)
    passes: list[ExtraPass] = [HeadPass.of(head_tokens, head_ablation, options["seed"])] if heads else []
    passes += [LayersPass(layers, state_tokens, store_layer)] if layers is not None else []
    if heads and 0 < head_tokens < 2 * MIN_POSITIONS:
        print(
            f"warning: --head-tokens {head_tokens} are at most {head_tokens // 2} rare and as many common targets; "
            f"head_routing decides from {MIN_POSITIONS} of each on",
            file=sys.stderr,
        )
    return Settings(**options), passes


def _check_alone(
    heads: bool, head_tokens: int, head_ablation: str, layers: str | None, state_tokens: int, store_layer: str
) -> None:
    """Raise `RtError` for an option of a pass that is not asked for."""
    if not heads and (head_tokens, head_ablation) != (HEADS_AT, HEADS_BY):
        name = f"--head-tokens {head_tokens}" if head_tokens != HEADS_AT else f"--head-ablation {head_ablation}"
        raise RtError(f"{name} without --heads", hint="add --heads")
    if layers is None and (state_tokens, store_layer) != (STATES_AT, ""):
        name = f"--store-layer {store_layer}" if store_layer else f"--state-tokens {state_tokens}"
        raise RtError(f"{name} without --layers", hint="add --layers all, or the layers to read")


def _tell(settings: "Settings", passes: "list[ExtraPass]") -> None:
    """Print what an extraction would take."""
    from extract.estimate import estimate
    from queries.stats.words import counted

    found = estimate(settings, passes=passes)
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
    sweep: Annotated[str, typer.Option(help="Name of the training that this is a checkpoint of, if it is one.")] = "",
    step: Annotated[int | None, typer.Option(help="With --sweep: the training step of the checkpoint.")] = None,
) -> None:
    """Bring your own activations and deltas into the lake as a run, after they were checked."""
    from extract.importer import import_folder

    import_folder(folder, lake, model, corpus, unigrams, sweep=sweep, step=step)


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
