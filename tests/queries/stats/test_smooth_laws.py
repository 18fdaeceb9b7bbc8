"""Smooth laws: parameters and likelihoods against `scipy.stats`, recovery by BIC, samplers against densities."""

import time

import numpy as np
import pytest
from scipy import integrate, stats

from queries.stats.smooth_laws import SMOOTH_LAWS, fit_smooth_law, fit_smooth_laws

SCIPY = {
    "half_normal": (stats.halfnorm, lambda p: (0, p[0])),
    "exponential": (stats.expon, lambda p: (0, p[0])),
    "weibull": (stats.weibull_min, lambda p: (p[0], 0, p[1])),
    "gamma": (stats.gamma, lambda p: (p[0], 0, p[1])),
    "lognormal": (stats.lognorm, lambda p: (p[1], 0, np.exp(p[0]))),
    "generalised_gamma": (stats.gengamma, lambda p: (p[0], p[1], 0, p[2])),
}


@pytest.fixture
def values():
    return np.random.default_rng(0).gamma(2.0, 1.0, 800) ** 0.6 * 1e-3


@pytest.mark.parametrize("name", SCIPY)
def test_density_and_fit_agree_with_scipy(name, values):
    """Same density at the fitted parameters, and no lower likelihood than `scipy.stats` finds itself."""
    law = fit_smooth_law(name, values)
    reference, parameters = SCIPY[name]
    np.testing.assert_allclose(law.logpdf(values), reference.logpdf(values, *parameters(law.parameters)), rtol=1e-8)
    theirs = reference.logpdf(values, *reference.fit(values, floc=0)).sum()
    assert law.log_likelihood >= theirs - 1e-3 * abs(theirs)
    share = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(law.ppf(share), reference.ppf(share, *parameters(law.parameters)), rtol=1e-8)


@pytest.mark.parametrize(("mean", "sd", "exponent"), [(-3.0, 1.0, 1.5), (0.0, 0.3, 4.0), (2.0, 0.1, 0.8)])
def test_pareto_lognormal_agrees_with_scipy_and_is_found_again(mean, sd, exponent):
    """`scipy.stats.exponnorm` is the law of ln x."""
    reference = stats.exponnorm(1 / (sd * exponent), mean, sd)
    draws = np.exp(reference.rvs(4000, random_state=5))
    law = fit_smooth_law("pareto_lognormal", draws)
    assert law.log_likelihood >= (reference.logpdf(np.log(draws)) - np.log(draws)).sum()
    assert law.parameters == pytest.approx((mean, sd, exponent), rel=0.15, abs=0.05)
    mean, sd, exponent = law.parameters
    fitted = stats.exponnorm(1 / (sd * exponent), mean, sd)
    np.testing.assert_allclose(law.logpdf(draws), fitted.logpdf(np.log(draws)) - np.log(draws), rtol=1e-8)
    share = np.array([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6])
    np.testing.assert_allclose(law.ppf(share), np.exp(fitted.ppf(share)), rtol=2e-4)


def test_truncated_power_law_is_normalised_and_found_again():
    """Draws of x^-1.5 e^(-x/50) above 1 by rejection: parameters come back, the density integrates to 1."""
    rng = np.random.default_rng(1)
    draws = (1 - rng.random(200_000)) ** (-1 / 0.5)
    draws = draws[rng.random(len(draws)) < np.exp(-(draws - 1) / 50)][:8000]
    law = fit_smooth_law("truncated_power_law", draws)
    assert law.parameters[0] == pytest.approx(1.5, abs=0.05)
    assert law.parameters[1] == pytest.approx(1 / 50, rel=0.15)
    total, _ = integrate.quad(lambda u: np.exp(law.logpdf(np.array([np.exp(u)]))[0] + u), np.log(law.parameters[2]), 9)
    assert total == pytest.approx(1.0, abs=1e-4)
    grid = np.array([0.1, 0.5, 0.9])
    for share, x in zip(grid, law.ppf(grid), strict=True):
        below, _ = integrate.quad(
            lambda u: np.exp(law.logpdf(np.array([np.exp(u)]))[0] + u), np.log(draws.min()), np.log(x)
        )
        assert below == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("half_normal", lambda rng: np.abs(rng.standard_normal(1000))),
        ("exponential", lambda rng: rng.exponential(1, 1000)),
        ("weibull", lambda rng: rng.weibull(0.5, 1000)),
        ("gamma", lambda rng: rng.gamma(5.0, 1, 1000)),
        ("lognormal", lambda rng: rng.lognormal(0, 1, 1000)),
    ],
)
def test_the_law_that_made_the_values_is_in_the_running(name, draw):
    laws = fit_smooth_laws(draw(np.random.default_rng(2)))
    assert sorted(law.name for law in laws) == sorted(SMOOTH_LAWS)
    assert {law.name: law.bic for law in laws}[name] <= laws[0].bic + 10


def test_laws_follow_the_unit_of_the_values(values):
    for one, other in zip(fit_smooth_laws(values), fit_smooth_laws(1e6 * values), strict=True):
        assert one.name == other.name
        assert other.log_likelihood == pytest.approx(one.log_likelihood - len(values) * np.log(1e6), rel=1e-6)


@pytest.mark.parametrize(
    "odd",
    [np.r_[np.ones(500), 1e8, 1e12], np.exp(np.r_[np.zeros(400), 40 * np.ones(5)]), 1e-120 * np.arange(1.0, 99.0)],
)
def test_odd_values_overflow_nothing(odd):
    for law in fit_smooth_laws(odd):
        assert np.isfinite(law.log_likelihood)
        assert np.isfinite(law.ppf(np.array([0.0, 0.3, 0.999]))).all()


@pytest.mark.parametrize("bad", [np.array([1.0]), np.ones(9), np.array([1.0, -1.0]), np.array([1.0, np.nan])])
def test_bad_values_are_refused(bad):
    with pytest.raises(ValueError, match="smooth laws need"):
        fit_smooth_laws(bad)


@pytest.mark.parametrize("shape", [0.1, 0.5, 1.0, 3.0, 100.0, 1e4])
def test_many_quantiles_of_a_gamma_law_are_those_of_scipy(shape):
    law = fit_smooth_law("gamma", stats.gamma(shape).ppf((np.arange(4000) + 0.5) / 4000))
    shares = np.concatenate([np.random.default_rng(4).random(40_000), [2.0**-53, 1e-9, 0.5, 1 - 1e-9, 1 - 2.0**-53]])
    fitted, scale = law.parameters
    np.testing.assert_allclose(law.ppf(shares), stats.gamma(fitted, scale=scale).ppf(shares), rtol=1e-10)


def test_all_laws_are_fitted_in_time():
    values = np.random.default_rng(3).lognormal(0, 2, 16_000)
    start = time.process_time()
    fit_smooth_laws(values)
    assert time.process_time() - start < 2.0
