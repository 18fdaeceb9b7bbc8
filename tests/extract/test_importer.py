import polars as pl
import pytest

from extract.importer import import_folder
from tests.lake import planted_influence, write_folder
from warehouse.connection import connect, frame
from warehouse.errors import LakeError
from warehouse.lake import open_lake


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "mine", planted_influence(8, elbow=5), documents=3, positions=4)


def change(folder, table, **columns):
    path = folder / f"{table}.parquet"
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def bring(folder, lake):
    return import_folder(folder, lake, "m", "c", "u", say=lambda line: None)


def test_what_goes_in_comes_out(folder, tmp_path):
    run = bring(folder, tmp_path / "lake")
    con = connect(tmp_path / "lake")
    given = pl.read_parquet(folder / "neuron_tokens.parquet").sort("neuron", "token_index")
    found = frame(con, "select * from neuron_tokens order by neuron, token_index")
    assert found["run"].unique().to_list() == [run]
    assert found["delta_loss"].to_list() == given["delta_loss"].to_list()
    assert found["activation"].to_list() == given["activation"].to_list()
    neurons = frame(con, "select neuron, mean_activation, sd_activation from neurons order by neuron")
    expected = given.group_by("neuron", maintain_order=True).agg(
        pl.col("activation").cast(float).mean().alias("m"), pl.col("activation").cast(float).std().alias("s")
    )
    assert neurons["mean_activation"].to_numpy() == pytest.approx(expected["m"].to_numpy())
    assert neurons["sd_activation"].to_numpy() == pytest.approx(expected["s"].to_numpy())
    words = frame(con, "select probability, frequency_rank, count from vocabulary order by token_id")
    assert words["probability"].sum() == pytest.approx(1)
    assert words.sort("frequency_rank")["count"].is_sorted(descending=True)
    assert frame(con, "select origin from runs").item() == "imported"


def test_frozen_deltas_are_taken_where_they_are_given(folder, tmp_path):
    change(folder, "neuron_tokens", delta_frozen_norm=pl.col("delta_loss") / 2)
    bring(folder, tmp_path / "lake")
    found = frame(connect(tmp_path / "lake"), "from ablations")
    assert (found["delta_frozen_norm"] - found["delta_loss"] / 2).abs().max() < 1e-6
    assert found["delta_frozen_frequency"].null_count() == found.height


def test_importing_again_does_nothing(folder, tmp_path):
    first = bring(folder, tmp_path / "lake")
    assert bring(folder, tmp_path / "lake") == first
    assert len(open_lake(tmp_path / "lake").runs) == 1


def test_several_files_of_a_table_and_a_run_without_activations(folder, tmp_path):
    pairs = pl.read_parquet(folder / "neuron_tokens.parquet").drop("activation")
    (folder / "neuron_tokens.parquet").unlink()
    (folder / "neuron_tokens").mkdir()
    pairs[:50].write_parquet(folder / "neuron_tokens/a.parquet")
    pairs[50:].write_parquet(folder / "neuron_tokens/b.parquet")
    bring(folder, tmp_path / "lake")
    con = connect(tmp_path / "lake")
    assert frame(con, "from ablations").height == pairs.height
    assert frame(con, "from activations").height == 0
    assert frame(con, "from neurons").height == 0


FAULTS = [
    ("tokens", {"target_id": pl.lit("x")}, "tokens.parquet, row 0: target_id is x, not INTEGER"),
    ("tokens", {"target_id": pl.lit(1.5)}, "tokens.parquet, row 0: target_id is 1.5, not a whole number"),
    ("tokens", {"document": pl.lit(None, pl.Int64)}, "document is null, needed at every row"),
    ("tokens", {"target_id": pl.lit(99)}, "tokens.parquet, row 0: target_id 99 is not in vocabulary"),
    ("tokens", {"target_id": pl.lit(True)}, "tokens.parquet, row 0: target_id is true, not a whole number"),
    ("tokens", {"token_index": pl.lit(0)}, "tokens.parquet, row 1: a second row with token_index = 0"),
    ("tokens", {"loss": pl.lit(-1.0)}, "tokens.parquet, row 0: loss is -1.0, below -1e-3"),
    ("vocabulary", {"probability": pl.lit(2.0)}, "vocabulary.parquet, row 0: probability is 2.0, above 1"),
    ("vocabulary", {"frequency_rank": pl.lit(1)}, "vocabulary.parquet, row 1: a second row with frequency_rank = 1"),
    ("vocabulary", {"frequency_rank": 10 * pl.col("token_id") + 1}, "row 4: frequency_rank is 41, more than there are"),
    ("tokens", {"document": pl.lit(-1)}, "document is -1, below 0"),
    ("neuron_tokens", {"delta_loss": pl.lit(float("nan"))}, "row 0: delta_loss is nan, not finite"),
    ("neuron_tokens", {"delta_loss": pl.lit(float("inf"))}, "row 0: delta_loss is inf, not finite"),
    (
        "neuron_tokens",
        {"delta_loss": pl.when(pl.int_range(pl.len()) == 17).then(None).otherwise("delta_loss")},
        "neuron_tokens.parquet, row 17: delta_loss is null",
    ),
    ("neuron_tokens", {"token_index": pl.col("token_index") + 1}, "token_index 12 is not in tokens"),
]


@pytest.mark.parametrize(("table", "columns", "message"), FAULTS)
def test_every_fault_is_named_with_file_and_row(folder, tmp_path, table, columns, message):
    change(folder, table, **columns)
    with pytest.raises(LakeError) as error:
        bring(folder, tmp_path / "lake")
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert not (tmp_path / "lake/runs").exists()


def layers(n):
    return {"layer": [n] * 8, "neuron": list(range(8))}


END = {"direction": ["promoted"] * 8, "rank": [0] * 8, "token_id": [0] * 8, "effect": [1.0] * 8}
OPTIONAL = [
    ("weights", {**layers(0), "side": ["up"] * 8, "weight": [[1.0]] * 8}, "row 0: side is up, not in, gate or out"),
    ("weights", {**layers(0), "side": ["in"] * 8, "weight": [[1.0]] * 7 + [[1.0, 2.0]]}, "row 7: weight is [1.0, 2.0]"),
    ("weights", {**layers(0), "side": ["in"] * 8, "weight": [[1.0, None]] * 8}, "row 0: weight is [1.0, NULL]"),
    (
        "neuron_logits",
        {**layers(0), **END, "direction": ["up"] * 8},
        "row 0: direction is up, not promoted or suppressed",
    ),
    ("neuron_logits", {**layers(0), **END, "token_id": [9999] * 8}, "row 0: token_id 9999 is not in vocabulary"),
    ("weights", {"layer": [0], "neuron": [0], "side": ["in"], "weight": [[1.0]]}, "side in is there at 1 of 8 neurons"),
    ("residuals", {"token_index": [0], "residual": [[1.0]]}, "the residual is there at 1 of 12 tokens"),
    (
        "neurons",
        {**layers(0), "layer": [0] * 7 + [1], "mean_activation": [0.0] * 8, "sd_activation": [1.0] * 8},
        "row 7: layer is 1, and another in other rows",
    ),
    (
        "neurons",
        {**layers(0), "mean_activation": [0.0] * 8, "sd_activation": [-1.0] * 8},
        "sd_activation is -1.0, below",
    ),
]


@pytest.mark.parametrize(("table", "columns", "message"), OPTIONAL)
def test_faults_of_tables_that_need_not_be_there(folder, tmp_path, table, columns, message):
    pl.DataFrame(columns).write_parquet(folder / f"{table}.parquet")
    with pytest.raises(LakeError) as error:
        bring(folder, tmp_path / "lake")
    assert message in error.value.message


@pytest.mark.parametrize("table", ["tokens", "neuron_tokens", "vocabulary"])
def test_a_table_without_rows(folder, tmp_path, table):
    path = folder / f"{table}.parquet"
    pl.read_parquet(path)[:0].write_parquet(path)
    with pytest.raises(LakeError, match=f"{table}.parquet: no row"):
        bring(folder, tmp_path / "lake")


def test_a_file_that_is_damaged_inside_is_named(folder, tmp_path):
    path = folder / "neuron_tokens.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:60] + b"\xff" * 200 + content[260:])
    with pytest.raises(LakeError, match=r"cannot read .*neuron_tokens.parquet"):
        bring(folder, tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


def test_ids_may_have_gaps_and_hidden_files_are_left_alone(folder, tmp_path):
    change(folder, "tokens", token_index=2 * pl.col("token_index"))
    change(folder, "neuron_tokens", token_index=2 * pl.col("token_index"), neuron=3 * pl.col("neuron"))
    change(folder, "vocabulary", count=pl.lit(2**63 - 1))
    (folder / "._tokens.parquet").write_text("of another system")
    bring(folder, tmp_path / "lake")
    found = frame(connect(tmp_path / "lake"), "select sum(probability) as p from vocabulary")
    assert found.item() == pytest.approx(1)


def test_a_neuron_that_is_not_at_every_token(folder, tmp_path):
    path = folder / "neuron_tokens.parquet"
    pl.read_parquet(path)[:-1].write_parquet(path)
    with pytest.raises(LakeError, match="neuron 7 is there at 11 of 12 tokens"):
        bring(folder, tmp_path / "lake")


def test_missing_tables_columns_and_strange_names(folder, tmp_path):
    pl.read_parquet(folder / "tokens.parquet").drop("target_id").write_parquet(folder / "tokens.parquet")
    with pytest.raises(LakeError, match=r"tokens.parquet: no column target_id"):
        bring(folder, tmp_path / "lake")
    (folder / "tokens.parquet").rename(folder / "words.parquet")
    with pytest.raises(LakeError, match=r"words.parquet is not named by a table"):
        bring(folder, tmp_path / "lake")
    (folder / "words.parquet").unlink()
    with pytest.raises(LakeError, match=r"has no tokens.parquet"):
        bring(folder, tmp_path / "lake")
    (folder / "tokens.parquet").write_text("no parquet")
    with pytest.raises(LakeError, match="cannot read"):
        bring(folder, tmp_path / "lake")
    with pytest.raises(LakeError, match="no folder"):
        bring(tmp_path / "nowhere", tmp_path / "lake")


def test_columns_of_their_own_are_named_and_left_out(folder, tmp_path):
    change(folder, "tokens", mood=pl.lit("good"))
    said = []
    import_folder(folder, tmp_path / "lake", "m", "c", "u", say=said.append)
    assert "not imported: tokens.mood is not a column of the lake" in said
