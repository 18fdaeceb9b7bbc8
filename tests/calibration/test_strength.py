"""What the small version of the calibration would see, against simulated trials."""

import numpy as np
import pytest

from calibration.families import slugs
from calibration.rates import CHECK_LEVEL, binomial_interval
from calibration.strength import POWER, seen_above, seen_below, strength


@pytest.mark.parametrize("n", [20, 60])
def test_four_in_five_fail_at_the_rate_that_is_said_to_be_seen(n):
    rng = np.random.default_rng(n)
    low, high = seen_below(n, 0.90), seen_above(n, 0.08)
    ends = [binomial_interval(k, n, CHECK_LEVEL) for k in range(n + 1)]
    below = [ends[k][1] < 0.90 for k in rng.binomial(n, low, 5000)]
    above = [ends[k][0] > 0.08 for k in rng.binomial(n, high, 5000)]
    assert np.mean(below) == pytest.approx(POWER, abs=0.02)
    assert np.mean(above) == pytest.approx(POWER, abs=0.02)


def test_what_too_few_cannot_show():
    assert seen_above(60, 0.98) is None
    assert seen_above(400, 0.98) > 0.98
    assert seen_below(1, 0.90) is None or seen_below(1, 0.90) < 0.5


def test_every_analysis_has_a_line():
    lines = strength().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == slugs()
