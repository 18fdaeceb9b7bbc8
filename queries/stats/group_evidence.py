"""What a verdict on a group of neurons against random groups rests on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORDS = {
    "any": "random groups",
    "activation": "groups from the same strata of activation mean and variance",
    "influence": "groups from the same strata of influence",
    "trend": "the trend over the ranking",
    "shift": "the same neurons, turned within documents",
}


@dataclass(frozen=True)
class GroupEvidence:
    """`estimate` with `low` and `high`; by null its mean and p; the q of all nulls together.

    `reason` says why there is no estimate or interval. `ends` has the 95 % interval of a mean that is itself uncertain,
    since it is predicted and not drawn.
    """

    estimate: float
    low: float
    high: float
    null_mean: Mapping[str, float]
    p: Mapping[str, float]
    q: float
    reason: str = ""
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def least(self, name: str) -> float:
        """The mean of a null, of an uncertain one its low end: a claim of `higher` is only refused beyond it."""
        return self.ends[name][0] if name in self.ends else self.null_mean[name]

    def most(self, name: str) -> float:
        """The mean of a null, of an uncertain one its high end: a claim of `lower` is only refused beyond it."""
        return self.ends[name][1] if name in self.ends else self.null_mean[name]

    def nulls(self, names: Iterable[str]) -> str:
        """These nulls in words, each with its mean and p.

        >>> GroupEvidence(0.3, 0.2, 0.4, {"any": 0.25}, {"any": 0.1}, 0.1).nulls(["any"])
        'random groups (0.25, p = 0.1)'
        """
        return " and ".join(f"{_WORDS[name]} ({self.null_mean[name]:.2g}, p = {self.p[name]:.2g})" for name in names)


def in_words(names: Iterable[str]) -> str:
    """The nulls by name only.

    >>> in_words(["any", "influence"])
    'random groups and groups from the same strata of influence'
    """
    return " and ".join(_WORDS[name] for name in names)
