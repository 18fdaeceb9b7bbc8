"""The verdict on "these neurons form no modules": what the evidence must show for either answer, and why in words."""

from dataclasses import dataclass

from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE

PLANTED_R = 0.3
MIN_POWER = 0.8


@dataclass(frozen=True)
class ModuleEvidence:
    """What a verdict rests on, of signed modularity with resolution 1 unless said.

    `estimate`, `low` and `high` its interval, `null_mean` the largest mean among the nulls, `p` the largest p among
    them, `q` its q-value, `p_correlation` the largest p of modularity without noise and common mode, `planted` the
    median with two planted modules and `power` the share of such draws that the test finds. `reason` says why there is
    no estimate or no interval.
    """

    estimate: float
    low: float
    high: float
    null_mean: float
    p: float
    q: float
    p_correlation: float
    planted: float
    power: float
    reason: str = ""


def decide_modules(evidence: ModuleEvidence) -> tuple[str, str]:
    """`supported` (no modules), `contradicted` (modules) or `undecidable`, and the reason.

    Contradicted: more modular than every null (q < 0.05), with an interval above the mean of each. Supported: some null
    gives as much (p >= 0.05), here and without noise and common mode; two planted modules would have been found in 80 %
    of draws; and the interval ends below what they would have given. Undecidable: anything else.

    >>> decide_modules(ModuleEvidence(0.10, 0.08, 0.12, 0.11, 0.6, 0.7, 0.5, 0.25, 0.99))[0]
    'supported'
    """
    e = evidence
    if e.reason:
        return UNDECIDABLE, e.reason
    if e.p < LEVEL:
        return _beyond_nulls(e)
    modules = f"two modules with r = {PLANTED_R:g} inside"
    as_much = f"a null gives as much (p = {e.p:.2g})"
    if e.p_correlation < LEVEL:
        return UNDECIDABLE, (
            f"{as_much}, but none does in modularity without noise and common mode (p = {e.p_correlation:.2g})"
        )
    if not e.power >= MIN_POWER:
        return UNDECIDABLE, f"{as_much}, but {modules} would be found in only {100 * e.power:.0f} % of draws"
    if not e.high < e.planted:
        return UNDECIDABLE, (
            f"{as_much}, but the interval over documents reaches {e.high:.3g}, and {modules} would give {e.planted:.3g}"
        )
    return SUPPORTED, (
        f"{as_much}; {modules} would be found in {100 * e.power:.0f} % of draws and give {e.planted:.3g}, which is "
        "above the interval"
    )


def _beyond_nulls(e: ModuleEvidence) -> tuple[str, str]:
    """The verdict on a group that is more modular than every null, each on its own (p < 0.05)."""
    if e.q >= LEVEL:
        return UNDECIDABLE, f"more modular than every null by p = {e.p:.2g}, but not among all tests (q = {e.q:.2g})"
    if e.low <= e.null_mean:
        return UNDECIDABLE, (
            f"more modular than every null (q = {e.q:.2g}), but the interval over documents reaches down to "
            f"{e.low:.3g}, and a null's mean is {e.null_mean:.3g}"
        )
    return CONTRADICTED, f"more modular than every null (q = {e.q:.2g}), whichever documents are left out"
