"""Do the plateau neurons fall into clusters, by k-means and by Ward's tree, more than other neurons do?

Neurons are compared in two spaces: their activations at the positions of a class, z-scored, and the directions of their
output weights. `kmeans_silhouette` is the best mean silhouette of k-means over 2 to 10 clusters (1: far apart, 0: no
clusters) and `kmeans_clusters` the number that gives it; `gap` is the gain of the gap statistic over one cluster, and
`gap_clusters` its number of clusters (1: none). `ward_silhouette` and `ward_clusters` are the same for Ward's tree on
1 - |r|, whose `ward_cophenetic` says how well the tree keeps the distances. All groups have the same size: larger ones
than the plateau's stable core are a random part.

Any set of points has a best clustering, so the number alone says nothing. Five nulls: random groups (`any`), groups
matched on mean and spread of the activation, groups matched on influence (`null`, the wide bar), one Gaussian cloud
with the group's covariance, and `shuffled`: activations turned in time within documents, weights dealt anew among the
neurons. `p` is the largest of the five one-sided p-values. `power` is how often three planted clusters whose neurons
correlate by 0.3 more than others would exceed all nulls. The papers say that there are no clusters: `contradicted` if
q < 0.05, `supported` if some null explains the silhouette and the power is at least 80 %, else `undecidable`.

Intervals leave out documents (activations) or twentieths of the weights in turn; they say how much the value depends on
these documents, for these neurons.

Caveats: intervals are cautious, because a best of many jumps when documents are left out. `supported` is about clusters
of the planted kind; fewer, smaller or weaker ones may be there. Silhouettes of correlations near zero are close to zero
with or without clusters in a subspace. Matching is coarser where the plateau is a large part of the neurons, and the
plateau's own neurons may be drawn. The gap's reference is drawn for the group once and serves its nulls too.

Source: Liu et al. (2025), arXiv 2505.12822, and arXiv 2509.21163 (no spatial clusters among plateau neurons); gap:
Tibshirani, Walther and Hastie (2001), J. R. Statist. Soc. B 63, 411.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.kmeans import cluster, gap_clusters, log_inertia, uniform_reference
from queries.stats.point_sets import Array
from queries.stats.set_tests import (
    FULL,
    P_FLOORS,
    Effort,
    Neurons,
    Statistic,
    activation_space,
    run_tests,
    weight_space,
)
from queries.stats.set_verdict import judge
from queries.stats.ward import ward

KEYS = ("run", "space", "token_class", "group", "measure")
BOUNDS = {
    "gap": (-np.inf, np.inf),
    "gap_clusters": (1.0, 10.0),
    "kmeans_clusters": (2.0, 10.0),
    "kmeans_silhouette": (-1.0, 1.0),
    "ward_clusters": (2.0, 10.0),
    "ward_cophenetic": (-1.0, 1.0),
    "ward_silhouette": (-1.0, 1.0),
}
TESTED = ("kmeans_silhouette", "ward_silhouette")
N_REFERENCES = 50
COLUMNS = {
    "n_columns": "Positions of the class, or weights of a neuron.",
    "null_mean": "Mean of random groups matched on influence.",
    "null_low": "Low end of 95 % of these groups.",
    "null_high": "High end of 95 % of these groups.",
    "p_influence": "One-sided p against these groups.",
    "any_mean": "Mean of random groups of any neurons.",
    "p_any": "One-sided p against them.",
    "activation_mean": "Mean of random groups matched on mean and spread of the activation.",
    "p_activation": "One-sided p against them.",
    "gaussian_mean": "Mean of one Gaussian cloud with the covariance of the group.",
    "gaussian_low": "Low end of 95 % of these clouds.",
    "gaussian_high": "High end of 95 % of these clouds.",
    "p_gaussian": "One-sided p against them.",
    "shuffled_mean": "Mean with activations turned within documents, or weights dealt anew among the neurons.",
    "p_shuffled": "One-sided p against them.",
    "p": "Largest of the five p-values.",
    "q": "Benjamini-Hochberg q of `p` over spaces, classes and groups of the run, and both silhouettes; else NaN.",
    "power": "Share of random groups with planted clusters that exceed 95 % of every null.",
    "verdict": "No clusters: `supported`, `contradicted` or `undecidable`; for the plateau's silhouettes only.",
    "reason": "Why, in words, or why there is no estimate or no interval.",
}
CLOSEST = {
    "p_influence": "null_mean", "p_any": "any_mean", "p_activation": "activation_mean", "p_gaussian": "gaussian_mean",
    "p_shuffled": "shuffled_mean",
}  # fmt: skip
_TEXT = (*KEYS, "verdict", "reason")
SCHEMA = {
    name: pl.String if name in _TEXT else pl.Int64 if name in ("n", "n_columns") else pl.Float64
    for name in (*KEYS, "estimate", "low", "high", "n", *COLUMNS)
}


def statistic_of(gram: Array, rng: np.random.Generator) -> Statistic:
    """The seven measures of `BOUNDS` for Gram matrices (B, m, m); the gap's reference is that of `gram` (m, m)."""
    reference = log_inertia(cluster(uniform_reference(gram, N_REFERENCES, rng), rng).inertia)
    expected = reference.mean(axis=0)
    # the simulation error of the reference's mean is part of the deviation of the gap
    deviation = reference.std(axis=0) * np.sqrt(1 + 1 / N_REFERENCES)

    def statistic(grams: Array, rng: np.random.Generator) -> Array:
        found = cluster(grams, rng)
        gap = expected - log_inertia(found.inertia)  # (B, K)
        cophenetic, ward_silhouette = ward(grams)
        return np.stack(
            [
                gap[:, 1:].max(axis=1) - gap[:, 0],
                gap_clusters(gap, deviation),
                found.silhouette.argmax(axis=1) + 2.0,
                found.silhouette.max(axis=1),
                ward_silhouette.argmax(axis=1) + 2.0,
                cophenetic,
                ward_silhouette.max(axis=1),
            ],
            axis=1,
        )

    return statistic


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """Seven rows per run, space, class and group; `n` counts neurons."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        activation = group["activation"].list.to_array(group["activation"].list.len()[0]).to_numpy()
        is_rare = (group["token_class"] == "rare").to_numpy()
        document = group["document"].cast(pl.Int64).to_numpy()
        spaces = [activation_space(activation[~is_rare], document[~is_rare], "common")]
        spaces.append(activation_space(activation[is_rare], document[is_rare], "rare"))
        rows = run_tests(
            [*spaces, weight_space(_weights(group), activation.shape[1], rng)],
            _neurons(group, activation), statistic_of, BOUNDS, rng, turns_activations=True, effort=effort,
        )  # fmt: skip
        parts.append(pl.DataFrame(judge([{"run": run, **row} for row in rows], TESTED), schema=SCHEMA))
    return pl.concat(parts).sort(KEYS)


def _neurons(group: pl.DataFrame, activation: NDArray[np.float32]) -> Neurons:
    """What is known of the neurons of a run: the lists of its first row, and the moments of the activations."""
    return Neurons(
        regime=group["regime"][0].to_numpy(),
        is_core=group["is_core"][0].fill_null(value=False).to_numpy(),
        influence=group["influence"][0].to_numpy(),
        mean=activation.mean(axis=0, dtype=np.float64),
        sd=activation.std(axis=0, dtype=np.float64),
    )


def _weights(group: pl.DataFrame) -> NDArray[np.float32] | None:
    """The output weights (N, d) of the run, None where it has none."""
    known = group["out_weight"].drop_nulls()
    return None if known.is_empty() else np.array(known[0].to_list(), dtype=np.float32)


def answer(table: pl.DataFrame) -> str:
    """One line per run, space, class and silhouette of the plateau."""
    judged = table.filter(pl.col("verdict").is_not_null())
    return "\n".join(_line(row) for row in judged.iter_rows(named=True))


def _line(row: dict[str, Any]) -> str:
    where = "output weights" if row["space"] == "weight" else f"activations on {row['token_class']} tokens"
    how = "k-means" if row["measure"] == "kmeans_silhouette" else "Ward's tree"
    head = f"- `{row['run']}`, {where}, {how}: no clusters among the plateau neurons is **{row['verdict']}**: "
    head += f"{row['reason']}."
    if np.isnan(row["estimate"]):
        return head
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.3g} to {row['high']:.3g})"
    return head + (
        f" Best silhouette {row['estimate']:.3g}{interval}; neurons of like influence {row['null_mean']:.3g} "
        f"({row['null_low']:.3g} to {row['null_high']:.3g}), one Gaussian cloud {row['gaussian_mean']:.3g} "
        f"({row['n']} neurons)."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """All measures of the plateau, without the nulls that the whole table has."""
    columns = [*KEYS, "estimate", "low", "high", "n", "null_mean", "gaussian_mean", "p", "q", "power", "verdict"]
    return table.filter(pl.col("group") == "plateau").select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="silhouette, clusters, correlation, nats",
    resampled="documents, or twentieths of the weights, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "set_nulls", tables=("kmeans_structure",),
        options={"measures": {"kmeans_silhouette": "silhouette, k-means", "ward_silhouette": "silhouette, Ward"}},
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("neuron_tokens.activation", "neuron_tokens.delta_loss"),
    uses=("plateau_stability",),
    claims=tuple(
        Claim(
            f"Plateau neurons form no clusters (k-means, {words})",
            "arXiv 2505.12822",
            "best silhouette",
            finding(CLOSEST, space=space, token_class=token_class, group="plateau", measure="kmeans_silhouette"),
        )
        for words, space, token_class in (("activations", "activation", "rare"), ("weights", "weight", "all"))
    ),
    key_columns={
        "token_class": "Whose positions, `rare` or `common`; `all` for weights, which have none.",
    },
    p_floors=P_FLOORS,
)  # fmt: skip
