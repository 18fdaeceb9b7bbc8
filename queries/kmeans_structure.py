"""Do the plateau neurons fall into clusters, by k-means and by Ward's tree, more than other neurons do?

Neurons are compared in two spaces: their activations at the positions of a class, z-scored, and the directions of their
output weights. `kmeans_silhouette` is the best mean silhouette of k-means over 2 to 10 clusters (1: far apart, 0: no
clusters) and `kmeans_clusters` the number that gives it; `gap` is the gain of the gap statistic over one cluster, and
`gap_clusters` its number of clusters (1: none). `ward_silhouette` and `ward_clusters` are the same for Ward's tree on
1 - |r|, whose `ward_cophenetic` says how well the tree keeps the distances. All groups have the same size: larger ones
than the plateau's stable core are a random part.

Any set of points has a best clustering, so the number alone says nothing. Six nulls: random groups (`any`), groups from
the same halves or thirds of mean and spread of the activation (`activation`), groups from the same tenths of influence
(`null`, the wide bar), one Gaussian cloud with the group's covariance, `shuffled`: activations turned in time within
documents, weights dealt anew among the neurons, and the trend over the ranking. The core leads the ranking by influence
and has no equals: groups from its tenth lie below it, and what rises smoothly with influence would look special. So the
other neurons are cut into windows of the ranking, and a parabola through their values is continued to the core
(`trend`, its prediction interval and p); with fewer than 10 windows there is none, and the answer says so. `p` is the
largest of the six one-sided p-values. Of each kind of groups 200 are drawn, and 800 more for the plateau where these
leave `p` of a judged measure below 0.1. `power` is how often three planted clusters whose neurons correlate by 0.3 more
than others would exceed all nulls. The papers say that there are no clusters: `contradicted` if q < 0.05 and the
interval lies above the means of all nulls; `supported` if some null explains the silhouette (p >= 0.05) and the power
is at least 80 %; else `undecidable`. A trend that predicts surely more than there is does not hold, and explains
nothing.

In a gated MLP (Llama and the like) the sign of a neuron is arbitrary. There every set, of a null too, is first turned
to one side: each neuron by its sign in the leading eigenvector of the set's correlations or cosines.

Intervals leave out documents (activations) or twentieths of the weights in turn; they say how much the value depends on
these documents, for these neurons.

Caveats: intervals are cautious, because a best of many jumps when documents are left out. `supported` is about clusters
of the planted kind; fewer, smaller or weaker ones may be there. Silhouettes of correlations near zero are close to zero
with or without clusters in a subspace. Matching is coarser where the plateau is a large part of the neurons, and the
plateau's own neurons may be drawn. The trend is a parabola in mean ln influence, and it is continued: a curve that
turns sharply upwards just before the core is taken for something special. The gap's reference is drawn for the group
once and serves its nulls too.

Source: Liu et al. (2025), arXiv 2505.12822, and arXiv 2509.21163 (no spatial clusters among plateau neurons); gap:
Tibshirani, Walther and Hastie (2001), J. R. Statist. Soc. B 63, 411.
"""

import numpy as np
import polars as pl

from queries import Analysis, Chart
from queries.shared.clusters import CLASS_MEANING, EXCERPT, KEYS, Clustering, claims, columns_of, sentences
from queries.shared.grouped import NEEDS
from queries.stats.kmeans import cluster, gap_clusters, log_inertia, uniform_reference
from queries.stats.point_sets import Array
from queries.stats.set_tests import P_FLOORS, Statistic
from queries.stats.ward import ward

BOUNDS = {
    "gap": (-np.inf, np.inf),
    "gap_clusters": (1.0, 10.0),
    "kmeans_clusters": (2.0, 10.0),
    "kmeans_silhouette": (-1.0, 1.0),
    "ward_clusters": (2.0, 10.0),
    "ward_cophenetic": (-1.0, 1.0),
    "ward_silhouette": (-1.0, 1.0),
}
N_REFERENCES = 50


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


CLUSTERING = Clustering(
    bounds=BOUNDS,
    tested=("kmeans_silhouette", "ward_silhouette"),
    columns=columns_of(
        "activations turned within documents, or weights dealt anew among the neurons",
        ", and both silhouettes; else NaN",
        "the plateau's silhouettes",
    ),
    statistic_of=statistic_of,
    turns_activations=True,
)


def answer(table: pl.DataFrame) -> str:
    """One line per run, space, class and silhouette of the plateau."""
    return sentences(table, "Best silhouette", {"kmeans_silhouette": "k-means", "ward_silhouette": "Ward's tree"})


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """All measures of the plateau, without the nulls that the whole table has."""
    return table.filter(pl.col("group") == "plateau").select(EXCERPT).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="silhouette, clusters, correlation, nats",
    resampled="documents, or twentieths of the weights, left out in turn",
    counts="neurons",
    columns=CLUSTERING.columns,
    chart=Chart(
        "set_nulls",
        tables=("kmeans_structure",),
        options={"measures": {"kmeans_silhouette": "silhouette, k-means", "ward_silhouette": "silhouette, Ward"}},
    ),
    matrix="activations.activation",
    estimate=CLUSTERING.estimate,
    answer=answer,
    excerpt=excerpt,
    needs=NEEDS,
    uses=("plateau_stability",),
    claims=claims("k-means", "best silhouette", "kmeans_silhouette"),
    key_columns={"token_class": CLASS_MEANING},
    p_floors=P_FLOORS,
)
