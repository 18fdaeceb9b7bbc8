"""The verdict on "there is a distinct high component": what it takes, and why in words."""

from queries.stats.specialists import MIXTURE, VISIBLE_SHARE, Assessment
from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE

MIN_SEPARATION, MIN_POWER = 2.0, 0.8


def decide_component(found: Assessment, q: float) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable` for "there is a distinct high component", and why.

    Supported: q < 0.05, the mixture has the best BIC, and its components are apart (Ashman's D of at least 2).
    Contradicted: a smooth law explains the values, and a visible component would have been seen with a power of 80 %.
    """
    if found.reason:
        return UNDECIDABLE, found.reason
    law = found.best_smooth.replace("_", " ")
    gain = found.laws[found.best_smooth].bic - found.laws[MIXTURE].bic
    conditions = [
        (q < LEVEL, f"one smooth law ({law}) gives such an improvement too (q = {q:.2g})"),
        (gain > 0, f"a smooth law ({law}) has the better BIC (by {-gain:.3g})"),
        (found.separation >= MIN_SEPARATION, f"the components are not apart (D = {found.separation:.2g})"),
    ]
    missing = [words for met, words in conditions if not met]
    if not missing:
        return SUPPORTED, (
            f"{100 * found.share:.1f} % of the neurons form a component {found.place:.2f} ln above the mean of the "
            f"rest, apart from it (D = {found.separation:.2g}); no smooth law gives that (best: {law}, BIC {gain:.3g} "
            f"worse, q = {q:.2g})"
        )
    if q >= LEVEL and found.power >= MIN_POWER:
        return CONTRADICTED, (
            f"{missing[0]}, and {100 * VISIBLE_SHARE:.0f} % of the neurons e times above its top would have been seen "
            f"(power {100 * found.power:.0f} %)"
        )
    if q >= LEVEL:
        missing.append(
            f"a component of {100 * VISIBLE_SHARE:.0f} % would be seen with a power of only {100 * found.power:.0f} %"
        )
    return UNDECIDABLE, "; ".join(missing)
