"""Limits of coverage and size, and where an analysis is known to be outside them: why, and how far it may be."""

from dataclasses import dataclass

from queries.polysemanticity import CLEANER

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
_FREEDOM = "cautious: as many degrees of freedom as documents really contribute, "
CAVEATS = (
    Caveat(
        "lottery",
        "",
        "cautious: contexts are chosen anew in every resample, which adds to the spread what a corpus of more distinct "
        "documents would not have.",
        _CAUTIOUS,
    ),
    Caveat(
        "influence",
        "rank",
        "neurons that are nearly tied exchange places, and ranking noisy values again moves every neuron towards the "
        "middle: the interval of a rank within a group of near ties, the plateau above all, misses more often than it "
        "says.",
        (0.80, 0.98),
    ),
    Caveat(
        "influence",
        "signed mean",
        _FREEDOM + "few of 8.",
        _CAUTIOUS,
        designs=("none, 8 documents",),
    ),
    Caveat(
        "influence",
        "curve at rank 30",
        "with 8 documents the interval of a value within the ranked curve is 0.8 times as wide as it should be: which "
        "neuron has the rank changes with the documents, and sorting hides part of that.",
        (0.82, 0.98),
        designs=("none, 8 documents",),
    ),
    *(
        Caveat(
            "coactivation",
            target,
            "cautious: leaving documents out moves pairs across the bound of a share by whole pairs, 1.3 to 1.6 times "
            "as far as other documents would.",
            _CAUTIOUS,
        )
        for target in ("share at 80 to 100 degrees", "share of r below -0.1 with the rest")
    ),
    *(
        Caveat(
            "modularity",
            target,
            "cautious: the best partition jumps when documents are left out; intervals are 1.4 to 1.5 times as wide as "
            "they need be.",
            _CAUTIOUS,
        )
        for target in ("signed_q at half the resolution", "signed_q at a quarter of the pairs")
    ),
    Caveat(
        "influence_autocorrelation",
        "",
        "cautious: without a twentieth of the weights other neurons, about as near, are the nearest, and the jackknife "
        "multiplies that jump: intervals are 1.5 to 1.9 times as wide as they need be.",
        _CAUTIOUS,
    ),
    Caveat(
        "spectra",
        "stable_rank",
        "halves of the columns vary too little in their largest eigenvalue where a few stand out and columns are few "
        "(64 here): the interval is 0.8 times as wide as it should be. With 576 columns it covered 89 to 97 %.",
        (0.82, 0.98),
    ),
    Caveat(
        "spectra",
        "hill_alpha",
        "cautious: allows for the few eigenvalues that it is made of.",
        _CAUTIOUS,
    ),
    Caveat(
        "influence_tail",
        "BIC of the best smooth law",
        "cautious: resampled values carry the noise of the documents twice.",
        _CAUTIOUS,
    ),
    Caveat(
        "ranking_reliability",
        "reliability",
        "with 8 documents, halves of 4, the step from half to whole overstates a reliability of 0.987 by 0.0016, half "
        "the width of its interval.",
        (0.75, 0.98),
        designs=("soft, 8 documents",),
    ),
    Caveat(
        "ranking_reliability",
        "reliability",
        "cautious where the reliability is low: leaving out groups of documents makes the halves smaller and noisier "
        "than those of the estimate.",
        _CAUTIOUS,
        designs=("none", "weak", "strong"),
    ),
    Caveat(
        "ranking_reliability",
        "overlap of two top",
        "cautious, for the same reason; with a low reliability it covers always.",
        _CAUTIOUS,
    ),
    Caveat(
        "corpus_contrast",
        "correlation of rankings",
        "cautious: documents move a rank correlation mostly in pairs, where neurons are nearly tied, and the jackknife "
        "counts that twice: intervals 1.4 to 1.9 times as wide as they need be.",
        _CAUTIOUS,
    ),
    Caveat(
        "corpus_contrast",
        "ln ratio",
        _FREEDOM + "of both corpora.",
        _CAUTIOUS,
        designs=("none, 8 documents",),
    ),
    Caveat(
        "plateau_stability",
        "overlap of two halves",
        "cautious: as in `ranking_reliability`; where neurons hardly differ it covers always.",
        _CAUTIOUS,
    ),
    Caveat(
        "plateau_stability",
        "membership",
        "cautious: one corpus says little about a neuron at the edge, so memberships have wide intervals; inside and "
        "outside of the plateau they cover always.",
        _CAUTIOUS,
    ),
    Caveat(
        "rare_contrast",
        "rank-biserial effect",
        "cautious: an effect near 1 has a skewed error that the transformation does not remove.",
        _CAUTIOUS,
    ),
    Caveat(
        "rare_contrast",
        "most selective neuron",
        "cautious: it allows for the search among all neurons.",
        _CAUTIOUS,
    ),
    Caveat(
        "rare_contrast",
        "",
        _FREEDOM + "so that q-values hold far out in the tail.",
        _CAUTIOUS,
        designs=("weak", "strong", "none, 8 documents"),
    ),
    *(
        Caveat("frequency_curve", target, _FREEDOM + "often two or three in the rare bands.", _CAUTIOUS)
        for target in ("plateau_over_rest", "trend", "rest in band 10")
    ),
    Caveat("frequency_curve", "plateau in band 10", _FREEDOM + "often two or three.", _CAUTIOUS, designs=("none",)),
    Caveat(
        "frequency_curve",
        "plateau in band",
        _FREEDOM + "few of 8.",
        _CAUTIOUS,
        designs=("none, 8 documents",),
    ),
    *(
        Caveat(
            "kmeans_structure",
            target,
            "cautious: a silhouette or a gap is a best of many, which jumps when a set of documents is left out.",
            _CAUTIOUS,
        )
        for target in ("kmeans_silhouette", "ward_silhouette, activation", "gap")
    ),
    *(
        Caveat(
            "kmeans_structure",
            target,
            "a silhouette that turns up sharply towards the top of the ranking lies above the parabola that is "
            "continued to it, so p is a little too small there. The verdict asks for the interval as well.",
            (0.0, 0.15),
            designs=("smooth",),
            kind="size",
        )
        for target in ("kmeans_silhouette, activation", "gap, activation")
    ),
    Caveat(
        "coactivation",
        "share of |r| above 0.5",
        "the share of strong pairs bends up towards the top of the ranking where coupling rises in a straight line "
        "with ln influence, so p is too small there. No verdict rests on it.",
        (0.0, 0.2),
        designs=("smooth",),
        kind="size",
    ),
    *(
        Caveat(slug, target, "cautious: a whole rank, which a clear step leaves the same in every corpus.", _CAUTIOUS)
        for slug, target in (("regimes", "plateau_end"), ("plateau_contrast", "difference of plateau_end"))
    ),
    *(
        Caveat(slug, target, _FREEDOM + "fewer than there are.", _CAUTIOUS)
        for slug, target in (
            ("head_loss", "loss, rare minus common"),
            ("head_loss", "relative loss"),
            ("head_routing", "selectivity"),
            ("head_routing", "Gini"),
            ("layer_dimension", ""),
            *(("polysemanticity", f"{name}, documents") for name in CLEANER),
        )
    ),
    Caveat(
        "effective_dimension",
        "d95",
        "cautious where the group is small: d95 counts whole dimensions, and half a dimension of rounding is part of "
        "its interval.",
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
