"""k-means, silhouettes and gap: against SciPy and against definitions written out in loops."""

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from queries.stats.kmeans import (
    cluster,
    gap_clusters,
    kmeans,
    log_inertia,
    most_clusters,
    seed_points,
    silhouettes,
    squared_distances,
    uniform_reference,
)


def clusters(rng, m=30, k=3, distance=6.0, dimension=4):
    centre = distance * np.eye(max(k, dimension))[:k, :dimension]
    return centre[np.arange(m) % k] + rng.standard_normal((m, dimension))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_inertia_is_at_most_one_per_cent_above_the_best_of_many_restarts_of_scipy(k):
    rng = np.random.default_rng(0)
    points = clusters(rng)
    grams = (points @ points.T)[None]
    _, inertia = kmeans(grams, k, seed_points(squared_distances(grams), k, rng, 60))
    reference = np.inf
    for _ in range(40):
        centre, label = kmeans2(points, k, minit="++", rng=rng)
        reference = min(reference, float(((points - centre[label]) ** 2).sum()))
    assert inertia[0] <= 1.01 * reference


def test_labels_and_inertia_belong_together():
    rng = np.random.default_rng(1)
    points = clusters(rng)
    grams = (points @ points.T)[None]
    labels, inertia = kmeans(grams, 3, seed_points(squared_distances(grams), 3, rng))
    within = sum(((points[labels[0] == j] - points[labels[0] == j].mean(axis=0)) ** 2).sum() for j in range(3))
    np.testing.assert_allclose(inertia[0], within)


def by_definition(distance, labels):
    """Rousseeuw's silhouette, point by point."""
    values = []
    for i, own in enumerate(labels):
        mates = [j for j in np.flatnonzero(labels == own) if j != i]
        if not mates:
            values.append(0.0)
            continue
        a = distance[i, mates].mean()
        b = min(distance[i, labels == other].mean() for other in np.unique(labels) if other != own)
        values.append((b - a) / max(a, b))
    return np.mean(values)


def test_silhouettes_are_as_defined_with_a_lonely_point():
    rng = np.random.default_rng(2)
    distance = cdist(*[rng.standard_normal((12, 3))] * 2)
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1, 3])
    np.testing.assert_allclose(silhouettes(distance[None], labels[None], 4)[0], by_definition(distance, labels))


def test_planted_clusters_are_counted_by_silhouette_and_gap():
    rng = np.random.default_rng(3)
    centre = np.array([[0, 0], [0, 5], [5, -3]])  # the three clusters of the paper on the gap statistic
    points = 1.5 * centre[np.arange(40) % 3] + rng.standard_normal((40, 2))
    one = points @ points.T
    found = cluster(one[None], rng)
    assert found.silhouette[0].argmax() + 2 == 3
    reference = log_inertia(cluster(uniform_reference(one, 30, rng), rng).inertia)
    gap = reference.mean(axis=0) - log_inertia(found.inertia)
    assert gap_clusters(gap, reference.std(axis=0))[0] == 3
    blob = rng.standard_normal((1, 40, 2))
    reference = log_inertia(cluster(uniform_reference((blob @ blob.transpose(0, 2, 1))[0], 30, rng), rng).inertia)
    gap = reference.mean(axis=0) - log_inertia(cluster(blob @ blob.transpose(0, 2, 1), rng).inertia)
    assert gap_clusters(gap, reference.std(axis=0) * np.sqrt(1 + 1 / 30))[0] == 1


def test_points_that_coincide_and_few_points():
    same = cluster(np.ones((2, 6, 6)), np.random.default_rng(4))
    assert np.isfinite(same.inertia).all()
    np.testing.assert_allclose(same.silhouette, 0)
    assert most_clusters(5) == 2
    assert cluster(np.eye(5)[None], np.random.default_rng(5)).silhouette.shape == (1, 1)
