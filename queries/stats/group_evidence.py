"""What a verdict on a group of neurons against random groups rests on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORDS = {
    "any": "random groups",
    "activation": "groups of equal activation mean and variance",
    "influence": "groups of equal influence",
    "shift": "the same neurons, turned within documents",
}


@dataclass(frozen=True)
class GroupEvidence:
    """`estimate` with `low` and `high`; by null its mean and two-sided p; the q of all nulls together.

    `reason` says why there is no estimate or interval.
    """

    estimate: float
    low: float
    high: float
    null_mean: Mapping[str, float]
    p: Mapping[str, float]
    q: float
    reason: str = ""

    def nulls(self, names: Iterable[str]) -> str:
        """These nulls in words, each with its mean and p.

        >>> GroupEvidence(0.3, 0.2, 0.4, {"any": 0.25}, {"any": 0.1}, 0.1).nulls(["any"])
        'random groups (0.25, p = 0.1)'
        """
        return " and ".join(f"{_WORDS[name]} ({self.null_mean[name]:.2g}, p = {self.p[name]:.2g})" for name in names)


def in_words(names: Iterable[str]) -> str:
    """The nulls by name only.

    >>> in_words(["any", "influence"])
    'random groups and groups of equal influence'
    """
    return " and ".join(_WORDS[name] for name in names)
