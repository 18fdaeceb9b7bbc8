"""Which positions the heads are ablated at: pairs of a rare and a common target of the same window.

A contrast between rare and common targets is then within windows, whatever else differs between documents. The common
position of a pair is the one whose token that is read is as frequent as that of the rare position, or nearly so: what
differs is the target; positions that read a token without a frequency (a control token) are not sampled. Documents take
turns, as they are what is resampled later.
"""

import hashlib

import numpy as np
import polars as pl

from extract.extra_passes import Published
from warehouse.errors import CorpusError

_POSITIONS = """
with ranked as (
    select token_id, frequency_rank, count(*) over () as n_types from vocabulary where frequency_rank is not null
)
select
    tokens.token_index,
    tokens.document,
    tokens."window",
    tokens.position,
    tokens.target_id,
    classes.token_class as stratum,
    (10 * (target.frequency_rank - 1) // target.n_types)::integer as target_decile,
    (10 * (input.frequency_rank - 1) // input.n_types)::integer as input_decile,
    ln(input.frequency_rank) as input_rank
from tokens
inner join token_classes() as classes on tokens.token_index = classes.token_index
inner join ranked as target on tokens.target_id = target.token_id
inner join ranked as input on tokens.token_id = input.token_id
order by tokens.token_index
"""


def sample_positions(run: Published, tokens: int, seed: int) -> pl.DataFrame:
    """At most `tokens` positions (0: as many as there are) in pairs, by `token_index`.

    The columns are those of `head_positions`, then `window`, `position` and `target_id`. Raises `CorpusError` if no
    window has a rare and a common target.
    """
    rows = run.rows(_POSITIONS)
    pairs = [
        (turn, _mix(seed, document), document, *pair)
        for (document,), part in rows.group_by("document", maintain_order=True)
        for turn, pair in enumerate(_pairs(part, np.random.default_rng([seed, int(str(document))])))
    ]
    if not pairs:
        raise CorpusError(
            f"no window of {run.name} has both a rare and a common target: there is nothing to compare heads on",
            hint="extract more --tokens, or give counts of a larger corpus (--unigrams)",
        )
    chosen = sorted(pairs)[: tokens // 2 or None]
    chosen.sort(key=lambda pair: pair[2:])
    index = pl.DataFrame(
        {
            "token_index": [each for *_, rare, common in chosen for each in (rare, common)],
            "pair": [number for number in range(len(chosen)) for _ in range(2)],
        },
        schema={"token_index": rows.schema["token_index"], "pair": pl.Int32},
    )
    names = ("token_index", "document", "pair", "stratum", "target_decile", "input_decile")
    return index.join(rows, on="token_index").sort("token_index").select(*names, "window", "position", "target_id")


def _pairs(part: pl.DataFrame, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs (rare, common) of token indices of one document; its windows take turns in a random order."""
    found = []
    windows = part.partition_by("window", maintain_order=True)
    for order, which in enumerate(rng.permutation(len(windows))):
        window = windows[which]
        rare = _shuffled(window.filter(pl.col("stratum") == "rare"), rng)
        common = _shuffled(window.filter(pl.col("stratum") == "common"), rng)
        free = np.ones(len(common), dtype=bool)
        for turn, (token, rank) in enumerate(rare[: len(common)]):
            nearest = int(np.where(free, np.abs(common[:, 1] - rank), np.inf).argmin())
            free[nearest] = False
            found.append((turn, order, int(token), int(common[nearest, 0])))
    return [(rare, common) for _, _, rare, common in sorted(found)]


def _shuffled(rows: pl.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """(n, 2): token index and ln of the frequency rank of the token that is read, in a random order."""
    return rng.permutation(rows.select("token_index", "input_rank").to_numpy().astype(float))


def _mix(seed: int, document: object) -> bytes:
    """A random order of the documents that belongs to each, whatever others there are."""
    return hashlib.sha256(f"{seed}/{document}".encode()).digest()
