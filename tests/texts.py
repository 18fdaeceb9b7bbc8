"""Words, windows and promoted tokens for the Parquet files of a tiny lake, before it is imported.

Every document is one window: three tokens that are not analysed, its positions, and the last target.
"""

from pathlib import Path

import numpy as np
import polars as pl

SKIPPED = [0, 1, 2]


def add_texts(folder: Path, words: dict[int, str | None] | None = None, n_logits: int = 3) -> Path:
    """Add windows, names of documents and `neuron_logits`; `words` (token id -> text) replace those that are there."""
    tokens = pl.read_parquet(folder / "tokens.parquet").sort("token_index")
    documents = tokens["document"].unique().sort()
    windows, position, read = [], np.zeros(tokens.height, dtype=int), np.zeros(tokens.height, dtype=int)
    for document in documents:
        here = np.flatnonzero((tokens["document"] == document).to_numpy())
        target = tokens["target_id"].to_numpy()[here]
        windows.append([*SKIPPED, *target.tolist()])
        # the token that is read at a position is the target of the one before
        position[here] = len(SKIPPED) - 1 + np.arange(len(here))
        read[here] = np.array(windows[-1])[position[here]]
    placed = tokens.with_columns(pl.Series("position", position), pl.Series("token_id", read), window="document")
    placed.write_parquet(folder / "tokens.parquet")
    pl.DataFrame({"window": documents, "document": documents, "start": 0, "token_ids": windows}).write_parquet(
        folder / "windows.parquet"
    )
    names = {"document": documents, "name": [f"book|{each}" for each in documents]}
    pl.DataFrame(names).write_parquet(folder / "documents.parquet")
    if words:
        vocabulary = pl.read_parquet(folder / "vocabulary.parquet")
        changed = [words.get(each, old) for each, old in vocabulary.select("token_id", "token").iter_rows()]
        vocabulary.with_columns(pl.Series("token", changed, dtype=pl.String)).write_parquet(
            folder / "vocabulary.parquet"
        )
    _add_logits(folder, n_logits)
    return folder


def _add_logits(folder: Path, n_logits: int) -> None:
    """Neuron i promotes the tokens i, i + 1, ... (modulo 10) and suppresses those ten further on."""
    neurons = pl.read_parquet(folder / "neuron_tokens.parquet")["neuron"].unique().sort()
    rows = [
        (0, neuron, direction, rank, (neuron + rank) % 10 + shift, sign * (2.0 - rank / 10))
        for neuron in neurons
        for direction, shift, sign in (("promoted", 0, 1.0), ("suppressed", 10, -1.0))
        for rank in range(n_logits)
    ]
    names = ["layer", "neuron", "direction", "rank", "token_id", "effect"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "neuron_logits.parquet")
