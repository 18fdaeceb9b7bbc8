"""Lakes drawn from a world: tables as Parquet, brought in by `rt import`'s own functions, one run per draw.

What makes counting tokens wrong is in them: a document's tokens are alike, a hard token moves all neurons, deltas and
activations have heavy tails, activations go on from one position to the next, and documents differ in length.
Shapes: D documents, T positions, N neurons, V types.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from calibration.worlds import N_BANDS, N_CLUSTERS, Array, Corpus, Index, World
from extract.importer import import_folder

TYPES_PER_BAND = 4
# Texts of types, a class of words each in turn, where classes of words matter.
N_WORD_CLASSES = 7
_FUNCTION = (" the", " of", " and", " to", " in", " that")
DOCUMENT_SD, OWN_SD, TOKEN_SD, TAIL_SD = 0.3, 0.3, 0.4, 0.8


def positions(corpus: Corpus, rng: np.random.Generator) -> tuple[Index, Index]:
    """The document (T,) of each position and its target (T,); target v is in band v // `TYPES_PER_BAND`, from 0."""
    length = np.maximum(4, rng.poisson(corpus.positions * rng.gamma(8, 1 / 8, corpus.documents)))
    document = np.repeat(np.arange(corpus.documents), length)
    is_rare = rng.random(len(document)) < corpus.rare_share
    half = N_BANDS // 2 * TYPES_PER_BAND
    return document, rng.integers(0, half, len(document)) + half * is_rare


def _lognormal(sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Factors with mean 1 whose logarithms have the sd `sd`."""
    return np.exp(sd * rng.standard_normal(shape) - 0.5 * sd**2)


def deltas(world: World, document: Index, target: Index, rng: np.random.Generator) -> Array:
    """Changes of the loss (T, N); their size has the mean `world.level`, their sum over it the mean `world.bias`."""
    n, n_documents, shape = len(world.level), document.max() + 1, (len(document), len(world.level))
    size = world.level.T[target // TYPES_PER_BAND]
    size = size * (_lognormal(DOCUMENT_SD, (n_documents, 1), rng) * _lognormal(OWN_SD, (n_documents, n), rng))[document]
    size *= _lognormal(TOKEN_SD, (shape[0], 1), rng) * _lognormal(TAIL_SD, shape, rng)
    leaning = world.bias + rng.uniform(-0.4, 0.4, (n_documents, n))
    return np.where(rng.random(shape) < 0.5 + 0.5 * leaning[document], size, -size)


def frozen(world: World, document: Index, delta: Array, rng: np.random.Generator) -> Array:
    """What is left of `delta` (T, N) with a path frozen: 1 - `world.mediated` of its mean size, by position unequal."""
    own = _lognormal(OWN_SD, (document.max() + 1, delta.shape[1]), rng)[document]
    return np.asarray(delta * (1 - world.mediated) * own * _lognormal(TAIL_SD, delta.shape, rng))


def activations(world: World, document: Index, rng: np.random.Generator) -> Array:
    """Activations (T, N): common factors, clusters, document effects, heavy tails, unequal scales."""
    shape, n_factors = (len(document), len(world.level)), world.loading.shape[1]
    own = rng.standard_normal(shape) * np.sqrt(5.0 / rng.chisquare(5, shape) * 0.6)
    own += 0.3 * rng.standard_normal((document.max() + 1, shape[1]))[document]
    factor, shared = (_going_on(document, k, rng) for k in (n_factors, N_CLUSTERS))
    values = own + factor @ world.loading.T
    core = world.cluster >= 0
    coupling = world.coupling[core]
    values[:, core] *= np.sqrt(1 - coupling)
    values[:, core] += np.sqrt(coupling) * shared[:, world.cluster[core]]
    return np.asarray(values * world.scale)


def _going_on(document: Index, k: int, rng: np.random.Generator) -> Array:
    """Series (T, k) of variance 1 that correlate by 0.5 from a position of a document to the next."""
    values = rng.standard_normal((len(document), k))
    for t in np.flatnonzero(document[1:] == document[:-1]) + 1:
        values[t] = 0.5 * values[t - 1] + np.sqrt(0.75) * values[t]
    return values


def weights(world: World, d: int, rng: np.random.Generator) -> dict[str, Array]:
    """Rows (N, d) of both sides: `out` shares the clusters, `in` has eigenvalues that fall slowly in them."""
    n, core = len(world.level), world.cluster >= 0
    coupling = world.coupling[core, None]  # (neurons in clusters, 1)
    sides = {}
    for side in ("in", "out"):
        sides[side] = rng.standard_normal((n, d)) + world.loading @ rng.standard_normal((world.loading.shape[1], d))
        sides[side][core] *= np.sqrt(1 - coupling)
    sides["out"][core] += np.sqrt(coupling) * rng.standard_normal((N_CLUSTERS, d))[world.cluster[core]]
    decay = 1.0 / np.arange(1, 7) ** 0.5
    mixing = np.cos(np.outer(np.flatnonzero(core) + 1, np.arange(1, 7)) * 2.4) * decay
    mixing /= np.sqrt((mixing**2).sum(axis=1, keepdims=True))
    sides["in"][core] += np.sqrt(coupling) * mixing @ rng.standard_normal((6, d))
    return sides


@dataclass(frozen=True)
class Text:
    """Positions that several runs have read: `document`, `target`, `loss` (T,), and what a document adds (T, N)."""

    document: Index
    target: Index
    loss: Array
    factor: Array


def write_tables(
    folder: Path, world: World, corpus: Corpus, rng: np.random.Generator, parts: Sequence[str], text: Text | None = None
) -> Path:
    """Parquet files of one run in `folder`; `parts` names what it has beyond deltas: activations, frozen, weights."""
    folder.mkdir(parents=True)
    document, target = (text.document, text.target) if text else positions(corpus, rng)
    T, N = len(document), len(world.level)
    tokens: dict[str, object] = {
        "token_index": np.arange(T),
        "document": document,
        "target_id": target,
        "token_id": np.roll(target, 1),
    }
    if {"layers", "losses"} & set(parts):
        tokens["loss"] = _lognormal(0.4, (document.max() + 1,), rng)[document] * _lognormal(0.5, (T,), rng)
    if text:
        tokens["loss"] = text.loss
    _write(folder / "tokens.parquet", tokens)
    delta = deltas(world, document, target, rng) * (text.factor if text else 1.0)
    pairs = {
        "neuron": np.repeat(np.arange(N), T), "token_index": np.tile(np.arange(T), N),
        "delta_loss": _column(delta),
    }  # fmt: skip
    if "activations" in parts:
        pairs["activation"] = _column(activations(world, document, rng))
    if "frozen" in parts:
        for path in ("norm", "frequency"):
            pairs[f"delta_frozen_{path}"] = _column(frozen(world, document, delta, rng))
    _write(folder / "neuron_tokens.parquet", pairs)
    V = N_BANDS * TYPES_PER_BAND
    texts = [_text(i) if "sae" in parts else f"w{i}" for i in range(V)]
    words = {"token_id": np.arange(V), "count": 10 * np.arange(V, 0, -1), "token": texts}
    _write(folder / "vocabulary.parquet", words)
    if "weights" in parts:
        sides = weights(world, corpus.d_model, rng)
        rows = np.stack([sides["in"], sides["out"]], axis=1).reshape(2 * N, -1).astype(np.float32)
        columns = {"layer": np.zeros(2 * N, dtype=int), "neuron": np.repeat(np.arange(N), 2), "side": ["in", "out"] * N}
        _write(folder / "weights.parquet", {**columns, "weight": pl.Series(rows).arr.to_list()})
    return folder


def _text(token_id: int) -> str:
    """The text of a type, of the class `token_id` % `N_WORD_CLASSES`."""
    i, kind = divmod(token_id, N_WORD_CLASSES)
    texts = (_FUNCTION[i], f" ship{i}", f" Ahab{i}", f"ing{i}", f" {i}", "," * (i + 1), " " * (i + 1))
    return texts[kind]


def _column(values: Array) -> NDArray[np.float32]:
    """(T, N) as a column in the order of the table: neuron by neuron."""
    return values.T.ravel().astype(np.float32)


def _write(path: Path, columns: Mapping[str, object]) -> None:
    pl.DataFrame(columns).write_parquet(path)


def add_run(
    folder: Path, lake: Path, world: World, corpus: Corpus, rng: np.random.Generator, parts: Sequence[str]
) -> str:
    """Write the tables of one draw to `folder`, import them into `lake`, and return the run.

    The model is called as the parent of `folder`, the corpus as `folder`.
    """
    source = write_tables(folder, world, corpus, rng, parts)
    return import_folder(source, lake, folder.parent.name, folder.name, "simulated counts", say=lambda line: None)


def true_influences(world: World, corpus: Corpus, n: int, rng: np.random.Generator) -> Array:
    """Influences (n, N) on all tokens that `n` other corpora would give, without the way through a lake."""
    drawn = (deltas(world, *positions(corpus, rng), rng) for _ in range(n))
    return np.array([np.abs(each).mean(axis=0) for each in drawn])
