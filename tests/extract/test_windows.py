import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.corpus import Document
from extract.windows import bos_token, plan_windows, positions_per_window
from warehouse.errors import CorpusError


class Letters:
    """A tokenizer whose tokens are letters: enough to see where windows are cut."""

    bos_token_id = 99

    def __init__(self, adds_bos=False):
        self.adds_bos = adds_bos

    def __call__(self, texts, **options):
        if isinstance(texts, str):
            return {"input_ids": [self.bos_token_id] * self.adds_bos + [ord(char) - 97 for char in texts]}
        return {"input_ids": [[ord(char) - 97 for char in text] for text in texts]}


def plan(lengths, *, context=8, skip=2, tokens=0, seed=0, bos=None):
    documents = [Document(f"d{i}", "".join(chr(97 + j % 26) for j in range(n))) for i, n in enumerate(lengths)]
    return plan_windows(documents, Letters(), 100, context=context, skip=skip, tokens=tokens, seed=seed, bos=bos)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 80), st.integers(0, 3), st.booleans())
@settings(deadline=None, max_examples=60)
def test_windows_are_whole_and_inside_their_document(lengths, tokens, seed, with_bos):
    bos = 99 if with_bos else None
    stride = 8 - with_bos
    total = sum(n // stride for n in lengths)
    if total == 0:
        with pytest.raises(CorpusError):
            plan(lengths, tokens=tokens, seed=seed, bos=bos)
        return
    found = plan(lengths, tokens=tokens, seed=seed, bos=bos)
    assert len(found.windows) == min(total, -(-tokens // positions_per_window(8, 2)))
    for window in found.windows:
        assert window.start % stride == 0
        assert window.start + stride <= lengths[window.document]
        expected = [(window.start + j) % 26 for j in range(stride)]
        assert window.token_ids.tolist() == [99] * with_bos + expected
    order = [(window.document, window.start) for window in found.windows]
    assert order == sorted(set(order))
    assert found.token_counts.sum() == sum(lengths)


def test_every_document_comes_before_a_second_window_of_any():
    found = plan([80, 80, 80, 80, 8], tokens=5 * 5)
    assert sorted(window.document for window in found.windows) == [0, 1, 2, 3, 4]


def test_more_tokens_keep_the_windows_of_fewer():
    few, many = plan([80] * 6, tokens=15), plan([80] * 6, tokens=60)
    pick = lambda found: {(window.document, window.start) for window in found.windows}  # noqa: E731
    assert pick(few) < pick(many)


def test_the_seed_chooses():
    assert [w.start for w in plan([400] * 4, tokens=20).windows] != [
        w.start for w in plan([400] * 4, tokens=20, seed=1).windows
    ]


def test_documents_that_are_too_short_are_counted():
    found = plan([3, 20, 5])
    assert (found.n_documents, found.n_short, found.n_windows) == (3, 2, 2)
    with pytest.raises(CorpusError, match=r"no document has 8 tokens, the longest of 2 has 5"):
        plan([3, 5])


def test_a_tokenizer_of_another_model_is_refused():
    with pytest.raises(CorpusError, match="the tokenizer gives token 25, the model has tokens 0 to 9"):
        plan_windows([Document("d", "z" * 9)], Letters(), 10, context=8, skip=2, tokens=0, seed=0, bos=None)


def test_bos_policy():
    assert bos_token(Letters(), "never") is None
    assert bos_token(Letters(), "auto") is None
    assert bos_token(Letters(adds_bos=True), "auto") == 99
    assert bos_token(Letters(), "always") == 99
    without = Letters()
    without.bos_token_id = None
    assert bos_token(without, "auto") is None
    with pytest.raises(CorpusError, match="no BOS token"):
        bos_token(without, "always")


def test_counts_are_of_the_whole_corpus():
    assert np.array_equal(plan([27, 8], tokens=1).token_counts[:3], [3, 2, 2])
