"""Documents to windows of tokens: never padded, never across documents, spread over as many documents as possible."""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from extract.corpus import Document
from warehouse.errors import CorpusError

BATCH = 64  # documents per call of the tokenizer


@dataclass(frozen=True)
class Window:
    """`context` tokens of one document, the BOS token included if there is one."""

    document: int
    start: int
    token_ids: np.ndarray  # (context,) int32


@dataclass(frozen=True)
class Plan:
    """What will be read: the sampled windows, their documents, and the counts of all tokens of the corpus."""

    windows: list[Window]  # sorted by document, then start
    documents: dict[int, tuple[str, int, int]]  # document -> name, characters, tokens
    token_counts: np.ndarray  # (V,) int64, of the whole corpus
    n_documents: int  # in the corpus
    n_short: int  # documents without one full window
    n_windows: int  # in the corpus


def positions_per_window(context: int, skip: int) -> int:
    """Analysed positions of a window: all but the first `skip`, and the last, which has no target."""
    return context - 1 - skip


def spread(n: int, chosen: int) -> np.ndarray:
    """Which of `n` windows are among the `chosen` (all, if these are more), as evenly spread as can be: (n,) bool.

    >>> spread(6, 2).tolist()
    [False, True, False, False, True, False]
    """
    chosen = min(chosen, n)
    found = np.zeros(n, dtype=bool)
    found[((np.arange(chosen) + 0.5) * n / max(chosen, 1)).astype(int)] = True
    return found


def plan_windows(
    documents: Iterable[Document],
    tokenizer: Any,
    n_vocabulary: int,
    *,
    context: int,
    skip: int,
    tokens: int,
    seed: int,
    bos: int | None,
    say: Callable[[int], None] = lambda n: None,
) -> Plan:
    """Tokenize the corpus once and sample enough windows for `tokens` analysed positions (0: all windows).

    Documents are cut into windows from their beginning; what is left at the end of one is not read. One window of
    every document, at random, comes before a second window of any, because documents are what is resampled later.
    Memory grows with the sampled windows, not with the corpus. `say(n)` is told the number of documents so far.
    Raises `CorpusError` if no document is as long as a window.
    """
    wanted = -(-tokens // positions_per_window(context, skip)) if tokens else 0
    stride = context - (bos is not None)
    counts = np.zeros(n_vocabulary, dtype=np.int64)
    seen: dict[int, tuple[str, int, int]] = {}
    chosen: list[tuple[tuple[int, int, int], Window]] = []  # a heap: the last to be taken is on top
    n_documents = n_short = n_windows = longest = 0
    for index, (document, ids) in enumerate(_tokenized(documents, tokenizer)):
        say(index + 1)
        if len(ids) and ids.max() >= n_vocabulary:
            raise CorpusError(
                f"the tokenizer gives token {ids.max()}, the model has tokens 0 to {n_vocabulary - 1}",
                hint="tokenizer and model do not belong together",
            )
        counts += np.bincount(ids, minlength=n_vocabulary)
        n_documents += 1
        longest = max(longest, len(ids))
        n_here = len(ids) // stride
        n_short += n_here == 0
        n_windows += n_here
        rounds = np.random.default_rng([seed, index]).permutation(n_here)
        for number in range(n_here):
            order = (int(rounds[number]), _mix(seed, index), index)
            key = (-order[0], -order[1], -order[2])
            if wanted and len(chosen) >= wanted and key <= chosen[0][0]:
                continue
            part = ids[number * stride : (number + 1) * stride]
            window = Window(index, number * stride, part if bos is None else np.concatenate([[bos], part]))
            seen[index] = (document.name, len(document.text), len(ids))
            if wanted and len(chosen) >= wanted:
                heapq.heapreplace(chosen, (key, window))
            else:
                heapq.heappush(chosen, (key, window))
    if not chosen:
        raise CorpusError(
            f"no document has {stride} tokens, the longest of {n_documents} has {longest}",
            hint=f"give longer documents, or a --context of at most {longest + (bos is not None)}",
        )
    windows = sorted((window for _, window in chosen), key=lambda window: (window.document, window.start))
    kept = {window.document for window in windows}
    return Plan(windows, {each: seen[each] for each in sorted(kept)}, counts, n_documents, n_short, n_windows)


def _mix(seed: int, index: int) -> int:
    """A random number that belongs to the document, whatever came before it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:7])


def _tokenized(documents: Iterable[Document], tokenizer: Any) -> Iterator[tuple[Document, np.ndarray]]:
    stream = iter(documents)
    while batch := list(islice(stream, BATCH)):
        texts = [document.text for document in batch]
        ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for document, each in zip(batch, ids, strict=True):
            yield document, np.asarray(each, dtype=np.int32)


def bos_token(tokenizer: Any, policy: str) -> int | None:
    """The BOS token that windows begin with: `always`, `never`, or `auto`, as the tokenizer itself would do.

    Raises `CorpusError` if it is asked for and the tokenizer has none.
    """
    if policy == "never":
        return None
    own: int | None = tokenizer.bos_token_id
    if policy == "always":
        if own is None:
            raise CorpusError("the tokenizer has no BOS token", hint="use --bos never or --bos auto")
        return own
    first = tokenizer("a")["input_ids"][:1]
    return own if own is not None and first == [own] else None
