import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from extract.unigrams import Unigrams, read_unigrams, token_texts, vocabulary_table
from warehouse.errors import CorpusError
from warehouse.schema import TABLES

COUNTS = np.array([5, 0, 3, 3, 9])


def read(option, n_vocabulary, counts, tokens=None):
    return read_unigrams(option, n_vocabulary, counts, tokens or ["x"] * n_vocabulary)


def fault(option, n_vocabulary=5, counts=None, **more):
    with pytest.raises(CorpusError) as caught:
        read(str(option), n_vocabulary, counts, **more)
    assert caught.value.hint
    return caught.value.message


def test_corpus_counts_are_smoothed_by_one():
    unigrams = read("corpus", 5, COUNTS)
    assert unigrams.count.dtype == np.int64
    np.testing.assert_allclose(unigrams.probability, (COUNTS + 1) / 25)
    assert "20 tokens" in unigrams.source
    assert "no counts" in fault("corpus")


@settings(deadline=None)
@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 1000)))
def test_the_proxy_falls_with_the_id_and_sums_to_one(counts):
    alone = read("token-id", len(counts), None)
    both = read("token-id", len(counts), counts)
    assert (np.diff(alone.probability) < 0).all()
    assert alone.probability.sum() == pytest.approx(1)
    assert both.probability.sum() == pytest.approx(1)
    assert not alone.count.any()
    np.testing.assert_array_equal(both.count, counts)
    zipf = 1 / np.arange(1, len(counts) + 1)
    expected = counts + 2e7 * zipf / zipf.sum()
    np.testing.assert_allclose(both.probability, expected / expected.sum())
    for unigrams in (alone, both):
        ranks = vocabulary_table(unigrams, ["x"] * len(counts), [False] * len(counts))["frequency_rank"]
        assert ranks.to_pylist() == list(range(1, len(counts) + 1))
        assert "0.80 / 0.73" in unigrams.source


def test_npy_counts_may_be_shorter_but_not_longer(tmp_path):
    path = tmp_path / "counts.npy"
    np.save(path, COUNTS.astype(np.uint32))
    unigrams = read(str(path), 7, None)
    np.testing.assert_array_equal(unigrams.count, [5, 0, 3, 3, 9, 0, 0])
    np.testing.assert_allclose(unigrams.probability, (unigrams.count + 1) / 27)
    assert unigrams.source == "counts of counts.npy (20 tokens); 2 ids that it lacks count zero"
    assert "lacks" not in read(str(path), 5, None).source
    assert "5 counts for 4 rows" in fault(path, 4)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones(3), "float64 of shape (3,)"),
        (np.ones((2, 2), int), "of shape (2, 2)"),
        (np.array([1, -1]), "negative"),
        (np.array([1, 2**63], np.uint64), "beyond 64 bits"),
        (np.zeros(3, int), "no count above zero"),
        (np.array([{}]), "cannot be read as .npy"),
    ],
)
def test_npy_files_that_hold_no_counts(tmp_path, array, said):
    path = tmp_path / "counts.npy"
    np.save(path, array, allow_pickle=True)
    assert said in fault(path)


def test_parquet_by_id_and_by_text(tmp_path):
    path = tmp_path / "counts.parquet"
    pq.write_table(pa.table({"token_id": [4, 0], "count": [9, 5]}), path)
    unigrams = read(str(path), 5, None)
    np.testing.assert_array_equal(unigrams.count, [5, 0, 0, 0, 9])
    assert "3 ids that it lacks count zero" in unigrams.source
    pq.write_table(pa.table({"token": ["b", "?", "a"], "count": [2, 1, 1]}), path)
    tokens = ["a", None, "b", "?", "c", "c"]
    named = read(str(path), 6, None, tokens=tokens)
    np.testing.assert_array_equal(named.count, [1, 0, 2, 1, 0, 0])
    assert "3 ids that it lacks count zero" in named.source
    assert "row 1: '?' is no token of this model" in fault(path, 4, tokens=["a", None, "b", "c"])
    assert "row 0: 'b' is the text of 2 tokens (1, 2)" in fault(path, 4, tokens=["a", "b", "b", "?"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"token_id": [0, 0], "count": [1, 1]}, "more than one row"),
        ({"token_id": [0, 5], "count": [1, 1]}, "token ids 0 to 5"),
        ({"token_id": [0, None], "count": [1, 1]}, "holds nulls"),
        ({"token_id": [0], "count": [1.5]}, "not whole numbers (double)"),
        ({"token_id": [0], "count": [-1]}, "negative"),
        ({"token_id": [0]}, "has the columns token_id"),
        ({"word": ["x"], "count": [1]}, "has the columns word, count"),
        ({"token": [b"x"], "count": [1]}, "not text (binary)"),
        ({"token": ["x", "x"], "count": [1, 2]}, "more than one row"),
        ({"token_id": [2**70 // 2**8], "count": [1]}, "token ids"),
    ],
)
def test_parquet_files_that_hold_no_counts(tmp_path, columns, said):
    path = tmp_path / "counts.parquet"
    pq.write_table(pa.table(columns), path)
    assert said in fault(path)


def test_other_options_are_refused(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"x")
    (tmp_path / "bad.parquet").write_bytes(b"x")
    assert "--unigrams zipf" in fault("zipf")
    assert "no file" in fault(tmp_path / "gone.npy")
    assert "cannot be read" in fault(tmp_path / "bad.npy")
    assert "cannot be read" in fault(tmp_path / "bad.parquet")


def test_the_table_is_as_the_schema_says():
    unigrams = read("corpus", 5, COUNTS)
    table = vocabulary_table(unigrams, ["a", "b", "c", "d", "<s>"], [False] * 4 + [True])
    types = {"INTEGER": "int32", "VARCHAR": "string", "BOOLEAN": "bool", "BIGINT": "int64", "DOUBLE": "double"}
    assert [(each.name, str(each.type)) for each in table.schema] == [
        (column.name, types[column.type]) for column in TABLES["vocabulary"].columns
    ]
    # 9 is a control token; ties (3, 3) go by id
    assert table["frequency_rank"].to_pylist() == [1, 4, 2, 3, None]


@settings(deadline=None)
@given(arrays(np.int64, 12, elements=st.integers(0, 5)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_ranks_are_dense_and_follow_the_counts(counts, has_text):
    unigrams = Unigrams(counts, (counts + 1) / (counts + 1).sum(), "")
    table = vocabulary_table(unigrams, ["x" if each else None for each in has_text], [False] * 12)
    ranked = [(rank, count) for rank, count in zip(table["frequency_rank"].to_pylist(), counts, strict=True) if rank]
    assert sorted(rank for rank, _ in ranked) == list(range(1, sum(has_text) + 1))
    assert [count for _, count in sorted(ranked)] == sorted((count for _, count in ranked), reverse=True)


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a the the the cat \u00e9\u00e9 \u00e9\u00e9"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def sentencepiece():
    pieces = ["<s>", "<unk>", "<0xC3>", "\u2581", "\u2581a", "a", "\u2581the", "the", "\u00e9"]
    model = models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=1, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def test_texts_of_byte_level_tokens():
    tokenizer = byte_level()
    texts, special = token_texts(tokenizer, len(tokenizer) + 2)
    ids = {text: each for each, text in enumerate(texts)}
    assert {" the", "\u00e9", " ", "\n", "a"} <= set(texts)
    assert texts[-2:] == [None, None]
    assert [texts[each] for each, flag in enumerate(special) if flag] == ["<eos>"]
    for word in (" the", "\u00e9", "\n"):
        assert tokenizer.decode([ids[word]]) == word
    # one byte of two is not text: its raw string
    byte = tokenizer.convert_tokens_to_ids("\u00c3")
    assert texts[byte] == "\u00c3"


def test_texts_of_sentencepiece_tokens_keep_their_space():
    texts, special = token_texts(sentencepiece(), 9)
    assert texts == ["<s>", "<unk>", "<0xC3>", " ", " a", "a", " the", "the", "\u00e9"]
    assert special == [True, True] + [False] * 7
