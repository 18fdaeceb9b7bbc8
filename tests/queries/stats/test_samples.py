"""As many positions of both classes from every document, and which neurons vary."""

import numpy as np

from queries.stats.samples import equal_samples, varying


def test_classes_get_as_many_positions_of_every_document():
    rng = np.random.default_rng(0)
    document = np.sort(rng.integers(0, 7, 300))
    is_rare = rng.random(300) < 0.3
    is_rare[document == 3] = True
    samples = equal_samples(document, is_rare, rng)
    sizes = {name: {tuple(np.bincount(document[rows], minlength=7)) for rows in each} for name, each in samples.items()}
    assert sizes["rare"] == sizes["common"]
    assert len(sizes["rare"]) == 1
    assert next(iter(sizes["rare"]))[3] == 0
    for name, wanted in (("rare", True), ("common", False)):
        for rows in samples[name]:
            assert (is_rare[rows] == wanted).all()
            assert (np.diff(rows) > 0).all()


def test_no_positions_no_neuron_varies():
    assert varying(np.zeros((0, 3))).tolist() == [False] * 3
