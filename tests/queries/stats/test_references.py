"""Statistics against packages of others, arch, powerlaw, pwlf and statsmodels, and values published for Hopkins."""

import numpy as np
import powerlaw
import pwlf
import pytest
from arch.bootstrap import IIDBootstrap
from scipy import stats
from sklearn.datasets import load_iris
from statsmodels.stats.multitest import multipletests

from queries.stats import hopkins
from queries.stats.bootstrap import document_weights, percentile_interval, ratio_intervals, replicates
from queries.stats.nulls import benjamini_hochberg
from queries.stats.power_law import fit_power_law
from queries.stats.regime_designs import rank_bins
from queries.stats.segmentation import bin_curves, fit_values
from queries.stats.spectra import spectra, standardise
from queries.stats.three_regimes import QUANTITIES


def test_document_bootstrap_of_a_ratio_agrees_with_arch():
    """`arch.bootstrap.IIDBootstrap` resamples rows of (sum, positions): percentile and BCa ends, up to chance."""
    rng = np.random.default_rng(0)
    counts = rng.integers(5, 40, 30).astype(float)
    sums = counts * rng.gamma(4.0, 0.25, 30)
    weights = document_weights(30, 20_000, rng)
    other = IIDBootstrap(sums, counts, seed=np.random.default_rng(1))

    def ratio(s, c):
        return np.array([s.sum() / c.sum()])

    low, high = percentile_interval(replicates(sums[:, None], counts, weights)[:, 0])
    theirs = other.conf_int(ratio, reps=4000, method="percentile")[:, 0]
    assert (low, high) == (pytest.approx(theirs[0], rel=0.01), pytest.approx(theirs[1], rel=0.01))
    # ours goes further out, by Student's t with as many degrees of freedom as documents contribute
    left = (sums.sum() - sums) / (counts.sum() - counts)
    square = (left - left.mean()) ** 2
    freedom = square.sum() ** 2 / (square**2).sum() - 1
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, freedom) * np.sqrt(30 / 29)) - 1
    ours = ratio_intervals(sums[:, None], counts, weights)
    low, high = other.conf_int(ratio, reps=20_000, method="bca", size=float(level))[:, 0]
    assert (ours.low[0], ours.high[0]) == (pytest.approx(low, rel=0.015), pytest.approx(high, rel=0.015))


@pytest.mark.filterwarnings("ignore")
def test_the_power_law_agrees_with_the_package_of_clauset_and_others():
    """`powerlaw.Fit` (Alstott, Bullmore and Plenz, 2014): threshold, exponent and the number of values above it."""
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.lognormal(0, 1, 400), 4 * (1 - rng.random(200)) ** (-1 / 1.6)])
    ours, theirs = fit_power_law(values), powerlaw.Fit(values, verbose=0)
    assert ours.xmin == pytest.approx(theirs.xmin, rel=0.1)
    fixed = powerlaw.Fit(values, xmin=ours.xmin, verbose=0).power_law
    assert ours.alpha == pytest.approx(fixed.alpha, rel=1e-3)
    assert ours.n_tail == int((values >= ours.xmin).sum())
    assert ours.alpha == pytest.approx(theirs.power_law.alpha, rel=0.03)


def test_a_continuous_curve_is_cut_where_pwlf_cuts_it():
    """`pwlf.PiecewiseLinFit` with three segments on the same binned curve; ours may also step at the first break."""
    rng = np.random.default_rng(5)
    x = np.log(np.arange(1, 1001))
    y = -0.1 * x - 0.7 * np.maximum(x - np.log(25), 0) - 3.2 * np.maximum(x - np.log(400), 0)
    values = np.exp(y + rng.normal(0, 0.002, 1000))[None]
    ours = dict(zip(QUANTITIES, fit_values(values).quantity[0], strict=True))
    bins = rank_bins(1000)
    theirs = pwlf.PiecewiseLinFit(bins.x, bin_curves(values)[0], seed=0)
    breaks = theirs.fit(3)
    assert np.log(ours["elbow"]) == pytest.approx(breaks[2], abs=0.05)
    assert np.log(ours["plateau_end"]) == pytest.approx(breaks[1], abs=0.3)
    slopes = [ours["plateau_slope"], -ours["kappa"], ours["decay_slope"]]
    assert slopes == pytest.approx(theirs.slopes.tolist(), abs=0.1)


def test_q_values_are_those_of_statsmodels():
    """`multipletests(method="fdr_bh")`, with ties and ones."""
    p = np.append(np.round(np.random.default_rng(7).beta(0.4, 2, 300), 3), [0.0, 1.0, 1.0])
    np.testing.assert_allclose(benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1], rtol=1e-12)


def test_spectral_norms_are_those_of_weightwatchers_formulas():
    """WeightWatcher takes squared singular values of the layer as its spectrum (Martin and Mahoney, 2021): the same."""
    rows = standardise(np.random.default_rng(9).standard_normal((12, 60)))
    squared = np.linalg.svd(rows, compute_uv=False) ** 2 / rows.shape[1]
    np.testing.assert_allclose(spectra(rows, np.arange(12)[None]).values[0], squared, rtol=1e-10)


class _Given:
    """A generator of the numbers that are handed in."""

    def __init__(self, *draws):
        self.draws = [np.array(draw, dtype=float) for draw in draws]

    def random(self, shape):
        return self.draws.pop(0).reshape(shape)


def test_hopkins_by_hand_as_in_wrights_package(monkeypatch):
    """Test of the R package hopkins 1.1: six points, three uniform ones (4, 2), (3, 5), (7, 2), rows 1, 5, 6: 0.75."""
    points = np.array([[7, 5], [3, 3], [8, 4], [1, 2], [4, 3], [7, 4]], dtype=float)
    uniform = np.array([[4, 2], [3, 5], [7, 2]]) / 10
    order = [0.0, 0.9, 0.8, 0.7, 0.1, 0.2]  # the smallest three are sampled: rows 1, 5 and 6
    monkeypatch.setattr(hopkins, "sample_size", lambda m: 3)
    box = (np.zeros(2), np.full(2, 10.0))
    assert hopkins.hopkins_draws(points, _Given(uniform, order), 1, box)[0] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("points", "published"),
    [
        (load_iris().data, 0.9952293289),
        (np.random.default_rng(42).standard_normal((500, 2)), 0.89),
        (np.random.default_rng(42).random((1000, 2)), 0.52),
    ],
    ids=["iris", "normal", "uniform"],
)
def test_hopkins_published_by_wright_is_an_ordinary_draw(points, published):
    """Wright (2022) and the package's pages: one sample each of iris (n = 15), 500 normal and 1,000 uniform points."""
    drawn = hopkins.hopkins_draws(points, np.random.default_rng(0), 600)
    low, high = np.quantile(drawn, [0.01, 0.99])
    assert low <= published <= high
    assert high - low < 0.25
