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
    row |= {"p_null": 0.001, "p_trend": math.nan, "trend_mean": math.nan}
    return _verdict({**row, **changes}, q=0.001)["verdict"]


@pytest.mark.parametrize("decide", [clusters, neighbours])
def test_a_small_q_contradicts_only_with_the_interval(decide):
    assert decide() == "contradicted"
    assert decide(low=0.1) == "undecidable"
    assert decide(low=math.nan) == "undecidable"


@pytest.mark.parametrize("slug", ["hopkins", "kmeans_structure", "influence_autocorrelation"])
def test_the_section_says_so(slug):
    words = re.sub(r"\s+", " ", load(slug).explanation)
    assert "`contradicted` if q < 0.05 and the interval lies above " in words
