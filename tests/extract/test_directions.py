"""What the unembedding does with the rows of W_out, against singular values and cosines computed the long way."""

import numpy as np
import pytest
import torch

from extract.directions import directions
from extract.families import describe
from tests.extract.tiny_models import CONFIGS, tiny_model


@pytest.mark.parametrize("name", ["gpt2", "llama_tied", "phi", "opt"])
def test_against_singular_vectors_and_cosines(name):
    assert name in CONFIGS
    last = describe(tiny_model(name, dtype=torch.float64))
    unembed, gain, written = (each.double().numpy() for each in (last.unembed, last.gain, last.w_out))
    rows = (unembed - unembed.mean(axis=0)) * gain
    if last.norm_kind == "layer":
        rows, written = (each - each.mean(axis=1, keepdims=True) for each in (rows, written))
    cosine = (written @ rows.T) / np.linalg.norm(written, axis=1)[:, None] / np.linalg.norm(rows, axis=1)
    left, _, _ = np.linalg.svd(rows.T)  # (d, d), from the largest singular value down
    bottom = left[:, -2:-1] if last.norm_kind == "layer" else left[:, -1:]
    share = np.linalg.norm(written @ bottom, axis=1) / np.linalg.norm(written, axis=1)
    found = directions(last)
    np.testing.assert_allclose(found.logit_variance, cosine.var(axis=1), rtol=1e-8)
    np.testing.assert_allclose(found.null_space_share, share, rtol=1e-6, atol=1e-9)


def test_a_neuron_that_writes_what_is_not_read_has_all_of_it_in_the_null_space():
    model = tiny_model("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight[:, 0] = 0.0
        model.model.layers[-1].mlp.down_proj.weight[:, 5] = torch.eye(32)[0]
    found = directions(describe(model))
    assert found.null_space_share[5] == pytest.approx(1.0)
    assert found.logit_variance[5] == pytest.approx(0.0, abs=1e-12)
