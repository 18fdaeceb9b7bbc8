"""The smooth null, the noise null and the corrected intervals of one curve, and the rules of the verdict."""

import numpy as np
import pytest

from queries.stats import plateau
from queries.stats.bootstrap import document_weights
from queries.stats.corrected import CORRECTED, correct
from queries.stats.plateau import assess, denoise, summarise_null, two_sided_p, upper_p
from queries.stats.three_regimes import QUANTITIES


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr(plateau, "N_SMOOTH", 199)
    monkeypatch.setattr(plateau, "N_NOISE", 49)


def measured(true, n_documents, rng, own=0.5, common=0.3):
    """Sums (D, N): documents that scale all neurons, and each neuron in each document on its own; counts (D,)."""
    counts = np.full(n_documents, 100.0)
    factor = np.exp(common * rng.standard_normal(n_documents))[:, None]
    return counts[:, None] * factor * true * rng.lognormal(-(own**2) / 2, own, (n_documents, len(true))), counts


def step(n=500):
    x = np.log(np.arange(1, n + 1))
    y = -0.7 * x - 3.3 * np.maximum(x - np.log(200), 0)
    y[:20] = 1.0 - 0.7 * np.log(20.5)
    return np.exp(y)


def test_a_planted_step_beats_every_smooth_law_and_one_law_does_not():
    rng = np.random.default_rng(0)
    weights = document_weights(30, 300, rng)
    found = assess(*measured(step(), 30, rng), weights, rng)
    assert found.p_statistic == pytest.approx(1 / 200)
    assert found.critical < 0.3
    smooth = assess(*measured(rng.lognormal(0, 1, 500), 30, rng), weights, rng)
    assert smooth.p_statistic > 0.01
    assert smooth.law == "lognormal"


def test_the_simulated_curve_is_as_spread_as_the_measured_one():
    """The smooth null takes the noise out and puts it back: its curves must look like the data's, middle slope too."""
    rng = np.random.default_rng(1)
    found = assess(*measured(rng.lognormal(0, 0.6, 800), 12, rng, own=1.5), document_weights(12, 300, rng), rng)
    kappa = QUANTITIES.index("kappa")
    null = summarise_null(float(found.observed.quantity[0, kappa]), found.smooth.quantity[:, kappa])
    assert null.low < found.observed.quantity[0, kappa] < null.high


def test_pure_noise_looks_like_its_noise_null():
    rng = np.random.default_rng(2)
    found = assess(*measured(np.ones(400), 20, rng, own=1.5), document_weights(20, 200, rng), rng)
    kappa = QUANTITIES.index("kappa")
    assert summarise_null(float(found.observed.quantity[0, kappa]), found.noise.quantity[:, kappa]).p > 0.02


@pytest.mark.parametrize(
    ("true", "words"), [(np.ones(20), "at least 50"), (np.zeros(80), "0 neurons"), (np.ones(80), "do not differ")]
)
def test_no_curve_no_answer(true, words):
    rng = np.random.default_rng(3)
    found = assess(np.outer(np.ones(10), true), np.ones(10), document_weights(10, 50, rng), rng)
    assert words in found.reason
    assert np.isnan(found.p_statistic)
    assert np.isnan(found.observed.quantity).all()


def test_zeros_in_some_resamples_are_no_trouble():
    rng = np.random.default_rng(4)
    sums, counts = measured(rng.lognormal(0, 1, 200), 12, rng)
    sums[1:, :40] = 0.0  # these neurons act in one document only
    found = assess(sums, counts, document_weights(12, 200, rng), rng)
    assert found.reason == ""
    assert np.isfinite(found.drawn.quantity).all()


def test_monte_carlo_p():
    assert upper_p(5.0, np.array([1.0, np.nan, -np.inf])) == pytest.approx(1 / 3)
    assert upper_p(-np.inf, np.full(9, -np.inf)) == 1.0
    assert two_sided_p(0.0, np.array([-1.0, 1.0])) == 1.0
    assert np.isnan(two_sided_p(np.nan, np.ones(3)))
    assert np.isnan(summarise_null(1.0, np.full(3, np.nan)).mean)


def test_denoise_takes_the_variance_of_the_noise_out():
    values = np.random.default_rng(5).lognormal(0, 1, 5000)
    assert np.log(denoise(values, 0.5)).var() == pytest.approx(np.log(values).var() - 0.5)
    assert np.log(denoise(values, 9.0)).std() == pytest.approx(plateau.MIN_SIGNAL * np.log(values).std())


def test_correction_takes_out_a_known_bias():
    """Replicates that lie 0.3 above the estimate: the estimate was 0.3 too high itself. Places are left alone."""
    rng = np.random.default_rng(6)
    observed = np.full(9, 2.0)
    drawn = 2.3 + 0.1 * rng.standard_normal((4000, 9))
    found = correct(observed, drawn, 1000)
    for i, name in enumerate(QUANTITIES):
        assert found.low[i] <= found.estimate[i] <= found.high[i]
        assert found.estimate[i] == pytest.approx(1.7 if name in CORRECTED else 2.0, abs=0.01)
    kappa = QUANTITIES.index("kappa")
    assert found.high[kappa] - found.low[kappa] == pytest.approx(2 * np.hypot(1.96 * 0.1, 0.3), rel=0.06)
    assert np.isnan(correct(observed, np.where(rng.random((4000, 1)) < 0.1, np.nan, drawn), 1000).low).all()
