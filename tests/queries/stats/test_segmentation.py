"""Three regimes: planted breakpoints come back, against brute-force least squares, and the trap of smooth laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.stats.regime_designs import rank_bins
from queries.stats.segmentation import MIN_RANKS, bin_curves, fit_values
from queries.stats.three_regimes import QUANTITIES


def planted(n=1000, plateau=20, excess=1.0, kappa=0.7, elbow=400.0, decay=4.0):
    """Values (n,) with a flat plateau `excess` above the middle line (at its last rank), and a kink at `elbow`."""
    x = np.log(np.arange(1, n + 1))
    y = -kappa * x - (decay - kappa) * np.maximum(x - np.log(elbow), 0)
    edge = 0.5 * (np.log(plateau) + np.log(plateau + 1))
    y[:plateau] = excess - kappa * edge
    return np.exp(y)


def quantities(values):
    return dict(zip(QUANTITIES, fit_values(values[None]).quantity[0], strict=True))


@pytest.mark.parametrize(
    ("n", "plateau", "elbow"), [(1000, 20, 400), (1536, 20, 400), (1000, 33, 210), (4096, 50, 900)]
)
def test_planted_breakpoints_come_back(n, plateau, elbow):
    found = quantities(planted(n, plateau, elbow=float(elbow)))
    assert found["plateau_end"] == pytest.approx(plateau, abs=1)
    assert found["elbow"] == pytest.approx(elbow, rel=0.01)
    assert found["kappa"] == pytest.approx(0.7, abs=0.01)
    assert found["decay_slope"] == pytest.approx(-4.0, abs=0.02)
    assert found["plateau_slope"] == pytest.approx(0.0, abs=0.02)
    assert found["plateau_excess"] == pytest.approx(1.0, abs=0.03)
    assert found["plateau_share"] + found["power_share"] + found["decay_share"] == pytest.approx(1.0)
    fit = fit_values(planted(n, plateau, elbow=float(elbow))[None])
    assert fit.is_plateau[0]
    assert fit.delta_bic_1[0] > 0
    assert fit.delta_bic_0[0] > 0


def test_fit_is_the_least_squares_fit():
    """Against `numpy.linalg.lstsq` at the breakpoints that were found, with columns averaged rank by rank."""
    rng = np.random.default_rng(0)
    values = planted(300, 12, elbow=120.0) * np.exp(0.05 * rng.standard_normal(300))
    found = quantities(values)
    bins = rank_bins(300)
    x = np.log(np.arange(1, 301))
    top = np.arange(1, 301) <= found["plateau_end"]
    columns = [top, top * x, ~top, ~top * x, np.maximum(x - np.log(found["elbow"]), 0)]
    design = np.stack([np.add.reduceat(c * 1.0, bins.start) / bins.size for c in columns], axis=1)
    level1, slope1, level2, slope2, change = np.linalg.lstsq(design, bin_curves(values[None])[0], rcond=None)[0]
    place = 0.5 * (np.log(found["plateau_end"]) + np.log(found["plateau_end"] + 1))
    expected = [-slope2, slope1, slope2 + change, level1 + slope1 * place - level2 - slope2 * place]
    names = ("kappa", "plateau_slope", "decay_slope", "plateau_excess")
    np.testing.assert_allclose([found[name] for name in names], expected, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-12, 1e6), seed=st.integers(0, 50))
def test_unit_and_order_of_the_neurons_do_not_matter(scale, seed):
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 1, 200)
    one, other = fit_values(values[None]), fit_values(scale * rng.permutation(values)[None])
    np.testing.assert_allclose(one.quantity, other.quantity, rtol=1e-5, atol=1e-7)


def test_a_line_needs_no_breakpoint_and_a_kink_only_one():
    rng = np.random.default_rng(1)
    x = np.log(np.arange(1, 801))
    noise = np.exp(0.02 * rng.standard_normal((20, len(rank_bins(800).x)))).repeat(rank_bins(800).size.astype(int), 1)
    line = fit_values(np.exp(-0.8 * x) * noise)
    kink = fit_values(np.exp(-0.8 * x - 2 * np.maximum(x - 5, 0)) * noise)
    assert np.mean(line.delta_bic_0 < 0) > 0.5
    assert (kink.delta_bic_0 > 0).all()
    assert np.median(kink.delta_bic_1) < 2


def test_smooth_laws_look_like_three_regimes():
    """The trap: one half-normal, exponential or lognormal law, and BIC prefers two breakpoints nearly always."""
    rng = np.random.default_rng(2)
    for draws in (
        np.abs(rng.standard_normal((40, 2000))),
        rng.exponential(1, (40, 2000)),
        rng.lognormal(0, 1, (40, 2000)),
    ):
        fit = fit_values(draws)
        assert np.mean(fit.delta_bic_1 > 0) > 0.95
        assert (fit.quantity[:, 4] < fit.quantity[:, 3]).all()


def test_zeros_are_removed_and_too_few_values_give_nan():
    values = np.random.default_rng(3).lognormal(0, 1, (2, 120))
    with_zeros = np.concatenate([values, np.zeros((2, 30))], axis=1)
    np.testing.assert_allclose(fit_values(with_zeros).quantity, fit_values(values).quantity)
    few = fit_values(np.ones((1, MIN_RANKS - 1)))
    assert np.isnan(few.quantity).all()
    assert np.isnan(few.statistic).all()
    mixed = fit_values(np.stack([values[0], np.full(120, np.nan)]))
    assert np.isfinite(mixed.quantity[0]).all()
    assert np.isnan(mixed.quantity[1]).all()
