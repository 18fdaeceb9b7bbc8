"""Tiny lakes with planted effects, made the way anybody makes one: Parquet files and `rt import`.

Shapes: D documents, P positions of each, N neurons, V vocabulary.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from extract.importer import import_folder


def planted_influence(N: int = 400, n_plateau: int = 0, kappa: float = 0.7, elbow: int = 150, step: float = 1.2):
    """(N,) mean |delta|: a plateau, `step` (in ln) above a power law, that ends in a fast decay at `elbow`."""
    rank = np.arange(1, N + 1, dtype=float)
    log = -kappa * np.log(rank)
    log -= np.where(rank > elbow, 3.0 * (np.log(rank) - np.log(elbow)), 0.0)
    if n_plateau:
        log[:n_plateau] = log[n_plateau] + step
    return 1e-3 * np.exp(log)


def write_folder(
    folder: Path,
    influence: np.ndarray | Callable[[bool], np.ndarray],
    *,
    documents: int = 24,
    positions: int = 30,
    vocabulary: int = 40,
    rare_share: float = 0.3,
    seed: int = 0,
    activation: bool = True,
    d_model: int = 0,
    frozen: bool = False,
    losses: bool = False,
    own: int | None = None,
) -> Path:
    """Parquet files of a lake whose neurons have these mean |delta| (for rare positions too, unless a function of it).

    Targets are drawn so that `rare_share` of positions belong to the rare half of the vocabulary. Every document
    multiplies its deltas by a common factor, and deltas have heavy tails. With `d_model` every neuron has as
    many random weights, `in` and `out`. With `frozen` every tenth neuron (3, 13, ...) loses 80 % of its effect
    when the norm is frozen, others (7, 17, ...) 80 % when the frequencies are. With `losses` positions know their loss
    and their place in a window, which is the document. `own`: the positions are those of any other value of it, the
    noise is not.
    """
    rng = np.random.default_rng(seed)
    T = documents * positions
    document = np.repeat(np.arange(documents), positions)
    rare = rng.random(T) < rare_share
    half = vocabulary // 2
    target = np.where(rare, rng.integers(half, vocabulary, T), rng.integers(0, half, T))
    if own is not None:
        rng = np.random.default_rng([seed, 5, own])
    level = {each: influence(each) if callable(influence) else influence for each in (False, True)}
    N = len(level[False])
    scale = np.where(rare[:, None], level[True], level[False])  # (T, N)
    factor = np.exp(0.3 * rng.standard_normal(documents))[document]
    noise = rng.standard_normal((T, N)) * np.exp(0.5 * rng.standard_normal((T, N)) - 0.125)
    sign = np.where(np.arange(N) % 2 == 0, 0.6, -0.6)
    delta = scale * factor[:, None] * (noise + sign) / 1.05
    folder.mkdir(parents=True, exist_ok=True)
    tokens = {"token_index": np.arange(T), "document": document, "target_id": target, "token_id": np.roll(target, 1)}
    if losses:
        tokens |= {"window": document, "position": np.arange(T) % positions}
        tokens["loss"] = np.random.default_rng([seed, 4]).gamma(4.0, 0.75, T).astype(np.float32)
    pl.DataFrame(tokens).write_parquet(folder / "tokens.parquet")
    pairs = {
        "neuron": np.repeat(np.arange(N), T),
        "token_index": np.tile(np.arange(T), N),
        "delta_loss": delta.T.ravel().astype(np.float32),
    }
    if activation:
        pairs["activation"] = rng.standard_normal((N, T)).ravel().astype(np.float32)
    if frozen:
        chance = np.random.default_rng([seed, 2])
        for i, name in ((3, "delta_frozen_norm"), (7, "delta_frozen_frequency")):
            left = np.where(np.arange(N) % 10 == i, 0.2, 0.95)
            frozen_delta = delta * left * np.exp(0.2 * chance.standard_normal(delta.shape))
            pairs[name] = frozen_delta.T.ravel().astype(np.float32)
    pl.DataFrame(pairs).write_parquet(folder / "neuron_tokens.parquet")
    if d_model:
        _write_weights(folder, N, d_model, seed)
    counts = np.sort(rng.integers(1, 10_000, vocabulary))[::-1].copy()
    words = {"token_id": np.arange(vocabulary), "count": counts, "token": [f"w{i}" for i in range(vocabulary)]}
    pl.DataFrame(words).write_parquet(folder / "vocabulary.parquet")
    return folder


def _write_weights(folder: Path, N: int, d_model: int, seed: int) -> None:
    """Independent Gaussian rows for both sides; a generator of their own leaves the rest of the lake as it is."""
    weight = np.random.default_rng([seed, 1]).standard_normal((2 * N, d_model)).astype(np.float32)
    columns = {"layer": np.zeros(2 * N, dtype=int), "neuron": np.repeat(np.arange(N), 2), "side": ["in", "out"] * N}
    pl.DataFrame({**columns, "weight": weight.tolist()}).write_parquet(folder / "weights.parquet")


def make_lake(folder: Path, influence: np.ndarray | Callable[[bool], np.ndarray] | None = None, **options) -> Path:
    """A lake in `folder/lake` with one imported run."""
    source = write_folder(folder / "source", planted_influence() if influence is None else influence, **options)
    import_folder(source, folder / "lake", "planted", "simulated", "simulated counts", say=lambda line: None)
    return folder / "lake"
