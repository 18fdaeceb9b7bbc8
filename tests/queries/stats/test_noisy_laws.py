"""Laws with noise: without noise they equal the fits of SciPy and of `smooth_laws`, with noise they find the truth."""

import numpy as np
import pytest
from scipy import stats

from queries.stats.noisy_laws import LAWS, component, fit_law, fit_mixture, make_bins, model_of, nested
from queries.stats.smooth_laws import fit_smooth_law

RNG = np.random.default_rng(0)
LOGS = np.log(np.random.default_rng(1).gamma(2.0, 1.0, 4000))


def fitted(name, logs, variance=0.0):
    bins = make_bins(logs, np.full(len(logs), variance))
    return fit_law(LAWS[name], bins, bins.count(logs[None])), bins


def test_counts_are_a_histogram():
    bins = make_bins(LOGS, np.zeros(4000))
    counts = bins.count(np.stack([LOGS, LOGS + 0.5]))
    expected = np.histogram(LOGS, np.concatenate([[-99], bins.edges[1:-1], [99]]))[0]
    np.testing.assert_array_equal(counts[0], expected)
    assert (counts.sum(axis=1) == 4000).all()
    assert bins.count(np.array([[np.nan, 0.0]])).sum() == 1
    np.testing.assert_allclose(bins.kernel.sum(axis=1), 1)


SCIPY = {
    "half_normal": lambda p: stats.halfnorm(scale=np.exp(p[0])),
    "exponential": lambda p: stats.expon(scale=np.exp(p[0])),
    "weibull": lambda p: stats.weibull_min(np.exp(p[1]), scale=np.exp(p[0])),
    "gamma": lambda p: stats.gamma(np.exp(p[1]), scale=np.exp(p[0] - p[1])),
    "lognormal": lambda p: stats.lognorm(np.exp(p[1]), scale=np.exp(p[0])),
}


@pytest.mark.parametrize("name", SCIPY)
def test_without_noise_they_are_the_plain_fits(name):
    """Bin probabilities are differences of SciPy's distribution functions; parameters those of the plain fit."""
    fit, bins = fitted(name, LOGS)
    law = SCIPY[name](fit.parameters[0])
    expected = np.diff(law.cdf(np.exp(bins.edges)))
    np.testing.assert_allclose(np.exp(fit.log_probability[0]), expected, atol=3e-4)
    plain = fit_smooth_law(name, np.exp(LOGS))
    np.testing.assert_allclose(law.ppf([0.1, 0.5, 0.9]), plain.ppf(np.array([0.1, 0.5, 0.9])), rtol=0.03)


def test_a_power_law_and_a_lognormal_body_with_its_tail_are_recovered():
    rng = np.random.default_rng(2)
    fit, _ = fitted("power_law", rng.exponential(0.7, 3000))
    assert np.exp(fit.parameters[0, 0]) == pytest.approx(0.7, rel=0.06)
    fit, bins = fitted("pareto_lognormal", 0.3 * rng.standard_normal(6000) + rng.exponential(0.7, 6000))
    assert np.exp(fit.parameters[0, 1:]) == pytest.approx([0.3, 0.7], rel=0.12)
    weights = model_of(LAWS["pareto_lognormal"], bins)(fit.parameters)[0]
    assert weights @ bins.grid == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("name", ["lognormal", "exponential", "generalised_gamma"])
def test_noise_is_taken_out(name):
    rng = np.random.default_rng(3)
    true = {"exponential": np.log(rng.exponential(1, 5000))}.get(name, rng.standard_normal(5000))
    noisy = true + 0.8 * rng.standard_normal(5000)
    fit, bins = fitted(name, noisy, 0.64)
    if name == "exponential":
        assert fit.parameters[0, 0] == pytest.approx(0.0, abs=0.06)
        assert fit.log_likelihood[0] > fitted("lognormal", noisy, 0.64)[0].log_likelihood[0]
    else:
        assert np.exp(fit.parameters[0, 1]) == pytest.approx(1.0, abs=0.08)
    twice = fit_law(LAWS[name], bins, bins.count((noisy + 0.8 * rng.standard_normal(5000))[None]), wide=True)
    assert twice.parameters[0, :2] == pytest.approx(fit.parameters[0, :2], abs=0.1)


def test_many_sets_at_once_equal_one_by_one():
    bins = make_bins(LOGS, np.full(4000, 0.05))
    counts = bins.count(RNG.choice(LOGS, (5, 1000)))
    together = fit_law(LAWS["generalised_gamma"], bins, counts)
    alone = [fit_law(LAWS["generalised_gamma"], bins, counts[i : i + 1]).log_likelihood[0] for i in range(5)]
    np.testing.assert_allclose(together.log_likelihood, alone, atol=1e-3)


def test_a_planted_component_is_found_where_it_is():
    logs = RNG.standard_normal(3000)
    logs[:120] = 4 + 0.2 * RNG.standard_normal(120)
    body, bins = fitted("lognormal", logs)
    mixture = fit_mixture(LAWS["lognormal"], bins, bins.count(logs[None]), body.parameters)
    share, place, width = (each[0, 0] for each in component(mixture.parameters[:, -3:], bins))
    assert share == pytest.approx(0.04, abs=0.005)
    assert place == pytest.approx(4.0, abs=0.1)
    assert width == pytest.approx(0.2, abs=0.05)
    assert mixture.log_likelihood[0] > body.log_likelihood[0] + 50


def test_outliers_and_which_laws_are_nested():
    logs = np.append(LOGS, [-40.0, 30.0])
    for name in LAWS:
        assert np.isfinite(fitted(name, logs)[0].log_likelihood[0]), name
    assert nested("lognormal", "pareto_lognormal")
    assert not nested("pareto_lognormal", "generalised_gamma")


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_no_law_fits_worse_than_a_case_of_it(draw):
    """A search that takes a step too long goes on with shorter ones, in every resample."""
    rng = np.random.default_rng(0)
    true = rng.normal(-5.0, 1.0, 1500) if draw == "normal" else np.log(rng.exponential(size=1500))
    logs = true + np.sqrt(0.05) * rng.standard_normal(1500)
    bins = make_bins(logs, np.full(1500, 0.05))
    counts = bins.count(logs[np.concatenate([np.arange(1500)[None], rng.integers(0, 1500, (60, 1500))])])
    fits = {name: fit_law(law, bins, counts).log_likelihood for name, law in LAWS.items()}
    for name, case in (
        ("generalised_gamma", "weibull"), ("generalised_gamma", "gamma"), ("generalised_gamma", "lognormal"),
        ("pareto_lognormal", "lognormal"), ("pareto_lognormal", "power_law"), ("weibull", "exponential"),
        ("truncated_pareto_lognormal", "pareto_lognormal"), ("truncated_power_law", "power_law"),
    ):  # fmt: skip
        assert (fits[name] > fits[case] - 0.1).all()


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law.gradient])
def test_derivatives_in_closed_form_are_those_of_the_density(name):
    law, bins = LAWS[name], make_bins(LOGS, np.full(len(LOGS), 0.05))
    start = np.atleast_2d(law.start(bins))
    for at in (start, start + 0.5, start - 1.0):
        slopes = law.gradient(at, bins)
        assert len(slopes) == at.shape[1]
        for i, slope in enumerate(slopes):
            step = 1e-5 * np.eye(at.shape[1])[i]
            numeric = (law.log_density(at + step, bins) - law.log_density(at - step, bins)) / 2e-5
            np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-5)
