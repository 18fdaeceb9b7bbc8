"""Monte-Carlo p-values in two stages: as seldom small, where nothing is, as those of all draws."""

import numpy as np
import pytest

from queries.stats.groups import FIRST_DRAWS, floor_p, is_open, monte_carlo_p


@pytest.mark.parametrize("level", [0.01, 0.05, 0.0999, 0.2, 0.5])
def test_two_stages_keep_the_size(level):
    """Of 20,000 observations that are one more draw each, no more than `level` have such a p; the first draws alone
    settle most of them."""
    rng = np.random.default_rng(0)
    place = rng.random(20_000)  # what share of all possible draws is as large
    first = rng.binomial(FIRST_DRAWS, place)
    both = first + rng.binomial(1000 - FIRST_DRAWS, place)
    p_first, p_both = (first + 1) / (FIRST_DRAWS + 1), (both + 1) / 1001
    goes_on = np.array([is_open([p]) for p in p_first])
    found = (np.where(goes_on, p_both, p_first) <= level).mean()
    assert found <= level + 3 * np.sqrt(level * (1 - level) / 20_000)
    assert goes_on.mean() < 0.12


def test_what_is_beyond_all_first_draws_is_open():
    assert is_open([0.5, floor_p(FIRST_DRAWS)])
    assert not is_open([float("nan"), monte_carlo_p(0.0, np.arange(FIRST_DRAWS), "greater")])
    assert not is_open([])
