"""The probe: its Hessian and pitchfork as the theory has them, gradients by autograd, planted mixtures recovered."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from queries.stats.gradient_probe import MAX_UPDATES, RATE, START, GradientProbe, gradients
from queries.stats.mixture_probe import assignment, fit, fit_best, responsibilities, squared_distances


def energy(z, mu, beta):
    """F(mu) in torch: the mean over vectors of -ln (1/K) sum_k exp(-beta/2 |z - mu_k|^2)."""
    squared = ((z[:, None] - mu[None]) ** 2).sum(-1)
    return -(torch.logsumexp(-0.5 * beta * squared, 1) - np.log(len(mu))).mean()


def cloud(n=400, seed=0, scales=(1.5, 1.0, 0.5)):
    """Centred vectors with exactly these variances along the axes."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, len(scales)))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / n).T)
    return torch.from_numpy(z * np.sqrt(scales))


@pytest.mark.parametrize("beta", [0.3, 1 / 1.5, 2.0])
def test_the_hessian_at_the_collapsed_state_has_the_eigenvalues_of_the_theory(beta):
    scales, k = (1.5, 1.0, 0.5), 4
    z = cloud(scales=scales)
    hessian = torch.autograd.functional.hessian(
        lambda flat: energy(z, flat.reshape(k, 3), beta), torch.zeros(3 * k, dtype=torch.float64)
    )
    found = np.sort(np.linalg.eigvalsh(hessian.numpy()))
    planted = [beta / k * (1 - beta * each) for each in scales for _ in range(k - 1)] + [beta / k] * 3
    np.testing.assert_allclose(found, np.sort(planted), atol=1e-12)


def test_it_becomes_unstable_where_beta_reaches_one_over_lambda_max():
    z = cloud()
    lowest = []
    for over in (0.99, 1.01):
        hessian = torch.autograd.functional.hessian(
            lambda flat, beta=over / 1.5: energy(z, flat.reshape(3, 3), beta), torch.zeros(9, dtype=torch.float64)
        )
        lowest.append(np.linalg.eigvalsh(hessian.numpy())[0])
    assert lowest[0] > 0 > lowest[1]


@pytest.mark.parametrize("over", [1.01, 1.02])
def test_the_pitchfork_has_the_amplitude_of_the_theory(over):
    """Two prototypes at +-eps: eps^2 = 3 (beta s^2 - 1) / (beta^3 m4), as beta comes near to 1 / s^2."""
    z = cloud(4000, scales=(2.0,))
    s2, m4 = float((z**2).mean()), float((z**4).mean())
    beta = over / s2
    mu = torch.tensor([0.1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([mu], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = energy(z, torch.stack([mu, -mu]), beta)
        loss.backward()
        return loss

    optimiser.step(closure)
    planted = 3 * (beta * s2 - 1) / (beta**3 * m4)
    assert mu.item() ** 2 == pytest.approx(planted, rel=2.5 * (over - 1) * 2)


def test_gradients_are_those_of_autograd():
    z = cloud()
    mu = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    log_beta = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    (energy(z, mu, log_beta.exp()) - 1.5 * log_beta).backward()
    of_mu, of_beta = gradients(z.numpy(), mu.detach().numpy(), 0.4)
    np.testing.assert_allclose(of_mu, mu.grad.numpy(), atol=1e-12)
    assert of_beta == pytest.approx(log_beta.grad.item())


def test_the_value_is_minus_the_energy():
    z, mu = cloud(), np.random.default_rng(0).standard_normal((5, 3))
    _, value = responsibilities(squared_distances(z.numpy(), mu), 0.7)
    assert value == pytest.approx(-energy(z, torch.from_numpy(mu), 0.7).item())


def mixture(beta, k=12, d=8, n=1500, apart=6.0, seed=0):
    """Centred float32 vectors around k equally likely means, with the precision beta."""
    rng = np.random.default_rng(seed)
    means = apart * rng.standard_normal((k, d)) / np.sqrt(beta)
    z = means[rng.integers(k, size=n)] + rng.standard_normal((n, d)) / np.sqrt(beta)
    return (z - z.mean(axis=0)).astype(np.float32)


@pytest.mark.parametrize("beta", [0.01, 1.0, 50.0])
def test_both_probes_recover_a_planted_beta(beta):
    z = mixture(beta)
    found = fit_best(z, np.random.default_rng(1), n_restarts=10)
    assert found.beta == pytest.approx(beta, rel=0.03)
    trained = GradientProbe()
    trained.start(z, 1 / np.linalg.eigvalsh(np.cov(z.T, ddof=0))[-1], np.random.default_rng(2), k=24)
    for _ in range(4):
        trained.train(z, MAX_UPDATES)
    assert np.exp(trained.log_beta) == pytest.approx(beta, rel=0.12)


def test_one_prototype_is_scikit_learns_spherical_gaussian():
    """With one component: scikit-learn has no spherical components of one common variance and equal weights."""
    z = mixture(2.0, k=1).astype(float)
    theirs = GaussianMixture(1, covariance_type="spherical").fit(z)
    ours = fit(z, np.zeros((1, 8)), 1.0)
    assert ours.beta == pytest.approx(1 / theirs.covariances_[0], rel=1e-4)
    assert ours.log_likelihood == pytest.approx(theirs.score(z), rel=1e-5)


def test_em_raises_the_likelihood_and_ends_at_its_fixed_point():
    z = mixture(1.0, apart=2.0).astype(float)
    start = z[:12]
    values = [fit(z, start, 0.3, n).log_likelihood for n in (1, 2, 5, 20, 100)]
    assert (np.diff(values) >= -1e-9).all()
    end = fit(z, start, 0.3, 2000)
    r, _ = responsibilities(squared_distances(z, end.prototypes), end.beta)
    assert end.beta == pytest.approx(z.size / (r * squared_distances(z, end.prototypes)).sum(), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_em_is_never_below_critical_and_d_over_the_trace_is_not_beta(seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((300, 5)) * rng.uniform(0.2, 2, 5)
    z -= z.mean(axis=0)
    beta_c = 1 / np.linalg.eigvalsh(np.cov(z.T, ddof=0))[-1]
    found = fit_best(z, rng)
    assert found.beta >= 5 / z.var(axis=0).sum() - 1e-9 >= beta_c - 1e-9


def test_a_trained_probe_begins_far_below_critical_and_climbs_at_its_own_rate():
    z = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    trained = GradientProbe()
    trained.start(z, 1.0, np.random.default_rng(0))
    assert trained.log_beta == pytest.approx(np.log(START))
    assert trained.train(z, 0) == trained.log_beta
    assert trained.train(z, 10) == pytest.approx(np.log(START) + 10 * RATE, abs=0.02)


def test_nothing_that_varies_and_points_that_are_prototypes():
    assert fit_best(np.zeros((9, 3)), np.random.default_rng(0)) is None
    assert fit_best(np.zeros((1, 3)), np.random.default_rng(0)) is None
    points = np.repeat(np.eye(3), 5, axis=0) - 1 / 3
    found = fit_best(points, np.random.default_rng(0), k=6)
    assert found.beta == np.inf
    assert len(np.unique(assignment(points, found))) == 3
