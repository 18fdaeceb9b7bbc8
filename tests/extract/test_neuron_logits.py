"""The tokens at the ends of each neuron's list, against the whole product computed in float64."""

import numpy as np
import pytest
import torch

from extract import neuron_logits as module
from extract.families import describe
from extract.neuron_logits import N_TOKENS, neuron_logits
from tests.extract.tiny_models import tiny_model


@pytest.mark.parametrize("name", ["gpt2", "llama_tied", "phi"])
def test_against_the_whole_product(name, monkeypatch):
    last = describe(tiny_model(name))
    monkeypatch.setattr(module, "ELEMENTS", 3 * last.n_vocabulary)  # several blocks, the last of them smaller
    unembed, gain, written = (each.double().numpy() for each in (last.unembed, last.gain, last.w_out))
    if last.norm_kind == "layer":
        written = written - written.mean(axis=1, keepdims=True)
    effect = written @ ((unembed - unembed.mean(axis=0)) * gain).T  # (N, V)
    found = neuron_logits(last).to_pydict()
    shape = (last.d_mlp, 2, N_TOKENS)
    value, token = (np.array(found[each]).reshape(shape) for each in ("effect", "token_id"))
    ordered = np.sort(effect, axis=1)
    np.testing.assert_allclose(value[:, 0], ordered[:, ::-1][:, :N_TOKENS], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(value[:, 1], ordered[:, :N_TOKENS], rtol=1e-4, atol=1e-6)
    ids, kept = token.reshape(last.d_mlp, -1), value.reshape(last.d_mlp, -1)
    np.testing.assert_allclose(kept, np.take_along_axis(effect, ids, 1), rtol=1e-4, atol=1e-6)
    assert found["direction"][: N_TOKENS + 1] == [*["promoted"] * N_TOKENS, "suppressed"]
    assert found["neuron"] == sorted(found["neuron"])
    assert found["rank"][: 2 * N_TOKENS] == [*range(N_TOKENS)] * 2
    assert set(found["layer"]) == {last.layer}


def test_a_vocabulary_smaller_than_the_list_is_there_whole():
    last = describe(tiny_model("gpt2"))
    few = type(last)(**{**vars(last), "unembed": last.unembed[:7], "n_vocabulary": 7, "unembed_bias": None})
    found = neuron_logits(few)
    assert found.num_rows == last.d_mlp * 2 * 7
    assert torch.tensor(found["token_id"].to_pylist()).max() == 6
