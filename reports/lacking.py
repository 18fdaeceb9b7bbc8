"""What an undecidable claim lacks: documents and how many, positions, power, or nothing that documents would give.

Only the width of an interval over documents can be extrapolated from one run: it falls with the root of their number.
Power cannot: it is measured at one size, and depends on the number of neurons, which documents do not change.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from queries.stats.set_verdict import MIN_POWER
from queries.stats.verdict import ARBITRARY, GIVEN, LEVEL, MIN_DOCUMENTS

_FAR = 100  # times as many documents: a guess from so far off is not a number
_LEAST = re.compile(r"at least [\d.,]*\d")


class Lack(NamedTuple):
    """What is missing: in `brief` for a cell, and in `words` as the end of a sentence."""

    brief: str
    words: str


def lacking(found: Mapping[str, Any], *, by_documents: bool, counts_documents: bool) -> Lack:
    """What the undecidable claim `found`, a row of `queries.FINDING`, lacks.

    `by_documents`: its interval resamples documents, not weights; `counts_documents`: its `n` is their number.
    """
    if found["reason"] == ARBITRARY:
        return Lack("more documents do not help", "more documents do not help: the number has no meaning")
    if found["reason"] == GIVEN:
        return Lack("more documents do not help", "more documents do not help: layers and neurons are given")
    if not by_documents:
        return _of_weights(found)
    n = found["n"] if counts_documents else None
    return _too_little(found, n) or _unseen(found) or _wide(found, n) or _another(found)


def _of_weights(found: Mapping[str, Any]) -> Lack:
    """The interval is over weights."""
    power = f" and the power is {_percent(found['power'])} at this size" if _is_unseen(found) else ""
    return Lack(
        "more documents do not help",
        f"more documents do not help: the weights and the number of neurons are given{power}; documents only say which "
        "neurons are the plateau's",
    )


def _too_little(found: Mapping[str, Any], n: int | None) -> Lack | None:
    """Fewer documents or positions than any verdict needs, or no interval."""
    least, reason = _LEAST.search(found["reason"] or ""), found["reason"] or ""
    if n is not None and n < MIN_DOCUMENTS:
        return Lack(f"at least {MIN_DOCUMENTS} documents", f"at least {MIN_DOCUMENTS} documents are needed")
    if least and "position" in reason:
        how = f": {found['remedy']}" if found["remedy"] else ", which more documents give"
        return Lack(f"{least[0]} positions", f"{least[0]} positions are needed{how}")
    if least:
        return Lack("more data", f"what is short of {least[0]} comes with more documents; how many cannot be told")
    if not (_is_known(found["low"]) and _is_known(found["high"])):
        return Lack("no interval", "how many documents would give an interval cannot be told")
    return None


def _unseen(found: Mapping[str, Any]) -> Lack | None:
    """The test would not see the effect."""
    if not _is_unseen(found):
        return None
    power = _percent(found["power"])
    return Lack(
        f"power {power} at this size",
        f"the power is {power} at this size; more documents add no neurons, and help only as far as noise hides the "
        "effect, which cannot be told from one size",
    )


def _wide(found: Mapping[str, Any], n: int | None) -> Lack | None:
    """The interval reaches what it must exclude."""
    times = times_needed(found)
    if times is None:
        return None
    needed = f"{float(f'{times * n:.2g}') if n else float(f'{times:.2g}'):,.4g}"
    often = f"{needed} documents" if n else f"{needed} times as many documents"
    about = f"about {often}" if times < _FAR else f"over {_FAR} times as many documents"
    words = (
        f"with {about} the interval, as wide as one over the root of their number, would exclude "
        f"{found['bar']:.2g} if the estimate stayed as it is"
    )
    if not found["q"] < LEVEL:
        words += "; the test has to agree too"
    return Lack(about, words)


def _another(found: Mapping[str, Any]) -> Lack:
    """Documents are not what is seen to be missing."""
    why = "what the interval must exclude is not known"
    if _is_known(found["bar"]):
        at_bar = found["estimate"] == found["bar"]
        why = "the estimate is what it is held against" if at_bar else "the interval over documents is clear of "
        why += "" if at_bar else f"{found['bar']:.2g} already: what fails is another condition"
    return Lack("more documents need not help", f"more documents need not help: {why}")


def times_needed(found: Mapping[str, Any]) -> float | None:
    """How many times as many documents the interval needs to exclude `bar`; None where it does, or cannot.

    >>> times_needed({"estimate": 0.2, "low": -0.2, "high": 0.6, "bar": 0.0})
    4.0
    """
    near = found["low"] if found["estimate"] > found["bar"] else found["high"]
    away = abs(found["estimate"] - found["bar"])
    if not all(_is_known(value) for value in (near, away)) or away == 0:
        return None
    times = float((abs(found["estimate"] - near) / away) ** 2)
    return round(times, 9) if times > 1 else None


def _is_unseen(found: Mapping[str, Any]) -> bool:
    """Whether no effect was found with a power that is known, and too small."""
    return _is_known(found["power"]) and found["power"] < MIN_POWER and not found["q"] < LEVEL


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
