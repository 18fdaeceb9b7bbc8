"""A report is whole or not at all, says what is missing, and outlives an analysis that fails."""

import math
import re
from dataclasses import replace

import duckdb
import polars as pl
import pytest

import queries
from queries import Analysis, Chart, Claim, finding
from reports.provenance import Source
from reports.report import write_report
from warehouse.errors import QueryError, RtError
from warehouse.schema import RUN, TABLES

RUN_A, RUN_B = "r-aaaaaaaaaa", "r-bbbbbbbbbb"
CLASSES = ("all", "common", "rare")


def lake(*runs):
    """Every table of the schema, with one run of 4 positions in 2 documents for each (id, model)."""
    con = duckdb.connect()
    con.execute("set enable_progress_bar = false")
    for table in TABLES.values():
        columns = ", ".join(f'"{column.name}" {column.type}' for column in (RUN, *table.columns))
        con.execute(f"create table {table.name} ({columns})")
    for run, model in runs:
        con.execute(
            """
            insert into runs by name
            select $run as run, 'extracted' as origin, timestamp '2026-01-02 03:04:05' as created_at,
                '0.1.0' as rt_version, $model as model, 'main' as revision, repeat('ab', 32) as model_sha256,
                5 as layer, 1024 as d_model, 4096 as d_mlp, 50000 as n_vocabulary, 'openings' as corpus,
                'token ids as ranks' as unigram_source, 256 as context, 3 as skip, false as bos, 0 as seed,
                'float32' as dtype, 'cpu' as device, 2 as n_documents, 4 as n_windows, 4 as n_positions
            """,
            {"run": run, "model": model},
        )
        con.execute(
            "insert into tokens by name select $run as run, range::int as token_index, (range // 2)::int as document, "
            "range::int as target_id, 1.5::float as loss from range(4)",
            {"run": run},
        )
    return con


def estimate(frame, rng):
    noise = rng.random()
    rows = [
        (run, token_class, neuron, 1 / (neuron + 1) / (place + 1), 0.01, 2.0, 4, neuron + 1, noise, None)
        for run in sorted(frame["run"])
        for place, token_class in enumerate(CLASSES)
        for neuron in range(6)
    ]
    names = ["run", "token_class", "neuron", "estimate", "low", "high", "n", "rank", "noise", "reason"]
    table = pl.DataFrame(rows, schema={**dict.fromkeys(names), "reason": pl.String}, orient="row")
    odd = (pl.col("token_class") == "rare") & (pl.col("neuron") == 3)
    return table.with_columns(
        *(pl.when(odd).then(math.nan).otherwise(pl.col(name)).alias(name) for name in ("estimate", "low", "high")),
        reason=pl.when(odd).then(pl.lit("only 1 document holds a rare token")),
    )


SQL = """-- Grain: one row per (run).
select run, count(*) as n from tokens where $rare_by = 'target' group by run order by run
"""
SHARE = Analysis(
    chapter="Influence",
    keys=("run", "token_class", "neuron"),
    unit="nats",
    resampled="documents",
    columns={"rank": "Rank by influence.", "noise": "A number from the seed."},
    chart=Chart("rank_curve", ("influence",)),
    estimate=estimate,
    answer=lambda table: f"- {table.height} rows.\n- And a second point.",
    excerpt=lambda table: table.filter(pl.col("neuron") < 4).drop("noise"),
    needs=("tokens.loss",),
    question="Which neurons matter?",
    explanation="Read it from left to right.",
    caveats="It is made up.",
    source="Nobody (2026).",
    sql=SQL,
    claims=(
        Claim(
            "The first leads",
            "nobody",
            "influence of neuron 0",
            lambda table: finding("noise", q="noise", neuron=0)(table.with_columns(verdict=pl.lit("supported"))),
        ),
    ),
)


def fail(frame, rng):
    raise RuntimeError("no | luck <b>here</b>")


@pytest.fixture
def shelf(monkeypatch):
    """Made-up analyses in the place of the folder's."""
    analyses = {
        "influence": SHARE,
        "zeal": replace(SHARE, chapter="Zeal", question="Is there zeal?", needs=("neuron_tokens.delta_loss",)),
    }
    monkeypatch.setattr(queries, "slugs", lambda: sorted(analyses))
    monkeypatch.setattr(queries, "load", lambda slug: replace(analyses[slug], slug=slug))
    return analyses


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def one_run():
    return lake((RUN_A, "smollm2-135m"))


def test_sections_and_files(shelf, one_run, tmp_path):
    said = []
    made = write_report(one_run, tmp_path / "new" / "report.md", progress=said.append, command="rt report")
    text = made.path.read_text()
    assert made.failed == ()
    assert made.html_path is None
    assert set(files(tmp_path / "new")) == {"report.md", "influence.svg", "influence.png", "influence.parquet"}
    for part in (
        "# What single neurons do in smollm2-135m main (r-aaaaaa)",
        "- Token frequencies: token ids as ranks",
        "- Weights (SHA-256): `abababababab`",
        "- Window: 256 tokens, no BOS, first 3 positions left out",
        "- Positions used: all 4",
        "- Positions (`--where`): all that were analysed",
        "- Seed of the analyses (`--seed`): 0",
        "Command: `rt report`",
        "1\u00a0[0.0100,\u00a02]",
        "| **supported** | [The first leads][influence] |",
        "[influence]: #which-neurons-matter",
        "- 18 rows.",
        "### Which neurons matter?",
        "(influence.png)](influence.svg)",
        "**Figure.** Neurons in the order of their influence",
        "smollm2-135m main (r-aaaaaa): 2 documents, 4 positions.",
        "[influence.parquet](influence.parquet)",
        "Read it from left to right.",
        "**Caveats.** It is made up.",
        "**Source.** Nobody (2026).",
        "- `rank`: Rank by influence.",
        "- `estimate`: The estimate. Unit: nats.",
        "- `neuron`: The neuron's index in its layer",
        "where 'target' = 'target'",
        "1. only 1 document holds a rare token",
        "12 of 18 rows",
    ):
        assert part in text, part
    assert text.index("## Influence") < text.index("## Zeal")
    assert "analysing influence" in said


def test_no_number_has_a_dash_and_its_reason(shelf, one_run, tmp_path):
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    line = next(line for line in text.splitlines() if re.match(r"\| rare +\| +3 \|", line))
    assert line.count("\u2013") == 3
    assert line.rstrip(" |").endswith("1")


def test_reasons_that_the_excerpt_left_out_are_shown_all_the_same(shelf, one_run, tmp_path):
    shelf["influence"] = replace(SHARE, excerpt=lambda table: table.drop("reason", "noise"))
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "Notes:\n\n1. only 1 document holds a rare token" in text


def test_the_parquet_copy_is_the_whole_table_unrounded(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md", seed=7)
    table = pl.read_parquet(tmp_path / "influence.parquet")
    again = queries.run(one_run, queries.load("influence"), 7)
    assert table.equals(again, null_equal=True)
    assert table["estimate"][2] == 1 / 3


def test_the_same_seed_gives_the_same_bytes(shelf, one_run, tmp_path):
    for name in ("a", "b"):
        write_report(one_run, tmp_path / name / "report.md", seed=3, html=True)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_sql_can_be_pasted(shelf, one_run, tmp_path):
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    sql = re.search(r"```sql\n(.*?)```", text, re.DOTALL).group(1)
    assert one_run.sql(sql).fetchall() == [(RUN_A, 4)]


def test_what_was_not_extracted_is_named(shelf, one_run, tmp_path):
    made = write_report(one_run, tmp_path / "report.md", only=["zeal"])
    text = made.path.read_text()
    assert made.failed == ()
    assert "**Not extracted.** This question needs `neuron_tokens.delta_loss`" in text
    assert "`rt extract`" in text
    assert "Which neurons matter?" not in text


def test_an_empty_lake_still_gives_a_report(shelf, tmp_path):
    made = write_report(lake(), tmp_path / "report.md", html=True)
    assert "**The lake has no run.**" in made.path.read_text()
    assert made.failed == ()


def test_an_analysis_that_fails_takes_only_its_section(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(SHARE, chapter="Zeal", question="Is there zeal?", estimate=fail)
    made = write_report(one_run, tmp_path / "report.md", html=True)
    text = made.path.read_text()
    assert made.failed == ("zeal",)
    assert "```text\nRuntimeError: no | luck <b>here</b>\n```" in text
    assert "(influence.png)](influence.svg)" in text
    assert "&lt;b&gt;here" in made.html_path.read_text()


@pytest.mark.parametrize("broken", ["answer", "excerpt", "chart"])
def test_any_part_of_an_analysis_may_fail(shelf, one_run, tmp_path, broken):
    bad = {"answer": lambda table: 1 / 0, "excerpt": lambda table: 1 / 0, "chart": Chart("nonsense", ("influence",))}
    shelf["influence"] = replace(SHARE, **{broken: bad[broken]})
    made = write_report(one_run, tmp_path / "report.md")
    assert made.failed == ("influence",)
    assert ("ZeroDivisionError" if broken != "chart" else "no chart of kind") in made.path.read_text()
    with pytest.raises((ZeroDivisionError, ValueError)):
        write_report(one_run, tmp_path / "report.md", strict=True)


def test_a_failed_report_leaves_the_old_one_whole(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md", html=True)
    before = files(tmp_path)
    shelf["zeal"] = replace(SHARE, estimate=fail)
    with pytest.raises(RuntimeError):
        write_report(one_run, tmp_path / "report.md", seed=1, strict=True)
    assert files(tmp_path) == before


def test_no_stale_figure_stays_beside_a_new_report(shelf, one_run, tmp_path):
    write_report(one_run, tmp_path / "report.md")
    (tmp_path / "notes.txt").write_text("mine")
    shelf["influence"] = replace(SHARE, estimate=fail)
    write_report(one_run, tmp_path / "report.md")
    assert set(files(tmp_path)) == {"report.md", "notes.txt"}


def test_a_figure_may_draw_what_was_not_asked_for(shelf, one_run, tmp_path):
    shelf["zeal"] = replace(SHARE, question="Is there zeal?")
    write_report(one_run, tmp_path / "report.md", only=["zeal"])
    assert set(files(tmp_path)) == {"report.md", "zeal.svg", "zeal.png", "zeal.parquet"}
    shelf["influence"] = replace(SHARE, estimate=fail)
    text = write_report(one_run, tmp_path / "report.md").path.read_text()
    assert "No figure: it also draws influence, which has no table here." in text


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


def test_data_cannot_become_markup(shelf, tmp_path):
    con = lake((RUN_A, "<script>x</script>|*a*"))
    made = write_report(con, tmp_path / "report.md", html=True)
    assert "\\<script\\>x\\</script\\>\\|\\*a\\*" in made.path.read_text()
    assert "<script" not in made.html_path.read_text()


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


def test_bad_requests_are_refused_before_anything_is_written(shelf, one_run, tmp_path):
    with pytest.raises(QueryError, match="no analysis `nothing`"):
        write_report(one_run, tmp_path / "a" / "report.md", only=["nothing"])
    with pytest.raises(RtError, match="Markdown file"):
        write_report(one_run, tmp_path / "a" / "report.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(RtError, match="cannot write a report"):
        write_report(one_run, tmp_path / "file" / "report.md")
    assert set(files(tmp_path)) == {"file"}


def test_two_runs_stand_side_by_side_with_names_that_differ(shelf, tmp_path):
    con = lake((RUN_A, "org/pythia"), (RUN_B, "org/pythia"))
    con.execute("update runs set seed = 1 where run = $run", {"run": RUN_B})
    text = write_report(con, tmp_path / "report.md").path.read_text()
    assert "pythia main seed 0 (r-aaaaaa)" in text
    header = next(line for line in text.splitlines() if line.startswith("| Claim"))
    assert "pythia main seed 1 (r-bbbbbb)" in header
    assert len(re.findall(r"\| \*\*supported\*\*; 1\u00a0\[0.0100,\u00a02\]; null 0", text)) == 2


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


def test_answers_call_the_runs_by_name(shelf, tmp_path):
    shelf["influence"] = replace(SHARE, answer=lambda table: f"- `{RUN_A}`, rare tokens: no.\n- `{RUN_A}`: none.")
    one = write_report(lake((RUN_A, "one")), tmp_path / "one" / "report.md").path.read_text()
    assert "- Rare tokens: no.\n- None." in one
    two = write_report(lake((RUN_A, "one"), (RUN_B, "two")), tmp_path / "two" / "report.md").path.read_text()
    assert "- one main (r-aaaaaa), rare tokens: no.\n- one main (r-aaaaaa): none." in two
