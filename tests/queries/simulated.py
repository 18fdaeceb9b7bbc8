"""Sums per document as the SQL returns them, simulated: what the analyses of influence are tested on."""

import numpy as np
import polars as pl

LAWS = {
    "half_normal": lambda n, rng: np.abs(rng.standard_normal(n)),
    "exponential": lambda n, rng: rng.exponential(1.0, n),
    "lognormal": lambda n, rng: rng.lognormal(0.0, 1.0, n),
    "noise": lambda n, rng: np.ones(n),
}


def planted(n=1000, plateau=20, excess=1.0, kappa=0.7, elbow=400.0, decay=4.0):
    """True influences (n,): a flat plateau `excess` (in ln) above a power law that decays fast beyond `elbow`."""
    x = np.log(np.arange(1, n + 1))
    y = -kappa * x - (decay - kappa) * np.maximum(x - np.log(elbow), 0)
    y[:plateau] = excess - kappa * 0.5 * (np.log(plateau) + np.log(plateau + 1))
    return np.exp(y)


def frame(true, n_documents, rng, *, common=0.3, own=0.5, tail=1.0, rare_share=0.1, rare_true=None):
    """One row per (run, token_class, document, neuron) for neurons with these `true` influences, in random order.

    `common`: sd of the ln factor that a document puts on all neurons. `own`: sd of the ln factor of each neuron in each
    document. `tail`: sd of ln |delta| of one token, averaged over the document's tokens. About 400 tokens a document.
    """
    n = len(true)
    order, sign = rng.permutation(n), np.where(rng.random(n) < 0.5, 1, -1)
    parts = []
    for name, share, level in (("common", 1 - rare_share, true), ("rare", rare_share, rare_true)):
        values = 1e-3 * (true if level is None else level)[order]
        counts = np.maximum(1, rng.poisson(400 * share * rng.gamma(4, 0.25, n_documents)))
        factor = np.exp(common * rng.standard_normal(n_documents))[:, None]
        shape = (counts / np.expm1(tail**2))[:, None]
        tokens = rng.gamma(np.broadcast_to(shape, (n_documents, n))) / shape
        absolute = counts[:, None] * values * factor * rng.lognormal(-(own**2) / 2, own, (n_documents, n)) * tokens
        signed = absolute * sign * np.clip(0.3 + 0.3 * rng.standard_normal(absolute.shape), -1, 1)
        document, neuron = np.indices(absolute.shape)
        columns = {
            "document": document.ravel(), "neuron": neuron.ravel(), "n_positions": np.repeat(counts, n),
            "sum_delta": signed.ravel(), "sum_abs_delta": absolute.ravel(),
        }  # fmt: skip
        parts.append(
            pl.DataFrame(columns).select(pl.lit("r-1").alias("run"), pl.lit(name).alias("token_class"), pl.all())
        )
    return pl.concat(parts)
