"""Which frequencies a run gets, and whether they make any of its positions rare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from extract.unigrams import read_unigrams, vocabulary_table
from extract.windows import Plan

RARE_QUANTILE = 0.5  # the default of the analyses


@dataclass(frozen=True)
class Frequencies:
    """The table `vocabulary`, where its frequencies come from in words, and what the manifest keeps of the choice."""

    vocabulary: pa.Table
    source: str
    chosen: dict[str, Any]


def choose_frequencies(
    option: str,
    plan: Plan,
    skip: int,
    tokens: Sequence[str | None],
    is_special: Sequence[bool],
    say: Callable[[str], None],
) -> Frequencies:
    """The frequencies that `option` asks for; `tokens` and `is_special` (V,) describe the vocabulary.

    `auto` takes the counts of the corpus if they make at least one analysed position rare. A corpus that shows less
    than half of the vocabulary cannot: its bottom half never occurs. Then it takes the ranks of the token ids. An
    option that was asked for is kept; that it makes no position rare is said, and part of the source.
    """
    n = len(tokens)
    used = "corpus" if option == "auto" else option
    unigrams = read_unigrams(used, n, plan.token_counts, tokens)
    vocabulary = vocabulary_table(unigrams, tokens, is_special)
    targets = np.concatenate([window.token_ids[skip + 1 :] for window in plan.windows])
    n_rare = count_rare(vocabulary, targets)
    source = unigrams.source
    if option == "auto" and not n_rare:
        used = "token-id"
        unigrams = read_unigrams(used, n, plan.token_counts, tokens)
        vocabulary = vocabulary_table(unigrams, tokens, is_special)
        n_rare = count_rare(vocabulary, targets)
        why = f"used because by the counts of the corpus none of {len(targets):,} analysed targets is rare"
        source = f"{unigrams.source}; {why}"
        say(
            f"frequencies: token ids, {why} (the rarer half of the vocabulary hardly occurs in it); "
            "--unigrams FILE takes counts of a larger corpus"
        )
    if not n_rare:
        none = f"none of {len(targets):,} analysed targets is in the rarer half of the vocabulary"
        source = f"{source}; {none}"
        say(f"warning: {none}: give counts of a larger corpus (--unigrams FILE), or use --unigrams token-id")
    chosen = {"option": option, "used": used, "n_rare_targets": n_rare, "rare_quantile": RARE_QUANTILE}
    return Frequencies(vocabulary, source, chosen)


def count_rare(vocabulary: pa.Table, targets: npt.NDArray[Any]) -> int:
    """How many of the `targets` (T,) are in the bottom half of the ranked vocabulary: as `token_classes` has it."""
    rank = vocabulary["frequency_rank"].fill_null(0).to_numpy()
    n_ranked = int((rank > 0).sum())
    return int((rank[targets] > n_ranked - round(RARE_QUANTILE * n_ranked, 6)).sum())
