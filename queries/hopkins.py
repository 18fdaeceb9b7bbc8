"""Are the plateau neurons nearer to each other than scattered points are, by the Hopkins statistic?

Neurons are points in two spaces: their activations at the positions of a class, z-scored, and the directions of their
output weights. They are projected to at most 5 principal components (one for every five neurons), each scaled to
variance 1. `hopkins` compares the distances from uniform points to the nearest neuron with those from neurons to their
nearest neighbour, both to the power of the dimension, on samples of a tenth of the neurons (at least 5), averaged over
200 samples. 0.5 is what uniform points give, and values above 0.7 are often called clustered.

That is not so: one Gaussian cloud is dense in its middle and gives 0.65 with 40 neurons in five dimensions, 0.9 with
200. So the value is compared with six nulls that go through the same projection: random groups (`any`), groups from the
same halves or thirds of mean and spread of the activation (`activation`), groups from the same tenths of influence
(`null`, the wide bar), one Gaussian cloud with the group's covariance, `shuffled`: every column (position or weight)
dealt anew among the neurons, and the trend over the ranking. The core leads the ranking by influence and has no equals:
groups from its tenth lie below it. So a parabola through windows of the ranking is continued to it (`trend`, its
prediction interval and p); with fewer than 10 windows there is none, and the answer says so. `p` is the largest of the
six one-sided p-values. Of each kind of groups 200 are drawn, and 800 more for the plateau where these leave `p` below
0.1. `power` is how often three planted clusters whose neurons correlate by 0.3 more than others would exceed all nulls.
The papers say that there are no clusters: `contradicted` if q < 0.05 and the interval lies above the means of all
nulls; `supported` if some null explains the value (p >= 0.05) and the power is at least 80 %; else `undecidable`. A
trend that predicts surely more than there is does not hold, and explains nothing. All groups have the same size: larger
ones than the plateau's stable core are a random part.

In a gated MLP (Llama and the like) the sign of a neuron is arbitrary. There every set, of a null too, is first turned
to one side: each neuron by its sign in the leading eigenvector of the set's correlations or cosines.

Intervals leave out documents (activations) or twentieths of the weights in turn; they say how much the value depends on
these documents, for these neurons.

Caveats: five components hold a small part of what 30 to 60 neurons do, and clusters beyond them are not seen. With
fewer than 50 neurons the statistic is weak, as `power` says. `supported` is about clusters of the planted kind. The
trend is a parabola in mean ln influence.

Source: Hopkins and Skellam (1954), Ann. Bot. 18, 213; the exponent: Wright (2022), The R Journal 14/3, 282; the claim:
Liu et al. (2025), arXiv 2505.12822, and arXiv 2509.21163.
"""

import numpy as np
import polars as pl

from queries import Analysis, Chart
from queries.shared.clusters import CLASS_MEANING, EXCERPT, KEYS, Clustering, claims, columns_of, sentences
from queries.shared.grouped import NEEDS
from queries.stats.hopkins import hopkins
from queries.stats.point_sets import Array
from queries.stats.set_tests import P_FLOORS, Statistic


def statistic_of(gram: Array, rng: np.random.Generator) -> Statistic:
    """The statistic (B, 1) of Gram matrices (B, m, m); nothing of it depends on the group's own `gram`."""

    def statistic(grams: Array, rng: np.random.Generator) -> Array:
        return hopkins(grams, rng)[:, None]

    return statistic


CLUSTERING = Clustering(
    bounds={"hopkins": (0.0, 1.0)},
    tested=("hopkins",),
    columns=columns_of("each column (position or weight) dealt anew among the neurons", "", "the plateau"),
    statistic_of=statistic_of,
    turns_activations=False,
)


def answer(table: pl.DataFrame) -> str:
    """One line per run, space, and class, on the plateau."""
    return sentences(table, "Hopkins statistic", {})


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """All groups, without the nulls that only the whole table has."""
    return table.select(EXCERPT).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="1 (0.5: uniform points)",
    resampled="documents, or twentieths of the weights, left out in turn",
    counts="neurons",
    columns=CLUSTERING.columns,
    chart=Chart("set_nulls", tables=("hopkins",), options={"measures": {"hopkins": "Hopkins statistic"}}),
    matrix="activations.activation",
    estimate=CLUSTERING.estimate,
    answer=answer,
    excerpt=excerpt,
    needs=NEEDS,
    uses=("plateau_stability",),
    claims=claims("Hopkins", "Hopkins statistic", "hopkins"),
    key_columns={"measure": "`hopkins`, the only one.", "token_class": CLASS_MEANING},
    p_floors=P_FLOORS,
)
