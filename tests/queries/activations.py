"""Activations as the SQL of the coordination analyses returns them, simulated, with coupled groups of neurons."""

import numpy as np
import polars as pl


def activation_frame(
    rng, *, n_neurons=200, n_plateau=20, n_documents=12, positions=20, rare_share=0.5, rank=0, coupling=0.0, by=0.2,
    document_sd=0.0, against=0.0, smooth=0.0, is_gated=False,
):  # fmt: skip
    """One row per (run, token_index): `activation` and what is known of the neurons, the plateau's first.

    `rank` > 0: the plateau's neurons are mixtures of so many common series; `coupling`: the share of their variance
    that one common series has. `document_sd`: sd of what a document adds to each neuron. `against`: the share of the
    variance of all neurons that one series has, with the plateau's sign turned. `smooth`: the share of the variance of
    the most influential neuron that one series has, which falls along a line in ln influence to 0 at the least
    influential one. Neurons have heavy-tailed scales.
    """
    T = n_documents * positions
    document = np.repeat(np.arange(n_documents), positions)
    values = rng.standard_normal((T, n_neurons))
    if rank:
        mixed = rng.standard_normal((T, rank)) @ rng.standard_normal((rank, n_plateau)) / np.sqrt(rank)
        values[:, :n_plateau] = np.sqrt(1 - by) * mixed + np.sqrt(by) * values[:, :n_plateau]
    common = rng.standard_normal((T, 1))
    values[:, :n_plateau] = np.sqrt(1 - coupling) * values[:, :n_plateau] + np.sqrt(coupling) * common
    sign = np.where(np.arange(n_neurons) < n_plateau, -1.0, 1.0)
    values = np.sqrt(1 - against) * values + np.sqrt(against) * sign * rng.standard_normal((T, 1))
    values += document_sd * rng.standard_normal((n_documents, n_neurons))[document]
    scale = rng.lognormal(0, 1, n_neurons)
    influence = np.sort(rng.lognormal(0, 1, n_neurons))[::-1].copy()
    if smooth:
        height = np.log(influence / influence[-1])
        share = smooth * height / height[0]
        values = np.sqrt(1 - share) * values + np.sqrt(share) * rng.standard_normal((T, 1))
    values *= scale
    order = np.arange(n_neurons)
    regime = np.where(order < n_plateau, "plateau", np.where(order < n_neurons // 2, "power_law", "decay"))
    rare = np.tile(np.arange(positions) < rare_share * positions, n_documents)
    return pl.DataFrame(
        {
            "run": ["r-1"] * T, "token_index": np.arange(T), "document": document,
            "token_class": np.where(rare, "rare", "common"), "activation": values.astype(np.float32),
            "regime": [regime.tolist()] * T,
            "is_core": [(order < n_plateau).tolist()] * T, "influence": [influence.tolist()] * T,
            "out_weight": [None] * T, "is_gated": [is_gated] * T,
        }
    )  # fmt: skip
