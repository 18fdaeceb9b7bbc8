"""The fast power-law fit against a slow one written from the paper, and against data of a known exponent."""

import time

import numpy as np
import pytest
from scipy import integrate

from queries.stats.power_law import (
    MIN_TAIL,
    PowerLaw,
    against_cutoff,
    against_lognormal,
    bootstrap_p,
    fit_power_law,
    power_law_exponents,
)


def slow_fit(values):
    """Clauset, Shalizi and Newman (2009), sections 3.1 and 3.3, threshold by threshold; both sides of the steps."""
    best = (np.inf,)
    for xmin in np.unique(values)[:-1]:
        tail = np.sort(values[values >= xmin])
        n = len(tail)
        if n < 5:
            break
        alpha = 1 + n / np.log(tail / xmin).sum()
        model, step = 1 - (tail / xmin) ** (1 - alpha), np.arange(n)
        distance = max((model - step / n).max(), ((step + 1) / n - model).max())
        if distance < best[0]:
            best = (distance, alpha, xmin, n)
    return best


def pareto(n, exponent, rng):
    return (1 - rng.random(n)) ** (-1 / (exponent - 1))


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_the_slow_fit(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.lognormal(0, 1, 200), 3 * pareto(100, 2.5, rng)])
    if seed % 2:
        values = np.round(values, 1) + 0.1  # ties
    fit, (distance, alpha, xmin, n) = fit_power_law(values), slow_fit(values)
    assert (fit.n_tail, fit.xmin) == (n, pytest.approx(xmin))
    assert fit.alpha == pytest.approx(alpha)
    assert fit.distance == pytest.approx(distance)
    assert fit.standard_error == pytest.approx((alpha - 1) / np.sqrt(n))


@pytest.mark.parametrize("n", [1, 4, 5, 16, 130])
def test_many_fits_at_once_are_the_same_fits(n):
    values = np.random.default_rng(n).lognormal(0, 1, (40, n))
    values[::5] = np.round(values[::5], 1) + 0.1  # ties
    expected = [fit_power_law(row, 100).alpha for row in values]
    np.testing.assert_array_equal(power_law_exponents(values, 100), expected)


def test_the_exponent_is_recovered_and_its_error_is_right():
    rng = np.random.default_rng(0)
    fits = [fit_power_law(pareto(1000, 2.5, rng), n_thresholds=50) for _ in range(100)]
    inside = [abs(fit.alpha - 2.5) < 1.96 * fit.standard_error for fit in fits]
    assert np.mean([fit.alpha for fit in fits]) == pytest.approx(2.5, abs=0.05)
    assert np.mean(inside) > 0.85  # choosing the threshold adds to the error


def test_it_is_fast():
    values = np.random.default_rng(1).lognormal(0, 1.5, 8000)
    start = time.process_time()
    fit_power_law(values)
    assert time.process_time() - start < 0.5


def test_goodness_of_fit_tells_a_power_law_from_a_lognormal():
    rng = np.random.default_rng(2)
    power, other = pareto(800, 2.2, rng), rng.lognormal(0, 0.5, 800) + 1
    fit = fit_power_law(power, 50)
    assert bootstrap_p(power, fit, 39, rng, 50) > 0.1
    rival = against_lognormal(power, fit)
    assert rival.bic > 2
    assert abs(rival.z) < 1.96
    whole = PowerLaw(1 + 1 / np.log(other / other.min()).mean(), 0.0, float(other.min()), 0.3, 800)
    against = against_lognormal(other, whole)
    assert against.z < -1.96
    assert against.bic < 0
    assert bootstrap_p(other, whole, 39, rng, 50) == pytest.approx(1 / 40)


def above(values):
    """A fit whose threshold is the smallest value."""
    xmin = float(values.min())
    return PowerLaw(1 + 1 / np.log(values / xmin).mean(), 0.0, xmin, 0.0, len(values))


def cut_off(n, exponent, scale, rng):
    """Power law with an exponential cut-off: those draws of the power law that the cut-off lets through."""
    drawn = pareto(60 * n, exponent, rng)
    return drawn[rng.random(60 * n) < np.exp(-(drawn - 1) / scale)][:n]


def test_the_cut_off_law_has_the_likelihood_of_its_formula():
    """p(x) = x^-a e^(-x/scale) scale^(a-1) / Gamma(1-a, 1/scale): normalised by quadrature, tried on a grid."""
    values = cut_off(400, 2.0, 8.0, np.random.default_rng(4))
    fit, best = above(values), -np.inf
    for a in np.linspace(0.5, 3.5, 31):
        for scale in np.geomspace(2, 40, 31):
            norm = integrate.quad(lambda x, a=a, scale=scale: x**-a * np.exp(-x / scale), fit.xmin, np.inf)[0]
            best = max(best, float((-a * np.log(values) - values / scale).sum() - len(values) * np.log(norm)))
    plain = float(np.log((fit.alpha - 1) / fit.xmin * (values / fit.xmin) ** -fit.alpha).sum())
    found = against_cutoff(values, fit)
    assert found.z**2 / 2 == pytest.approx(best - plain, abs=0.1)
    assert found.z**2 / 2 >= best - plain - 1e-6
    assert found.bic == pytest.approx(np.log(400) - found.z**2)
    assert found.p < 0.001


def test_a_power_law_needs_no_cut_off():
    rng = np.random.default_rng(5)
    found = [against_cutoff(values, above(values)) for values in (pareto(600, 2.5, rng) for _ in range(60))]
    assert sum(each.p < 0.05 for each in found) <= 6
    assert sum(each.bic > 6 for each in found) >= 20


def test_small_tails_and_odd_values_have_no_claim():
    few = fit_power_law(np.arange(1.0, 30.0))
    assert few.n_tail < MIN_TAIL
    assert np.isnan(bootstrap_p(np.arange(1.0, 30.0), few, 9, np.random.default_rng(0), 50))
    assert np.isnan(against_lognormal(np.arange(1.0, 30.0), few).z)
    assert np.isnan(against_cutoff(np.arange(1.0, 30.0), few).p)
    for values in (np.ones(100), np.array([1.0, 2.0]), np.zeros(0)):
        assert np.isnan(fit_power_law(values).alpha)
    with pytest.raises(ValueError, match="positive"):
        fit_power_law(np.array([1.0, -1.0, 2.0]))
