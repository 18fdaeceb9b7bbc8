"""What a card holds, against the same numbers computed the long way from the files of a tiny lake."""

import re

import numpy as np
import polars as pl
import pytest

from extract.importer import import_folder
from queries import Session, load
from queries.cards import FOLDER, GLANCE, WHOLE, cards, find_neuron, leaders, measured
from tests.lake import make_lake, planted_influence, write_folder
from tests.layers import add_layers
from tests.texts import add_texts
from warehouse.connection import connect, frame
from warehouse.errors import QueryError

N = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files in which neuron 3 goes with neuron 7 and against neuron 11."""
    folder = write_folder(
        tmp_path_factory.mktemp("cards") / "source",
        planted_influence(N, n_plateau=8, elbow=80),
        documents=12, positions=20, d_model=8, frozen=True, losses=True,
    )  # fmt: skip
    pairs = pl.read_parquet(folder / "neuron_tokens.parquet").sort("neuron", "token_index")
    activation = pairs["activation"].to_numpy().reshape(N, -1).copy()
    activation[7] += activation[3]
    activation[11] = 0.2 * activation[11] - activation[3]
    pairs.with_columns(activation=pl.Series(activation.ravel())).write_parquet(folder / "neuron_tokens.parquet")
    return add_texts(folder, {5: None})


@pytest.fixture(scope="module")
def con(folder):
    lake = folder.parent / "lake"
    import_folder(folder, lake, "planted", "simulated", "simulated counts", say=lambda line: None)
    add_layers(lake, n_layers=2)
    con = connect(lake)
    con.execute("set threads = 1")
    return con


@pytest.fixture(scope="module")
def session(con):
    return Session(con)


@pytest.fixture(scope="module")
def of(con):
    return measured(con, frame(con, "from runs")["run"][0])


@pytest.fixture(scope="module")
def card(session, of):
    return cards(session, of, [3])[0]


def test_which_neurons_there_are(of):
    assert (of.layer, of.n_neurons, of.first, of.last, of.is_gated, of.has_weights) == (0, N, 0, N - 1, False, True)
    assert of.name(3) == "L0N3"


@pytest.mark.parametrize("text", ["L0N12", "l0n12", " 12 ", "N12"])
def test_names_of_a_neuron(of, text):
    assert find_neuron(of, text) == 12


@pytest.mark.parametrize(
    ("text", "said"),
    [("L0N200", "no neuron 200"), ("L4N3", "the neurons of layer 0, not of layer 4"), ("3.1", "names no neuron"),
     ("L0", "names no neuron"),
     ("", "names no neuron"), ("-1", "names no neuron")],
)  # fmt: skip
def test_what_names_no_neuron(of, text, said):
    with pytest.raises(QueryError, match=said):
        find_neuron(of, text)


def test_rows_are_those_of_the_analyses(card, session):
    for part, slug in {
        "influence": "influence",
        "stability": "plateau_stability",
        "path": "confidence_neurons",
    }.items():
        own = session.table(load(slug)).filter(neuron=3)
        assert card.tables[part].equals(own, null_equal=True)
    assert card.tables["contrast"]["contrast"].to_list() == ["difference", "relative"]


def test_contexts_are_the_extremes_with_the_text_around(card, folder):
    tokens = pl.read_parquet(folder / "tokens.parquet").sort("token_index")
    pairs = pl.read_parquet(folder / "neuron_tokens.parquet").filter(neuron=3).sort("token_index")
    windows = dict(pl.read_parquet(folder / "windows.parquet").select("window", "token_ids").iter_rows())
    text = ["[id:5]" if each == 5 else f"w{each}" for each in range(40)]
    for chosen_by in ("activation", "delta_loss"):
        found = card.tables["contexts"].filter(chosen_by=chosen_by)
        order = np.argsort(-np.abs(pairs[chosen_by].to_numpy()))[: WHOLE.n_contexts]
        np.testing.assert_array_equal(found[chosen_by], pairs[chosen_by].to_numpy()[order])
        for row, place in zip(found.iter_rows(named=True), order, strict=True):
            token = tokens.row(int(place), named=True)
            ids, at = windows[token["window"]], token["position"]
            assert (row["token"], row["target"]) == (text[token["token_id"]], text[token["target_id"]])
            assert (row["before"] or "") == "".join(text[each] for each in ids[:at][-WHOLE.n_before :])
            assert (row["after"] or "") == "".join(text[each] for each in ids[at + 2 :][: WHOLE.n_after])
            assert row["name"] == f"book|{token['document']}"
            assert ids[at : at + 2] == [token["token_id"], token["target_id"]]


def test_partners_have_the_largest_correlations(card, folder, of):
    activation = pl.read_parquet(folder / "neuron_tokens.parquet").sort("neuron", "token_index")["activation"]
    r = np.corrcoef(activation.to_numpy().reshape(N, -1).astype(float))[3]
    found = card.tables["partners"]
    order = [each for each in np.argsort(-np.abs(r)) if each != 3][: WHOLE.n_partners]
    assert found["partner"].to_list() == order
    assert order[:2] == [11, 7]
    np.testing.assert_allclose(found["r"], r[order], rtol=1e-9)
    assert set(found["n"]) == {240}
    assert found["regime"].is_not_null().all()


def test_promoted_tokens_weights_and_layer(card, con, of):
    tokens = [card.row("logits", direction=each, rank=1)["token"] for each in ("promoted", "suppressed")]
    assert tokens == ["w4", "w14"]
    assert card.row("logits", direction="promoted", rank=2)["token"] == "[id:5]"
    ranked = frame(con, "select neuron from neurons order by sd_activation desc")["neuron"].to_list()
    assert card.row("facts", quantity="sd_activation")["rank"] == ranked.index(3) + 1
    stored = frame(con, "select moment_4 / moment_2 ** 2 as k from layer_neurons where layer = 0 and neuron = 3").item()
    assert card.row("layer")["kurtosis"] == pytest.approx(stored)
    assert all(0 < share <= 1 for share in card.row("layer")["shares"])
    assert card.absent == {}


def test_the_group_of_the_spectra(card, session, of):
    for each in cards(session, of, list(range(N)), GLANCE):
        found = each.row("stability", token_class="rare")
        outside = found["regime"] == "plateau" and not found["is_core"]
        assert each.spectra_group == ("" if outside else found["regime"] or "")


def test_the_leaders_are_the_first_of_the_plateau(session, of):
    rare = session.table(load("plateau_stability")).filter(token_class="rare", regime="plateau").sort("rank")
    assert rare.height >= 2
    assert leaders(session, of.run, 2) == rare["neuron"].to_list()[:2]
    assert len(leaders(session, of.run)) == min(10, rare.height)


def test_several_neurons_come_in_their_order_and_as_alone(card, session, of):
    several = cards(session, of, [11, 3])
    assert [each.neuron for each in several] == [11, 3]
    for part, table in card.tables.items():
        assert several[1].tables[part].equals(table, null_equal=True), part


def test_positions_that_were_chosen(folder, of):
    con = connect(folder.parent / "lake", where="document < 6")
    (card,) = cards(Session(con), of, [3])
    assert set(card.tables["contexts"]["document"]) <= set(range(6))
    assert set(card.tables["partners"]["n"]) == {120}


def test_what_is_absent_has_its_reason(tmp_path):
    lake = make_lake(tmp_path, planted_influence(12, elbow=6), documents=6, positions=8, activation=False)
    con = connect(lake)
    of = measured(con, frame(con, "from runs")["run"][0])
    assert of.name(2) == "N2"
    (card,) = cards(Session(con), of, [2])
    assert card.absent.keys() == {"path", "partners", "logits", "facts", "layer"}
    assert "rt extract --frozen-tokens" in card.absent["path"]
    assert card.tables["contexts"]["chosen_by"].unique().to_list() == ["delta_loss"]
    assert card.tables["contexts"]["before"].is_null().all()
    assert card.spectra_group == ""
    with pytest.raises(QueryError, match="does not say which layer"):
        find_neuron(of, "L0N2")


def test_no_deltas_leaves_what_activations_say(folder, tmp_path):
    pairs = pl.read_parquet(folder / "neuron_tokens.parquet")
    for each in ("tokens", "vocabulary"):
        (tmp_path / f"{each}.parquet").write_bytes((folder / f"{each}.parquet").read_bytes())
    tokens = pl.read_parquet(folder / "tokens.parquet").drop("window", "position")
    tokens.write_parquet(tmp_path / "tokens.parquet")
    pairs.select("neuron", "token_index", "activation").write_parquet(tmp_path / "neuron_tokens.parquet")
    import_folder(tmp_path, tmp_path / "lake", "planted", "simulated", "counts", say=lambda line: None)
    con = connect(tmp_path / "lake")
    (card,) = cards(Session(con), measured(con, frame(con, "from runs")["run"][0]), [3])
    assert {"influence", "stability", "contrast"} <= card.absent.keys()
    assert "neuron_tokens.delta_loss" in card.absent["influence"]
    assert card.tables["partners"]["partner"].to_list()[:2] == [11, 7]


def test_a_neuron_between_the_first_and_the_last_that_is_not_there(folder, tmp_path):
    pairs = pl.read_parquet(folder / "neuron_tokens.parquet").filter(pl.col("neuron") != 4)
    for each in ("tokens", "vocabulary", "documents", "windows"):
        (tmp_path / f"{each}.parquet").write_bytes((folder / f"{each}.parquet").read_bytes())
    pairs.write_parquet(tmp_path / "neuron_tokens.parquet")
    import_folder(tmp_path, tmp_path / "lake", "planted", "simulated", "counts", say=lambda line: None)
    con = connect(tmp_path / "lake")
    of = measured(con, frame(con, "from runs")["run"][0])
    with pytest.raises(QueryError, match="no neuron 4"):
        cards(Session(con), of, [find_neuron(of, "4")])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sql")), ids=lambda path: path.stem)
def test_every_statement_tells_its_grain_and_keeps_it(path, con, of):
    sql = path.read_text()
    grain = re.search(r"-- Grain: one row(?: per \((.*)\))?\.", sql)
    assert grain is not None
    known = {**vars(WHOLE), "run": of.run, "neurons": [3, 4], "layer": of.layer}
    rows = frame(con, sql, {name: value for name, value in known.items() if f"${name}" in sql})
    assert rows.height > 0
    if grain[1] is None:
        assert rows.height == 1
    else:
        assert not rows.select(grain[1].split(", ")).is_duplicated().any()
