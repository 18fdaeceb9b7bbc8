"""Limits of coverage and size, and where an analysis is known to be outside them: why, and how far it may be."""

from dataclasses import dataclass

# What a nominal 95 % interval may cover, and what a 5 % test may reject under the null, without a stated caveat.
COVERAGE, SIZE = (0.90, 0.98), (0.0, 0.08)


@dataclass(frozen=True)
class Caveat:
    """Targets of `slug` that begin with `target`, in `designs` (all if empty): `words` say why, `allowed` how far."""

    slug: str
    target: str
    words: str
    allowed: tuple[float, float]
    designs: tuple[str, ...] = ()

    def is_for(self, slug: str, design: str, target: str) -> bool:
        """Whether it is about this number."""
        fits = not self.designs or design in self.designs
        return fits and slug == self.slug and target.startswith(self.target)


CAVEATS: tuple[Caveat, ...] = ()


def limits(slug: str, design: str, target: str, kind: str) -> tuple[tuple[float, float], str]:
    """What the rate of a target may be, and the words of its caveat, empty where it has none; `kind` as in `rates`."""
    if kind == "power":
        return (0.0, 1.0), ""
    for caveat in CAVEATS:
        if caveat.is_for(slug, design, target):
            return caveat.allowed, caveat.words
    return (COVERAGE if kind == "coverage" else SIZE), ""
