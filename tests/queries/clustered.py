"""Frames as the SQL of the clustering analyses returns them, with clusters planted among the plateau neurons."""

import numpy as np
import polars as pl

N, PLATEAU = 160, 24


def frame(rng, *, strength=0.0, n_clusters=3, documents=8, positions=30, weights=True, d=60, gated=False):
    """One row per position; plateau neurons of a cluster share `strength` of the variance, in both spaces.

    All neurons share a weak factor of the documents. The plateau is neurons 0 to 23.
    """
    T = documents * positions
    document = np.repeat(np.arange(documents), positions)
    own = rng.standard_normal((T, N)) + 0.3 * rng.standard_normal((documents, 1))[document]
    direction = rng.standard_normal((N, d))
    factor, axis = rng.standard_normal((T, n_clusters)), rng.standard_normal((n_clusters, d))
    cluster = np.arange(PLATEAU) % n_clusters
    own[:, :PLATEAU] = np.sqrt(1 - strength) * own[:, :PLATEAU] + np.sqrt(strength) * factor[:, cluster]
    direction[:PLATEAU] = np.sqrt(1 - strength) * direction[:PLATEAU] + np.sqrt(strength) * axis[cluster]
    regime = ["plateau"] * PLATEAU + ["power_law"] * 60 + ["decay"] * (N - PLATEAU - 60)
    table = pl.DataFrame(
        {
            "run": ["r-1"] * T,
            "token_index": np.arange(T),
            "document": document.astype(np.int32),
            "token_class": np.where(rng.random(T) < 0.3, "rare", "common"),
            "activation": own.astype(np.float32),
            "regime": [regime] * T,
            "is_core": [[each == "plateau" for each in regime]] * T,
            "influence": [np.geomspace(1, 1e-3, N).tolist()] * T,
            "is_gated": [gated] * T,
        }
    )
    first = [direction.astype(np.float32).tolist() if weights else None] + [None] * (T - 1)
    return table.with_columns(pl.Series("out_weight", first, dtype=pl.List(pl.List(pl.Float32))))


def with_signs(table, rng):
    """`table` with the signs of random neurons turned, in both spaces."""
    sign = rng.choice([-1.0, 1.0], N).astype(np.float32)
    activation = table["activation"].to_numpy() * sign
    (direction, *none) = table["out_weight"].to_list()
    turned = (np.array(direction, dtype=np.float32) * sign[:, None]).tolist()
    return table.with_columns(
        pl.Series("activation", activation),
        pl.Series("out_weight", [turned, *none], dtype=pl.List(pl.List(pl.Float32))),
    )
