"""Claims that something is absent: what contradicts them, in the code and in the words of the sections."""

import math
import re

import pytest

from queries import load
from queries.influence_autocorrelation import _verdict
from queries.stats.set_verdict import decide_clusters


def clusters(**changes):
    row = {"p": 0.001, "power": 0.9, "reason": "", "estimate": 0.4, "low": 0.3, "high": 0.5, "any_mean": 0.2}
    return decide_clusters({**row, **changes}, q=0.001)[0]


def neighbours(**changes):
    row = {"measure": "membership", "p": 0.001, "power": 0.9, "reason": "", "low": 0.3, "null_mean": 0.2}
    row |= dict.fromkeys(("p_trend", "trend_mean", "trend_low", "trend_high"), math.nan)
    row |= {"p_null": 0.001, "estimate": 0.4}
    return _verdict({**row, **changes}, q=0.001)["verdict"]


@pytest.mark.parametrize("decide", [clusters, neighbours])
def test_a_small_q_contradicts_only_with_the_interval(decide):
    assert decide() == "contradicted"
    assert decide(low=0.1) == "undecidable"
    assert decide(low=math.nan) == "undecidable"


def test_a_trend_that_predicts_surely_more_explains_nothing():
    trend = {"p": 0.99, "p_trend": 0.99, "trend_mean": 0.7, "trend_low": 0.6, "trend_high": 0.8}
    row = {"power": 0.9, "reason": "", "estimate": 0.4, "low": 0.3, "any_mean": 0.2, **trend}
    verdict, reason = decide_clusters({**row, "p_any": 0.001}, q=0.99)
    assert (verdict, "not even as the trend over the ranking predicts (0.6 to 0.8)" in reason) == ("undecidable", True)
    assert decide_clusters({**row, "p_any": 0.3}, q=0.99) == (
        "supported",
        "chance among any neurons explains it (p = 0.3), and 3 planted clusters with correlation 0.3 would be seen in "
        "90 % of groups",
    )
    within = {**row, "p_any": 0.001, "trend_low": 0.3, "p_trend": 0.97}
    assert decide_clusters(within, q=0.99)[1].startswith("the trend over the ranking explains it (q = 0.99)")
    weak = {**row, "p_any": 0.3, "power": 0.1}
    assert decide_clusters(weak, q=0.99)[1].endswith("in only 10 % of groups (the trend allows for up to 0.8)")
    one = {**row, "measure": "membership", "null_mean": 0.0}
    assert _verdict({**one, "p_null": 0.001}, q=0.99)["verdict"] == "undecidable"
    assert "chance explains it (p = 0.3), and" in _verdict({**one, "p_null": 0.3}, q=0.99)["reason"]
    assert _verdict({**one, "p_null": 0.001, "trend_low": 0.3, "p_trend": 0.97}, q=0.99)["verdict"] == "supported"


@pytest.mark.parametrize("slug", ["hopkins", "kmeans_structure", "influence_autocorrelation"])
def test_the_section_says_so(slug):
    words = re.sub(r"\s+", " ", load(slug).explanation)
    assert "`contradicted` if q < 0.05 and the interval lies above " in words
