"""What `rt extract` and `rt sweep` are both asked: the model, the text, how it is read, the optional passes."""

from typing import Annotated

import typer

MODEL = Annotated[str, typer.Option(help="`smollm2-135m`, a local folder, or a hub id. safetensors and GGUF only.")]
REVISION = Annotated[str | None, typer.Option(help="Hub revision; of a local folder, the subfolder with that name.")]
CORPUS = Annotated[
    str | None,
    typer.Option(
        help="`.txt`, a folder of `.txt`, JSONL, Parquet (`.gz`, `.zst` too), or a hub dataset id. "
        "Default: public-domain English that comes with rt."
    ),
]
TEXT_COLUMN = Annotated[str, typer.Option(help="The column with the text, in JSONL, Parquet and datasets.")]
CONTEXT = Annotated[int, typer.Option(help="Tokens per window.")]
TOKENS = Annotated[int, typer.Option(help="Positions to analyse, rounded up to whole windows; 0: all.")]
SKIP = Annotated[int, typer.Option(help="First positions of a window that are not analysed.")]
BOS = Annotated[
    str, typer.Option(help="BOS token before each window: `always`, `never`, or `auto`: as the tokenizer does.")
]
WINDOW_SEED = Annotated[int, typer.Option(help="Seed of the sampling of windows.")]
UNIGRAMS = Annotated[
    str,
    typer.Option(
        help="Token frequencies: `.npy` counts, Parquet (token_id, count, or token, count), `corpus`, `token-id` "
        "(merge ranks), or `auto`: token-id for the default model; for others corpus, or token-id if the corpus "
        "is so small that it makes no position rare."
    ),
]
DEVICE = Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.")]
DTYPE = Annotated[str, typer.Option(help="Of the forward pass: `float32`, `bfloat16` or `float16`.")]
BATCH_SIZE = Annotated[int, typer.Option(help="Windows per forward pass; the result does not depend on it.")]
MEMORY = Annotated[float, typer.Option(help="Gigabytes that the ablation may take, besides the model.")]
FROZEN_TOKENS = Annotated[
    int,
    typer.Option(
        help="Positions, in whole windows spread over the run, whose deltas are also computed with the norm's "
        "scale, and with the frequency direction, frozen; as many as --tokens: all."
    ),
]
HEADS = Annotated[
    bool,
    typer.Option("--heads", help="Also ablate every attention head, at sampled positions."),
]
HEAD_TOKENS = Annotated[
    int, typer.Option(help="With --heads: positions to sample, half rare and half common targets; 0: all pairs.")
]
HEAD_ABLATION = Annotated[
    str,
    typer.Option(
        help="With --heads: what replaces a head's output: `mean`; `bos`, as if it attended to position 0 only; "
        "or `bos,mean`, both."
    ),
]
LAYERS = Annotated[
    str | None,
    typer.Option(
        help="Also read these layers, `all` or numbers such as 0,6,12: moments, token types and top contexts of "
        "their neurons, sparsity of their states."
    ),
]
STATE_TOKENS = Annotated[
    int, typer.Option(help="With --layers: positions, some of every document, whose states are kept.")
]
STORE_LAYER = Annotated[
    str, typer.Option(help="With --layers: layers whose activations are kept whole, such as 3 or 3,5.")
]
HEADS_AT, HEADS_BY, STATES_AT = 512, "mean", 2000  # what these are where nobody says
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only estimate time and disk; write nothing.")]
CHECKPOINTS = Annotated[str, typer.Option("--model", help="A local folder with subfolders `stepN`, or a hub id.")]
