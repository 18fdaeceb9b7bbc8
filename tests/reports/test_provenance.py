"""A report says which runs and positions it is about, under names that tell them apart."""

import re

from reports.provenance import Source
from reports.report import write_report
from tests.reports.made_up import RUN_A, RUN_B, lake


def test_runs_stand_side_by_side(shelf, tmp_path):
    con = lake((RUN_B, "gpt2"), (RUN_A, "models/pythia_x"))
    text = write_report(con, tmp_path / "report.md").path.read_text()
    assert re.search(r"\| token_class \| neuron \| +pythia_x main \(r-aaaaaa\) \| +gpt2 main \(r-bbbbbb\) \|", text)
    assert re.search(r"\| common +\| +0 \| +0.500 \[0.0100, 2\] \| +0.500 \[0.0100, 2\] \|", text)
    assert re.search(r"\| rare +\| +3 \| +\u2013; note 1 \| +\u2013; note 1 \|", text)
    assert "1. only 1 document holds a rare token" in text


def test_runs_of_one_model_are_told_apart(shelf, tmp_path):
    twin = f"{RUN_A[:8]}zz"
    text = write_report(lake((RUN_A, "gpt2"), (twin, "gpt2")), tmp_path / "report.md").path.read_text()
    assert f"gpt2 main ({RUN_A})" in text
    assert f"gpt2 main ({twin})" in text


def test_runs_without_rows_are_named(shelf, tmp_path):
    con = lake((RUN_A, "gpt2"), (RUN_B, "pythia"))
    con.execute(f"delete from tokens where run = '{RUN_B}'")
    assert "No rows for: pythia main (r-bbbbbb)." in write_report(con, tmp_path / "report.md").path.read_text()


def test_class_counts_come_from_the_macro(shelf, one_run, tmp_path):
    one_run.execute(
        "create macro token_classes(rare_quantile := 0.5, rare_by := 'target') as table "
        "select run, token_index, document, case when token_index < 1 then 'rare' else 'common' end as token_class "
        "from tokens where rare_quantile = 0.2 and rare_by = 'input'"
    )
    made = write_report(one_run, tmp_path / "report.md", parameters={"rare_quantile": 0.2, "rare_by": "input"})
    text = made.path.read_text()
    assert "- Rare positions: 1 in 1 document\n" in text
    assert "- Common positions: 3 in 2 documents" in text
    assert "least frequent 20 % of the vocabulary, by the input token" in text


def test_what_was_chosen_is_in_the_provenance_and_in_the_sql(shelf, tmp_path):
    con = lake((RUN_A, "one"), (RUN_B, "two"))
    con.execute(f"create temp view tokens as from memory.main.tokens where document = 1 and run = '{RUN_A}'")
    con.execute(f"create temp view runs as from memory.main.runs where run = '{RUN_A}'")
    checked = {"self_check": {"closed form, nats": 6.8e-8, "pairs": 48.0}}
    source = Source("document = 1", (RUN_A,), {RUN_A: checked})
    chosen = {"rare_quantile": 0.2, "rare_by": "target"}
    text = write_report(con, tmp_path / "report.md", seed=5, parameters=chosen, source=source).path.read_text()
    for part in (
        "- Documents used: 1 of the 2 of the run",
        "- Positions used: 2 of the 4 of the run",
        "- Positions (`--where`): `document = 1`",
        f"- Runs (`--run`): `{RUN_A}`",
        "- Rare tokens (`--rare-quantile`, `--rare-by`): 0.200, target",
        "- Seed of the analyses (`--seed`): 5",
        "Only positions with `document = 1` were used.",
        "closed form against hooked forward passes 6.80e-08 nats (48 pairs of token and neuron)",
        f"from warehouse.main.tokens where (document = 1) and run in ('{RUN_A}');",
    ):
        assert part in text, part


def test_names_and_texts_that_the_run_knows_are_told(shelf, one_run, tmp_path):
    one_run.execute(
        "update runs set model_title = 'Small-1', model_note = '4 bits a weight', corpus_title = 'old novels'"
    )
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "# What single neurons do in Small-1 main (r-aaaaaa)" in text
    assert "- Model: Small-1 (`smollm2-135m`)\n- Weights: 4 bits a weight" in text
    assert "- Corpus: old novels (`openings`)" in text


def test_one_of_a_thing_is_singular(shelf, one_run, tmp_path):
    one_run.execute("delete from tokens where token_index > 0")
    one_run.execute("update runs set skip = 1")
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "each set to its mean at 1 position of 1 document; corpus" in text
    assert "1 document, 1 position." in text
    assert "first 1 position left out" in text


def test_optional_passes_are_named_with_their_settings(shelf, one_run, tmp_path):
    identity = {"version": 1, "extraction": "0f" * 32, "head_tokens": 512, "head_ablation": ["bos", "mean"]}
    for passes, said in (
        ({"heads": {"identity": identity}}, "heads (head tokens 512, head ablation bos and mean)"),
        ({}, ""),
    ):
        source = Source("", (), {RUN_A: {"passes": passes}})
        text = write_report(one_run, tmp_path / "report.md", source=source).path.read_text()
        assert (f"- Optional passes: {said}\n" in text) if said else "Optional passes" not in text
