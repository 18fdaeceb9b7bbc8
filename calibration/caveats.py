"""Limits of coverage and size, and where an analysis is known to be outside them: why, and how far it may be."""

from dataclasses import dataclass

# What a nominal 95 % interval may cover, and what a 5 % test may reject under the null, without a stated caveat.
COVERAGE, SIZE = (0.90, 0.98), (0.0, 0.08)


@dataclass(frozen=True)
class Caveat:
    """Targets of `slug` that begin with `target`, in `designs` (all if empty): `words` say why, `allowed` how far.

    `kind` is `coverage` or `size`.
    """

    slug: str
    target: str
    words: str
    allowed: tuple[float, float]
    designs: tuple[str, ...] = ()
    kind: str = "coverage"

    def is_for(self, slug: str, design: str, target: str, kind: str) -> bool:
        """Whether it is about this number."""
        fits = not self.designs or design in self.designs
        return fits and (slug, kind) == (self.slug, self.kind) and target.startswith(self.target)


_CAUTIOUS = (0.90, 1.0)
CAVEATS = (
    Caveat(
        "influence",
        "rank",
        "neurons that are nearly tied exchange places, and ranking noisy values again moves every neuron towards the "
        "middle: the interval of a rank within a group of near ties, the plateau above all, misses more often than it "
        "says.",
        (0.50, 1.0),
    ),
    Caveat(
        "ranking_reliability",
        "reliability",
        "with 8 documents, halves of 4, the step from half to whole overstates a reliability of 0.987 by 0.0016, half "
        "the width of its interval.",
        (0.70, 1.0),
        designs=("soft, 8 documents",),
    ),
    Caveat(
        "ranking_reliability",
        "",
        "cautious: leaving out groups of documents makes the halves smaller and noisier than those of the estimate.",
        _CAUTIOUS,
    ),
    Caveat(
        "plateau_stability",
        "",
        "cautious: one corpus says little about a neuron at the edge, so memberships have wide intervals, and the "
        "overlap of halves is as in `ranking_reliability`.",
        _CAUTIOUS,
    ),
    Caveat(
        "rare_contrast",
        "",
        "cautious: as many degrees of freedom as documents really contribute, so that q-values hold far out in the "
        "tail.",
        _CAUTIOUS,
    ),
    Caveat(
        "frequency_curve",
        "",
        "cautious: as many degrees of freedom as documents really contribute, often two or three in the rare bands.",
        _CAUTIOUS,
    ),
    Caveat(
        "kmeans_structure",
        "",
        "cautious: a silhouette is a best of many, which jumps when a set of documents is left out.",
        _CAUTIOUS,
    ),
)


def limits(slug: str, design: str, target: str, kind: str) -> tuple[tuple[float, float], str]:
    """What the rate of a target may be, and the words of its caveat, empty where it has none; `kind` as in `rates`."""
    if kind == "power":
        return (0.0, 1.0), ""
    for caveat in CAVEATS:
        if caveat.is_for(slug, design, target, kind):
            return caveat.allowed, caveat.words
    return (COVERAGE if kind == "coverage" else SIZE), ""
