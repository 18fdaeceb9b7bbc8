"""Two corpora of one model: what differs is found, what does not is not, and which runs are compared at all."""

import numpy as np
import polars as pl
import pytest

from extract.importer import import_folder
from queries import load, run
from tests.lake import planted_influence, write_folder
from warehouse.connection import connect

CONTRAST = load("corpus_contrast")
LEVEL = planted_influence(60)


def add(folder, lake, name, influence, model="planted", **options):
    source = write_folder(folder / name, influence, positions=20, activation=False, **options)
    return import_folder(source, lake, model, name, "simulated counts", say=lambda line: None)


def contrast(tmp_path, one, other, seeds=(1, 2), documents=(16, 24)):
    lake = tmp_path / "lake"
    runs = [
        add(tmp_path, lake, name, influence, seed=seed, documents=n)
        for name, influence, seed, n in zip("ab", (one, other), seeds, documents, strict=True)
    ]
    return run(connect(lake), CONTRAST), runs


def rows(table, one, token_class="all"):
    of_class = table.filter(pl.col("run") == one, pl.col("token_class") == token_class)
    return {row["measure"]: row for row in of_class.iter_rows(named=True)}


def test_another_order_and_another_size_are_found(tmp_path):
    other = 2.0 * LEVEL[np.random.default_rng(0).permutation(60)]
    table, (a, b) = contrast(tmp_path, LEVEL, other)
    found = rows(table, a)
    assert found["spearman"]["high"] < found["spearman"]["null_documents_low"]
    assert found["spearman"]["p"] == pytest.approx(0.001)
    assert found["log_ratio"]["low"] < np.log(2) < found["log_ratio"]["high"]
    assert found["log_ratio"]["p"] < 0.01
    assert (found["spearman"]["n"], found["spearman"]["n_other"]) == (16, 24)
    back = rows(table, b)
    assert back["spearman"]["estimate"] == pytest.approx(found["spearman"]["estimate"])
    assert back["log_ratio"]["estimate"] == pytest.approx(-found["log_ratio"]["estimate"])
    first, second = sorted((a, b))
    assert f"- `{first}`, against `{second}`, all tokens: the rankings" in CONTRAST.answer(table)
    assert CONTRAST.answer(table).count("\n- ") == 2
    assert table.equals(table.sort(CONTRAST.keys))


def test_the_same_law_is_not_called_different(tmp_path):
    table, (a, _) = contrast(tmp_path, LEVEL, LEVEL)
    found = rows(table, a)
    assert found["spearman"]["p"] > 0.05
    assert found["spearman"]["low"] < found["spearman"]["null_documents_mean"] < found["spearman"]["high"]
    assert found["log_ratio"]["p"] > 0.05


def test_only_runs_of_one_model_on_two_corpora_are_compared(tmp_path):
    lake = tmp_path / "lake"
    add(tmp_path, lake, "a", LEVEL, documents=6)
    assert run(connect(lake), CONTRAST).is_empty()
    add(tmp_path, lake, "b", LEVEL, documents=6, seed=1, model="another")
    assert run(connect(lake), CONTRAST).is_empty()
    add(tmp_path, lake, "c", LEVEL, documents=6, seed=2)
    assert run(connect(lake), CONTRAST)["run"].n_unique() == 2


@pytest.mark.parametrize(
    ("facts", "is_compared"),
    [
        ("'b' || corpus as corpus_sha256", True),
        ("'same' as corpus_sha256", False),
        ("'b' || corpus as corpus_sha256, case corpus when 'a' then 128 else 256 end as context", False),
    ],
)
def test_one_text_by_two_names_and_other_settings_are_no_second_corpus(tmp_path, facts, is_compared):
    for i, name in enumerate("ab"):
        add(tmp_path, tmp_path / "lake", name, LEVEL, documents=6, seed=i)
    con = connect(tmp_path / "lake")
    con.execute(f"create temp view runs as select * replace ('model' as model_sha256, {facts}) from memory.main.runs")
    assert run(con, CONTRAST).is_empty() != is_compared


def test_few_documents_say_so(tmp_path):
    table, (a, b) = contrast(tmp_path, LEVEL, LEVEL, documents=(4, 9))
    assert table["estimate"].is_nan().all()
    assert rows(table, a)["spearman"]["reason"] == "4 documents of this corpus with this class; at least 5 are needed"
    assert "of the other corpus" in rows(table, b)["spearman"]["reason"]
    assert "no answer, 4 documents" in CONTRAST.answer(table)


def test_a_corpus_without_any_delta_says_so(tmp_path):
    table, _ = contrast(tmp_path, LEVEL, 0.0 * LEVEL)
    assert table["reason"].str.starts_with("no neuron moves the loss in 24 documents of").all()
