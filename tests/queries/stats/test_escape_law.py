"""First steps between checkpoints, and the law over weight decays refitted from the published table."""

import numpy as np
import pytest
import statsmodels.api as sm

from queries.stats.escape_law import first_above, law_fit

DECAY = np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
PUBLISHED = np.array([147_167, 88_033, 38_150, 22_433, 16_633, 8_900], dtype=float)


def test_the_published_table_gives_the_published_power_law():
    """Yang (2026), arXiv 2605.24057: ln tau = 9.110 - 1.225 ln WD, preferred to an exponential in WD.

    Least squares on the six published means gives 9.182 - 1.228 ln WD: the exponent is that of the paper, the level is
    0.07 above it (three quarters of its standard error), as if there the logarithms of single seeds had been fitted.
    """
    power, exponential = law_fit(np.log(DECAY), PUBLISHED), law_fit(DECAY, PUBLISHED)
    assert power.slope == pytest.approx(-1.225, abs=0.005)
    assert power.intercept == pytest.approx(9.110, abs=0.08)
    theirs = sm.OLS(np.log(PUBLISHED), sm.add_constant(np.log(DECAY))).fit()
    assert power.intercept - theirs.bse[0] < 9.110 < power.intercept
    assert power.low < -1.225 < power.high < -0.9
    assert power.aic < exponential.aic - 4
    assert power.bic < exponential.bic - 4


def test_the_fit_is_that_of_statsmodels():
    theirs = sm.OLS(np.log(PUBLISHED), sm.add_constant(DECAY)).fit()
    ours = law_fit(DECAY, PUBLISHED)
    assert ours.slope == pytest.approx(theirs.params[1])
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.conf_int()[1]))
    log = law_fit(np.log(DECAY), PUBLISHED)
    power = sm.OLS(np.log(PUBLISHED), sm.add_constant(np.log(DECAY))).fit()
    assert log.aic - ours.aic == pytest.approx(power.aic - theirs.aic)
    assert log.bic - ours.bic == pytest.approx(power.bic - theirs.bic)


def test_an_exponential_is_preferred_where_it_is_planted():
    rng = np.random.default_rng(0)
    tau = np.exp(11 - 3 * DECAY + 0.05 * rng.standard_normal(6))
    assert law_fit(DECAY, tau).aic < law_fit(np.log(DECAY), tau).aic


def test_few_decays_have_no_law():
    assert "at least 4 are needed" in law_fit(DECAY[:3], PUBLISHED[:3]).reason
    assert np.isnan(law_fit(np.repeat(DECAY[:1], 6), PUBLISHED).slope)


def test_a_first_step_is_between_two_checkpoints():
    step, values = np.array([0, 10, 100, 1000]), np.array([0.1, 0.5, 0.995, 0.9])
    found = first_above(step, values, 0.99)
    assert (found.low, found.high) == (10, 100)
    assert np.log1p(found.step) == pytest.approx((np.log1p(10) + np.log1p(100)) / 2)
    assert "censored: not above 0.99 up to the last checkpoint, step 1000" in first_above(step, values / 2, 0.99).reason
    assert "already" in first_above(step, values + 1, 0.99).reason
    assert "no value" in first_above(step, np.full(4, np.nan), 0.99).reason
