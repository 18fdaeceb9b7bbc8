"""What linear probes are asked to read from a state: labels of positions, made by small rules that anybody can check.

Every function takes columns of `state_rows` of one layer and gives a label per row; null where a row has none.
"""

from collections.abc import Callable

import polars as pl

N_TYPES = 20  # most frequent token types of the sample that are told apart
MIN_TYPE = 5  # positions that such a type has at least
N_BANDS = 4
_WORDS = """
a about above after again against all also am an and any are as at be because been before being below between
both but by can could did do does doing down during each few for from further had has have having he her here
hers him his how i if in into is it its itself just may me might more most must my no nor not now of off on
once only or other our ours out over own shall she should so some such than that the their theirs them then
there these they this those through to too under until up upon us very was we were what when where which while
who whom why will with would you your yours
"""
FUNCTION_WORDS = frozenset(_WORDS.split())


def word_class(token: str | None) -> str | None:
    """The class of a token's text; the first rule that fits decides.

    `space`: nothing but white space; `number`: digits only; `mark`: no letter or digit; `piece`: no space before, so
    the inside or the end of a word; `function`: one of `FUNCTION_WORDS`; `name`: begins with a capital; else `content`.

    >>> [word_class(token) for token in (" the", " The", " whale", "ing", " Ahab", " 12", ",", None)]
    ['function', 'function', 'content', 'piece', 'name', 'number', 'mark', None]
    """
    if token is None:
        return None
    bare = token.strip()
    rules = (
        ("space", not bare),
        ("number", bare.isdigit()),
        ("mark", not any(letter.isalnum() for letter in bare)),
        ("piece", not token[:1].isspace()),
        ("function", bare.lower() in FUNCTION_WORDS),
        ("name", bare[:1].isupper()),
    )
    return next((name for name, fits in rules if fits), "content")


def frequent(ids: pl.Series) -> pl.Series:
    """The ids that are among the most frequent `N_TYPES` of the rows, each at least `MIN_TYPE` times; else null.

    >>> frequent(pl.Series([7] * 5 + [8, None])).to_list()
    ['7', '7', '7', '7', '7', None, None]
    """
    counts = ids.drop_nulls().value_counts(name="n").filter(pl.col("n") >= MIN_TYPE)
    kept = counts.sort(["n", ids.name], descending=[True, False]).head(N_TYPES)[ids.name]
    found = pl.DataFrame({"id": ids}).select(
        pl.when(pl.col("id").is_in(kept.implode())).then(pl.col("id").cast(pl.String)).alias("label")
    )
    return found["label"]


def band(values: pl.Series, n_bands: int = N_BANDS) -> pl.Series:
    """The quarter (or other band) of the rows that a value is in, by its rank: `1` lowest; null for no value.

    Equal values are in one band.

    >>> band(pl.Series([10, 20, 30, 40, 40, None])).to_list()
    ['1', '2', '3', '4', '4', None]
    """
    share = (values.rank("average") - 0.5) / max(values.len() - values.null_count(), 1)
    return (1 + (n_bands * share).floor().cast(pl.Int64)).cast(pl.String)


LABELS: dict[str, Callable[[pl.DataFrame], pl.Series]] = {
    "token": lambda rows: frequent(rows["token_id"]),
    "word_class": lambda rows: pl.Series([word_class(token) for token in rows["token"]], dtype=pl.String),
    "frequency_band": lambda rows: band(rows["frequency_rank"]),
    "position": lambda rows: band(rows["position"]),
    "previous_token": lambda rows: frequent(rows["previous_id"]),
}
