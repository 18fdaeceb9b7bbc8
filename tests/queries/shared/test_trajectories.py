"""Checkpoints from rows in frames: the sample is bounded, the same at every step, and of whole documents."""

import tracemalloc

import numpy as np
import polars as pl
import pytest

from queries.shared.trajectories import FACTS, N_GROUPS, SAMPLE, checkpoints


def rows(step, start, n, width=3, document=None, label=None):
    """Samples `start`.. of one step; vectors hold the sample's number."""
    sample = np.arange(start, start + n)
    vector = np.repeat(sample[:, None], width, axis=1).astype(np.float32) + step
    return pl.DataFrame(
        {
            "run": "r", "representation": "states", "step": step, "sample": sample,
            "document": [None if document is None else f"d{i // document}" for i in sample],
            "label": [None if label is None else str(i % label) for i in sample],
            "vector": pl.Series(vector).arr.to_list(),
        },
        schema_overrides={"document": pl.String, "label": pl.String},
    ).with_columns(**{name: pl.lit(None, dtype=pl.Float64) for name in FACTS})  # fmt: skip


def kept(checkpoint):
    """The samples that are kept: their vectors hold their numbers."""
    return (checkpoint.vectors[:, 0] - checkpoint.step).astype(int).tolist()


@pytest.mark.parametrize("batch", [100, 777, 10_000])
@pytest.mark.parametrize("document", [None, 30, 1500])
def test_the_sample_does_not_depend_on_the_batches_and_is_that_of_every_step(batch, document):
    frames = [
        rows(step, start, min(batch, 5000 - start), document=document, label=7)
        for step in (0, 5)
        for start in range(0, 5000, batch)
    ]
    first, second = checkpoints(frames)
    whole = next(checkpoints([rows(0, 0, 5000, document=document, label=7)]))
    assert kept(first) == kept(second) == kept(whole)
    assert (first.step, second.step) == (0, 5)
    assert len(kept(first)) <= SAMPLE
    assert first.n_rows == 5000
    assert first.n_units == (5000 if document is None else -(-5000 // document))
    np.testing.assert_array_equal(first.labels, np.array(kept(first)) % 7)
    assert first.moments.whole().mean[0] == pytest.approx(2499.5)
    if document:
        counts = np.unique(np.array(kept(first)) // document, return_counts=True)[1]
        assert set(counts.tolist()) <= {document, 5000 % document}


def test_a_document_longer_than_the_sample_gives_its_first_positions():
    (found,) = checkpoints([rows(0, 0, 5000, document=5000)])
    assert kept(found) == list(range(SAMPLE))


def test_samples_without_documents_are_drawn_from_all_over():
    (found,) = checkpoints([rows(0, 0, 5000)])
    assert len(kept(found)) == SAMPLE
    assert np.mean(kept(found)) == pytest.approx(2500, abs=100)
    assert np.bincount(found.group, minlength=N_GROUPS).min() > 150


def test_a_missing_label_means_no_labels():
    data = rows(0, 0, 50, label=3).with_columns(label=pl.when(pl.col("sample") != 7).then("label"))
    assert next(checkpoints([data])).labels is None


def peak(n_batches):
    """Bytes that so many batches of 2,000 vectors of 32 numbers take at most."""
    tracemalloc.start()
    frames = (rows(0, 2000 * i, 2000, width=32, document=100) for i in range(n_batches))
    (found,) = checkpoints(frames)
    assert found.n_rows == 2000 * n_batches
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return memory


def test_memory_does_not_grow_with_the_positions():
    """Ten times the positions; what grows are names of documents."""
    assert peak(20) < 1.3 * peak(2)
