"""What a verdict on a group of neurons against random groups rests on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from queries.stats.verdict import REFUTED

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

    def refuted(self, sign: float) -> list[str]:
        """Predicted nulls that the estimate is further from than their interval, away from the claim of `sign`.

        They predict more of what is claimed than there is, and more than their error: they do not hold for this group,
        so that it is not beyond them says nothing. The one-sided p has to agree: it may be of a finer form.

        >>> e = GroupEvidence(0.14, 0.13, 0.15, {"trend": 0.2}, {"trend": 0.98}, 0.98, ends={"trend": (0.15, 0.25)})
        >>> e.refuted(1.0), e.refuted(-1.0)
        (['trend'], [])
        """
        return [
            name
            for name, ends in self.ends.items()
            if all(sign * self.estimate < sign * end for end in ends) and self.p[name] > REFUTED
        ]

    def predicted(self, names: Iterable[str]) -> str:
        """These predicted nulls in words, each with its interval."""
        return " and ".join(f"{_WORDS[name]} predicts ({_range(self.ends[name])})" for name in names)

    def nulls(self, names: Iterable[str]) -> str:
        """These nulls in words, each with its mean and p.

        >>> GroupEvidence(0.3, 0.2, 0.4, {"any": 0.25}, {"any": 0.1}, 0.1).nulls(["any"])
        'random groups (0.25, p = 0.1)'
        """
        return " and ".join(f"{_WORDS[name]} ({self.null_mean[name]:.2g}, p = {self.p[name]:.2g})" for name in names)


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.2g} to {ends[1]:.2g}"


def in_words(names: Iterable[str]) -> str:
    """The nulls by name only.

    >>> in_words(["any", "influence"])
    'random groups and groups from the same strata of influence'
    >>> in_words(["any", "influence", "trend"])
    'random groups, groups from the same strata of influence, and the trend over the ranking'
    """
    words = [_WORDS[name] for name in names]
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])}, and {words[-1]}"
