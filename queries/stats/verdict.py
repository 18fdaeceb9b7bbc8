"""The verdict on a plateau: when the evidence supports it, contradicts it, or decides nothing, and why in words."""

from dataclasses import dataclass

import numpy as np

SUPPORTED, CONTRADICTED, UNDECIDABLE = "supported", "contradicted", "undecidable"
MIN_RELIABILITY = 0.5
LEVEL = 0.05
FEWER = "fewer breakpoints describe the curve as well"
# A step that doubles the influence: what the data must be able to show before its absence means anything.
VISIBLE_EXCESS = float(np.log(2.0))


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    `is_plateau` the plateau rule on the data, `plateau_rule_share` in the resamples, `excess_low`, `excess_high` the
    interval of the excess, `critical` the 95 % point of the plateau statistic under the smooth law, `q_smooth` its
    q-value, `law` the smooth law in words.
    """

    is_plateau: bool
    plateau_rule_share: float
    delta_bic_1: float
    delta_bic_0: float
    excess_low: float
    excess_high: float
    reliability: float
    q_smooth: float
    critical: float
    law: str


def decide(evidence: Evidence) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable`, and the reason.

    Supported: two breakpoints win by BIC, the plateau rule holds in the data and in most resamples, the excess is
    above zero, the ranking is reliable, and a smooth law does not show such an excess (q < 0.05). Contradicted: the
    ranking is reliable, the data would show a step that doubles the influence, there is none, and either fewer
    breakpoints suffice or a smooth law explains the curve. Undecidable: anything else.
    """
    e = evidence
    if not e.reliability >= MIN_RELIABILITY:
        return UNDECIDABLE, f"the ranking is unreliable (split-half {e.reliability:.2f}, at least 0.5 is needed)"
    missing = _missing(e)
    if not missing:
        return SUPPORTED, (
            f"the step exceeds what a smooth law ({e.law}) gives (q = {e.q_smooth:.2g}), its interval excludes 0 "
            f"and the plateau rule holds in {e.plateau_rule_share:.0%} of the resamples"
        )
    if missing == [FEWER]:
        return UNDECIDABLE, (
            f"a step stands out from what a smooth law ({e.law}) gives (q = {e.q_smooth:.2g}), but fewer breakpoints "
            "describe the curve as well: a rapid decay after the power law is not shown"
        )
    if e.excess_high < VISIBLE_EXCESS and e.critical < VISIBLE_EXCESS:
        fewer = min(e.delta_bic_1, e.delta_bic_0) <= 0
        if fewer:
            return CONTRADICTED, "fewer breakpoints describe the curve as well, and a step of ln 2 would have been seen"
        if e.q_smooth >= LEVEL:
            return CONTRADICTED, (
                f"a smooth law ({e.law}) explains the curve (q = {e.q_smooth:.2g}), and a step of ln 2 would have been "
                "seen"
            )
    return UNDECIDABLE, "; ".join(missing)


def _missing(e: Evidence) -> list[str]:
    """The conditions of `supported` that are not met, in words."""
    conditions = [
        (e.delta_bic_1 > 0 and e.delta_bic_0 > 0, FEWER),
        (e.is_plateau, "the first regime is not flat against the second"),
        (
            e.plateau_rule_share > 0.5,
            f"the first regime is flat in only {e.plateau_rule_share:.0%} of the resamples",
        ),
        (e.excess_low > 0, f"the step is not above zero (interval {e.excess_low:.2f} to {e.excess_high:.2f})"),
        (e.q_smooth < LEVEL, f"a smooth law ({e.law}) gives such a step too (q = {e.q_smooth:.2g})"),
    ]
    return [words for met, words in conditions if not met]
