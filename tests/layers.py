"""The tables of the pass over layers with planted effects, added to a tiny lake the way `rt extract --layers` does.

With depth from 0 to 1 (unless `flat`): a neuron fires at 9 token types at the bottom and at 2 at the top, and the
inputs at different tokens become alike; a token's own direction weighs 3 in its state at the bottom and 0.5 at the top;
states lie along fewer directions higher up. At every layer states are sparser where the loss is higher.
"""

from pathlib import Path

import numpy as np

from calibration.layers import NEURONS, OUTLIERS, add_tables, neuron_tables, state_tables
from warehouse.connection import connect, frame

D_MODEL = 16


def add_layers(lake: Path, n_layers: int = 6, seed: int = 0, flat: bool = False, sparser: float = 0.4) -> None:
    """Add the pass to the one run of the lake; every position has its states."""
    con = connect(lake)
    tokens = frame(con, "select run, token_index, document, token_id, loss from tokens order by token_index")
    run, rng = tokens["run"][0], np.random.default_rng([seed, 3])
    token, document = tokens["token_id"].to_numpy(), tokens["document"].to_numpy()
    difficulty = tokens["loss"].to_numpy() - tokens["loss"].mean()
    layers = []
    for layer in range(n_layers):
        depth = 0.5 if flat else layer / max(n_layers - 1, 1)
        state = _states(rng, token, difficulty * sparser, depth)
        layers.append({**_neurons(rng, token, document, depth), **state_tables(state)})
    add_tables(lake, run, layers)


def _states(rng, token, difficulty, depth):
    """(T, d): a direction of the token, noise along fewer directions higher up, all sparser at difficult tokens."""
    words = rng.standard_normal((token.max() + 1, D_MODEL))
    spread = np.exp(-3 * depth * np.arange(D_MODEL) / D_MODEL)
    turn = np.linalg.qr(rng.standard_normal((D_MODEL, D_MODEL)))[0]
    state = (3 - 2.5 * depth) * words[token] + 2 * (rng.standard_normal((len(token), D_MODEL)) * spread) @ turn
    state = np.sign(state) * np.abs(state) ** (1 + 0.6 * np.tanh(difficulty))[:, None]
    state[:, OUTLIERS] *= 3
    return state.astype(np.float32)


def _neurons(rng, token, document, depth):
    """Tables of neurons that fire at few token types or many."""
    types = np.unique(token)
    liked = np.argsort(rng.random((NEURONS, len(types))), axis=1) < round(9 - 7 * depth)
    activation = liked.T[np.searchsorted(types, token)] * rng.lognormal(0, 0.3, (len(token), 1))
    words = (1 - depth) * rng.standard_normal((token.max() + 1, D_MODEL)) + depth * rng.standard_normal(D_MODEL)
    inputs = words[token] + 0.2 * rng.standard_normal((len(token), D_MODEL))
    return neuron_tables(token, document, activation, inputs, rng.standard_normal((NEURONS, D_MODEL)))
