"""What an undecidable claim lacks: each kind of reason, from what the analyses say."""

import math
from dataclasses import replace

import polars as pl
import pytest

from queries import FINDING
from queries.rare_contrast import _too_little as few_of_both
from queries.stats import verdict
from queries.stats.routing_verdict import RoutingEvidence, decide_routing, remedy
from reports.lacking import lacking, times_needed

WIDE = {
    "run": "r-1", "verdict": "undecidable", "estimate": 0.2, "low": -0.2, "high": 0.6, "n": 12, "null": 0.0, "q": 0.01,
    "power": math.nan, "bar": 0.0, "reason": "the interval is wide",
    "remedy": None,
}  # fmt: skip


def lack(*, by_documents=True, counts_documents=True, **changes):
    return lacking({**WIDE, **changes}, by_documents=by_documents, counts_documents=counts_documents)


def test_the_row_is_a_finding():
    assert pl.DataFrame([WIDE], schema=FINDING).height == 1
    assert set(WIDE) == set(FINDING)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, 4.0),
        ({"estimate": -0.2, "low": -0.4, "high": 0.1}, 2.25),  # below the null its upper end counts
        ({"low": 0.1}, None),  # the null is excluded already
        ({"estimate": 0.0, "low": -0.4, "high": 0.4}, None),
        ({"low": math.nan}, None),
        ({"bar": math.nan}, None),
        ({"bar": 0.1}, 16.0),  # what must be excluded need not be the null
    ],
)
def test_how_many_times_as_many_documents(changes, needed):
    assert times_needed({**WIDE, **changes}) == (needed if needed is None else pytest.approx(needed))


def test_a_wide_interval_says_how_many_documents_and_on_what_condition():
    found = lack()
    assert found.brief == "about 48 documents"
    assert "if the estimate stayed as it is" in found.words
    assert "test" not in found.words
    assert lack(q=0.3).words.endswith("the test has to agree too")
    assert lack(estimate=0.01).brief == "over 100 times as many documents"
    assert lack(n=1234, counts_documents=False).brief == "about 4 times as many documents"


def test_too_few_documents_and_positions_as_the_analyses_say_it():
    poor = verdict.Evidence(
        n_documents=64, n_positions=57, is_plateau=True, plateau_rule_share=1, delta_bic_1=9, delta_bic_0=9,
        excess_low=1, excess_high=2, reliability=0.9, p_smooth=0.01, q_smooth=0.01, q_high=0.01, critical=0.1, law="",
    )  # fmt: skip
    for reason in (verdict.decide(poor)[1], few_of_both(64, 57, 900)):
        assert lack(reason=reason).brief == "at least 100 positions"
    assert "which more documents give" in lack(reason=verdict.decide(poor)[1]).words
    assert lack(n=8).brief == "at least 10 documents"
    assert lack(reason="the ranking is unreliable (split-half 0.3, at least 0.5 is needed)").brief == "more data"
    assert lack(low=math.nan, high=math.nan).brief == "no interval"


def test_an_analysis_says_what_gives_positions_where_documents_do_not():
    evidence = RoutingEvidence(30, 32, 900, 12, 90, 0, 0, 0.4, 0.3, 0.5, {"any": 0.0}, {"any": 0.4})
    found = lack(reason=decide_routing(evidence)[1], remedy=remedy(evidence), n=30)
    assert found.brief == "at least 100 positions"
    assert "more documents give" not in found.words
    assert found.words.startswith("at least 100 positions are needed: if --head-tokens was below 200: rt rm")
    assert "rt extract --heads with more" in found.words
    assert remedy(replace(evidence, n_documents=9)) is None
    assert remedy(replace(evidence, n_positions=100)) is None


def test_a_test_that_would_not_see_the_effect_states_its_power():
    found = lack(power=0.08, q=0.9, low=0.1)
    assert found.brief == "power 8 % at this size"
    assert "more documents add no neurons" in found.words
    # where it rejects, or would have seen it, the power is not what is missing
    assert lack(power=0.08, q=0.01).brief == "about 48 documents"
    assert lack(power=0.9, q=0.9).brief == "about 48 documents"


def test_weights_ask_for_no_documents():
    found = lack(by_documents=False, power=0.04, q=0.9, n=1536)
    assert found.brief == "more documents do not help"
    assert "4 %" in found.words


def test_another_condition_than_the_interval():
    assert "clear of 0 already" in lack(low=0.1).words
    assert "the estimate is what it is held against" in lack(estimate=0.0).words
    assert "not known" in lack(bar=math.nan).words


def test_no_number_of_documents_gives_a_sign_a_meaning():
    assert lack(reason=verdict.ARBITRARY).brief == "more documents do not help"
    assert "layers and neurons are given" in lack(reason=verdict.GIVEN).words
