"""Commands that train: a test bed of small models, a sparse autoencoder of what a run holds."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_LAKE, LAKE, SEED, app, examples, need_torch


@app.command(
    epilog=examples(
        "rt train-testbed neox testbed/neox",
        "rt train-testbed grokking testbed/grokking --weight-decay 0.3 --steps 6000",
        "rt train-testbed simclr testbed/simclr",
        "rt train-testbed rotation testbed/rotation --seed 1",
    )
)
def train_testbed(
    kind: Annotated[
        str,
        typer.Argument(
            help="`neox`: a language model on public-domain text; `grokking`: modular addition; `simclr`, `rotation`: "
            "encoders of digits, without labels."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="Folder to write; what an earlier training left there is replaced.")],
    steps: Annotated[
        int | None,
        typer.Option(help="Steps of the optimiser. Default: 256 (neox), 3000 (grokking), 2000 (simclr, rotation)."),
    ] = None,
    seed: SEED = 0,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Of AdamW. Default: 0.01 (neox), 1.0 (grokking), 0.0001 (simclr, rotation)."),
    ] = None,
    modulus: Annotated[
        int | None, typer.Option(help="Of grokking: p of a + b mod p, of which all p^2 sums are made. Default: 97.")
    ] = None,
    train_share: Annotated[
        float | None, typer.Option(help="Of grokking: share of the sums that are learnt from. Default: 0.3.")
    ] = None,
) -> None:
    """Train a small model whose trajectory has a known shape, to try analyses of training on: minutes on two cores.

    `neox` and `grokking` write models, `step0`, `step1`, ...; all but `neox` write `states.parquet`, representations
    of the same held-out samples over the steps. See docs/testbed.md.
    """
    need_torch()
    from training.testbed import choose, make

    settings = {"steps": steps, "weight_decay": weight_decay, "modulus": modulus, "train_share": train_share}
    make(choose(kind, seed=seed, **settings), folder)


@app.command(
    epilog=examples(
        "rt train-sae",
        "rt train-sae --run r-0123 --of residuals --kind relu,topk --atoms 1024 --k 32",
        "rt train-sae --lake /data/lake --steps 10000 --seed 1",
        "rt train-sae --states codes.parquet",
    )
)
def train_sae(
    lake: LAKE = DEFAULT_LAKE,
    run: Annotated[
        str | None, typer.Option("--run", help="A run, or the beginning of its id. Default: the only one.")
    ] = None,
    of: Annotated[
        str, typer.Option(help="What it learns: `activations` of the last MLP's neurons, or `residuals`.")
    ] = "activations",
    kind: Annotated[
        str,
        typer.Option(help="`topk`: a fixed number of atoms a position; `relu`: a price on codes; `relu,topk`: both."),
    ] = "topk",
    atoms: Annotated[int, typer.Option(help="Atoms of the dictionary.")] = 512,
    k: Annotated[int, typer.Option(help="Of topk: atoms that a position may use.")] = 16,
    penalty: Annotated[float, typer.Option(help="Of relu: price of codes; a higher one uses fewer atoms.")] = 0.1,
    steps: Annotated[int, typer.Option(help="Steps of Adam, each of 256 positions.")] = 2000,
    seed: SEED = 0,
    states: Annotated[
        Path | None,
        typer.Option(help="Parquet file for the codes of about 1,000 positions at the kept steps: `rt run phase`."),
    ] = None,
) -> None:
    """Train a sparse autoencoder on what a run holds, and keep its atoms at steps of the training.

    The model is not needed. What is kept is added to the run as an optional pass, which `rt run lottery` reads.
    """
    need_torch()
    from training.sae_pass import SaePass
    from training.sae_pass import train_sae as train
    from training.sparse_autoencoder import Training

    saes = tuple(sorted({each.strip() for each in kind.split(",")}))
    settings = SaePass(saes, of, seed, Training(atoms=atoms, k=k, penalty=penalty, steps=steps))
    train(lake, run, settings, states=states)
