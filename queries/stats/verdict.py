"""The verdict on a plateau: when the evidence supports it, contradicts it, or decides nothing, and why in words."""

from dataclasses import dataclass

import numpy as np

from queries.stats.words import counted

SUPPORTED, CONTRADICTED, UNDECIDABLE = "supported", "contradicted", "undecidable"
MIN_DOCUMENTS = 10
MIN_POSITIONS = 100
MIN_RELIABILITY = 0.5
LEVEL = 0.05
REFUTED = 0.975  # one-sided p of a prediction above which there is surely less than it says
# Why a signed statistic of activations says nothing: no number of documents changes that.
ARBITRARY = "the MLP is gated: the sign of a neuron is arbitrary in it, and so is that of r"
# Why a trend over depth stays as sure as it is: another text tells of the same layers.
GIVEN = "the interval is over the neurons of these layers, and the model has no others"
# A smooth law explains a curve whose step is ordinary under it, not one that just misses the level.
ORDINARY = 0.2
# BIC in favour of two breakpoints that is more than "not worth a bare mention" (Kass and Raftery, 1995).
MIN_DELTA_BIC = 2.0
FEWER = "fewer breakpoints describe the curve as well"
# A step that doubles the influence: what the data must be able to show before its absence means anything.
VISIBLE_EXCESS = float(np.log(2.0))


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    `is_plateau` the plateau rule on the data, `plateau_rule_share` in the resamples, `excess_low`, `excess_high` the
    interval of the excess, `critical` the 95 % point of the plateau statistic under the smooth law, `p_smooth` its
    Monte-Carlo p, `q_smooth` and `q_high` the q-value and the q-value from the upper ends of the p-values' Monte-Carlo
    intervals, so that no verdict hangs on the seed, `law` the smooth law in words.
    """

    n_documents: int
    n_positions: int
    is_plateau: bool
    plateau_rule_share: float
    delta_bic_1: float
    delta_bic_0: float
    excess_low: float
    excess_high: float
    reliability: float
    p_smooth: float
    q_smooth: float
    q_high: float
    critical: float
    law: str


def decide(evidence: Evidence) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable`, and the reason.

    Any verdict needs enough documents and positions and a reliable ranking. Supported: two breakpoints win by a BIC
    of 2, the plateau rule holds in the data and in most resamples, the excess is above zero, and a smooth law does
    not show such an excess (q < 0.05, also at the upper end of its Monte-Carlo error). Contradicted: a step that
    doubles the influence would have been seen and is excluded by the interval, and either fewer breakpoints suffice
    or the step is ordinary under a smooth law (p >= 0.2). Undecidable: anything else.
    """
    e = evidence
    if poor := _too_little(e):
        return UNDECIDABLE, poor
    missing = _missing(e)
    if not missing:
        return SUPPORTED, (
            f"the step exceeds what a smooth law ({e.law}) gives (q = {e.q_smooth:.2g}), its interval excludes 0 "
            f"and the plateau rule holds in {100 * e.plateau_rule_share:.0f} % of the resamples"
        )
    if missing == [FEWER]:
        return UNDECIDABLE, (
            f"a step stands out from what a smooth law ({e.law}) gives (q = {e.q_smooth:.2g}), but fewer breakpoints "
            "describe the curve as well: a rapid decay after the power law is not shown"
        )
    if e.excess_high < VISIBLE_EXCESS and e.critical < VISIBLE_EXCESS:
        excluded = f"a step that doubles the influence (ln 2) is excluded (interval up to {e.excess_high:.2f})"
        if min(e.delta_bic_1, e.delta_bic_0) <= 0:
            return CONTRADICTED, f"{FEWER}, and {excluded}"
        if e.p_smooth >= ORDINARY:
            return CONTRADICTED, f"a smooth law ({e.law}) explains the curve (p = {e.p_smooth:.2g}), and {excluded}"
    return UNDECIDABLE, "; ".join(missing)


def _too_little(e: Evidence) -> str:
    """Why no verdict can be given whatever the curve; empty where one can."""
    if e.n_documents < MIN_DOCUMENTS:
        return f"{counted(e.n_documents, 'document')}; a verdict needs at least {MIN_DOCUMENTS}"
    if e.n_positions < MIN_POSITIONS:
        return f"{counted(e.n_positions, 'position')}; a verdict needs at least {MIN_POSITIONS}"
    if not e.reliability >= MIN_RELIABILITY:
        return f"the ranking is unreliable (split-half {e.reliability:.2f}, at least {MIN_RELIABILITY} is needed)"
    if np.isnan(e.excess_low):
        return "the curve bends down nowhere in too many resamples: the step has no interval"
    return ""


def _missing(e: Evidence) -> list[str]:
    """The conditions of `supported` that are not met, in words."""
    by_chance = f"a smooth law ({e.law}) gives such a step too (q = {e.q_smooth:.2g})"
    if e.q_smooth < LEVEL:
        by_chance = f"q = {e.q_smooth:.2g} against a smooth law ({e.law}) is within Monte-Carlo error of {LEVEL}"
    conditions = [
        (min(e.delta_bic_1, e.delta_bic_0) > MIN_DELTA_BIC, FEWER),
        (e.is_plateau, "the first regime is not flat against the second"),
        (
            e.plateau_rule_share > 0.5,
            f"the first regime is flat in only {100 * e.plateau_rule_share:.0f} % of the resamples",
        ),
        (e.excess_low > 0, f"the step is not above zero (interval {e.excess_low:.2f} to {e.excess_high:.2f})"),
        (e.q_high < LEVEL, by_chance),
    ]
    return [words for met, words in conditions if not met]
