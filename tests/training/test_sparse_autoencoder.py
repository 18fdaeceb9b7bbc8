"""Sparse autoencoders on planted atoms: sums of few known directions are taken apart again."""

import pytest
import torch

from training.sparse_autoencoder import SAES, SparseAutoencoder, Training, fit, loss


def planted(n=3000, d=24, atoms=12, active=2, seed=0):
    """Positions (n, d) that are sums of `active` of `atoms` directions (atoms, d)."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(atoms, d, generator=generator), dim=1)
    chosen = torch.rand(n, atoms, generator=generator).argsort(dim=1)[:, :active]
    sizes = 2 + torch.rand(n, active, generator=generator)
    return torch.zeros(n, atoms).scatter(1, chosen, sizes) @ directions, directions


@pytest.mark.parametrize("sae", SAES)
def test_planted_directions_are_found(sae):
    x, directions = planted()
    settings = Training(atoms=24, k=2, penalty=0.03, steps=800, learning_rate=3e-3)
    model = fit(x, sae, settings, torch.Generator().manual_seed(0), (), lambda *_: None)
    cosines = (directions @ model.decoder.T).max(dim=1).values
    assert (cosines > 0.95).float().mean() > 0.8
    assert model.decoder.norm(dim=1).sub(1).abs().max() < 1e-5


def test_topk_keeps_k_codes_and_relu_those_above_0():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 8, generator=generator)
    topk, relu = (SparseAutoencoder(8, 16, k, torch.Generator().manual_seed(1)) for k in (3, None))
    whole = relu.encode(x)
    codes = topk.encode(x)
    assert (codes > 0).sum(dim=1).max() == 3
    assert torch.equal(codes.max(dim=1).values, whole.max(dim=1).values)
    assert (codes <= whole).all()
    assert (whole >= 0).all()


def test_the_price_is_per_root_of_d_and_only_of_relu():
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    relu, topk = (SparseAutoencoder(8, 16, k, torch.Generator().manual_seed(1)) for k in (None, 3))
    with torch.no_grad():
        price = relu.encode(x).sum(dim=1).mean() / 8**0.5
        assert float(loss(relu, x, 0.5) - loss(relu, x, 0.0)) == pytest.approx(0.5 * float(price), rel=1e-5)
        assert float(loss(topk, x, 0.5)) == float(loss(topk, x, 0.0))


def test_steps_are_kept_from_the_untrained_one_on():
    kept = []
    x, _ = planted(n=200)
    fit(x, "topk", Training(atoms=8, k=2, steps=5), torch.Generator(), {0, 2, 5}, lambda step, _: kept.append(step))
    assert kept == [0, 2, 5]
