"""When the evidence on a plateau supports it, contradicts it, or decides nothing."""

from dataclasses import replace

import pytest

from queries.stats.verdict import Evidence, decide

GOOD = Evidence(
    n_documents=40, n_positions=2000, is_plateau=True, plateau_rule_share=0.9, delta_bic_1=5.0, delta_bic_0=50.0,
    excess_low=0.5, excess_high=1.2, reliability=0.9, p_smooth=0.004, q_smooth=0.01, q_high=0.02, critical=0.2,
    law="lognormal",
)  # fmt: skip
NONE = {"q_smooth": 0.4, "q_high": 0.5, "p_smooth": 0.4, "excess_low": -0.1, "excess_high": 0.4}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "supported", "exceeds"),
        ({"n_documents": 9}, "undecidable", "9 documents"),
        ({"n_positions": 20}, "undecidable", "20 positions"),
        ({"reliability": 0.4}, "undecidable", "unreliable"),
        ({"reliability": float("nan")}, "undecidable", "unreliable"),
        ({"is_plateau": False}, "undecidable", "not flat"),
        ({"plateau_rule_share": 0.4}, "undecidable", "only 40 %"),
        ({"excess_low": -0.1}, "undecidable", "not above zero"),
        ({"excess_low": float("nan"), "excess_high": float("nan")}, "undecidable", "no interval"),
        ({"q_smooth": 0.2, "q_high": 0.3}, "undecidable", "gives such a step too"),
        ({"q_smooth": 0.045, "q_high": 0.06}, "undecidable", "Monte-Carlo error"),
        (NONE, "contradicted", "explains"),
        (NONE | {"p_smooth": 0.06}, "undecidable", "a smooth law"),
        (NONE | {"critical": 0.9}, "undecidable", "a smooth law"),
        (NONE | {"n_documents": 9}, "undecidable", "9 documents"),
        ({"delta_bic_1": -1.0, "excess_low": -0.1, "excess_high": 0.4}, "contradicted", "fewer breakpoints"),
        ({"delta_bic_1": -1.0}, "undecidable", "fewer breakpoints"),
        ({"is_plateau": False, "excess_high": 0.6}, "undecidable", "not flat"),
    ],
)
def test_each_condition_has_its_say(changes, verdict, words):
    found, reason = decide(replace(GOOD, **changes))
    assert found == verdict
    assert words in reason
