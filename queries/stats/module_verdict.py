"""The verdict on "these neurons form no modules": what the evidence must show for either answer, and why in words."""

from dataclasses import dataclass

from queries.stats.verdict import CONTRADICTED, LEVEL, ORDINARY, SUPPORTED, UNDECIDABLE

PLANTED_R = 0.3
MIN_POWER = 0.8
_MODULES = f"two modules with r = {PLANTED_R:g} inside"
_LIKE_OTHERS = "ordinary for neurons of such influence"


@dataclass(frozen=True)
class ModuleEvidence:
    """What one measure of modularity says of a group.

    `words` name the measure, `low` and `high` its interval, `null_mean` the largest mean among the nulls that judge,
    `p` the largest p among them and `closest` which that is; `least_p` the smaller p of the two comparisons that take
    the influence into account, with groups from the same strata and with the trend over the ranking, and `farthest`
    which that is; `q` the q-value of `p`; `planted` the median with two planted modules and `power` the share of such
    draws that the test finds.
    """

    words: str
    low: float
    high: float
    null_mean: float
    p: float
    closest: str
    least_p: float
    farthest: str
    q: float
    planted: float
    power: float


def decide_modules(evidence: tuple[ModuleEvidence, ...], reason: str = "") -> tuple[str, str]:
    """`supported` (no modules), `contradicted` (modules) or `undecidable` from all measures together, and the reason.

    Contradicted: every measure is beyond every null (q < 0.05), with an interval above the mean of each. Supported:
    every measure is ordinary for the group's influence (p >= 0.2 in both comparisons), with an interval that is not
    above all nulls; two planted modules would have been found in 80 % of draws; and the interval ends below what they
    would have given. Undecidable: anything else, and where a `reason` says that there is no estimate, interval or null.

    >>> one = ModuleEvidence("Q", 0.08, 0.12, 0.11, 0.6, "any", 0.3, "any", 0.7, 0.25, 0.99)
    >>> decide_modules((one, one))[0]
    'supported'
    """
    if reason:
        return UNDECIDABLE, reason
    if all(each.p < LEVEL for each in evidence):
        return _beyond_nulls(evidence)
    for why_not in (_not_ordinary, _not_visible):
        for each in evidence:
            if words := why_not(each):
                return UNDECIDABLE, words
    least = min(evidence, key=lambda each: each.least_p)
    power = min(each.power for each in evidence)
    return SUPPORTED, (
        f"{_LIKE_OTHERS} (p >= {least.least_p:.2g}); {_MODULES} would be found in "
        f"{100 * power:.0f} % of draws and give more than the interval reaches"
    )


def _not_ordinary(e: ModuleEvidence) -> str:
    """Why a measure is not simply that of other neurons; empty where it is."""
    if e.p < LEVEL:
        return f"{e.words} is beyond every null (p = {e.p:.2g}), but not every measure is"
    if not e.least_p >= ORDINARY:
        less = f"{e.words} is rather high beside {e.farthest} (p = {e.least_p:.2g}, ordinary is {ORDINARY:g} or more)"
        return f"{less}, but not beyond {e.closest} (p = {e.p:.2g})"
    if not e.low <= e.null_mean:
        return f"{e.words} has an interval that begins at {e.low:.3g}, above every null's mean (p = {e.p:.2g})"
    return ""


def _not_visible(e: ModuleEvidence) -> str:
    """Why modules might have been missed; empty where they would have been seen."""
    if not e.power >= MIN_POWER:
        return f"{_LIKE_OTHERS}, but {_MODULES} would be found in only {100 * e.power:.0f} % of draws"
    if not e.high < e.planted:
        return (
            f"{_LIKE_OTHERS}, but the interval of {e.words} over documents reaches {e.high:.3g}, "
            f"and {_MODULES} would give {e.planted:.3g}"
        )
    return ""


def _beyond_nulls(evidence: tuple[ModuleEvidence, ...]) -> tuple[str, str]:
    """The verdict on a group that is beyond every null in every measure, each on its own (p < 0.05)."""
    q = max(each.q for each in evidence)
    if q >= LEVEL:
        p = max(each.p for each in evidence)
        return UNDECIDABLE, f"more modular than every null by p = {p:.2g}, but not among all tests (q = {q:.2g})"
    for e in evidence:
        if not e.low > e.null_mean:
            return UNDECIDABLE, (
                f"more modular than every null (q = {q:.2g}), but the interval of {e.words} over documents reaches "
                f"down to {e.low:.3g}, and a null's mean is {e.null_mean:.3g}"
            )
    return CONTRADICTED, f"more modular than every null (q = {q:.2g}), whichever documents are left out"
