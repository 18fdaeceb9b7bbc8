"""A card as a page, and the section of a report about the leading neurons."""

import re

import pytest

import reports.report
from extract.importer import import_folder
from queries import Session
from queries.cards import GLANCE, NEEDED, cards, measured
from reports.card_tables import between, contexts, logits, shown
from reports.leading_neurons import TITLE, can_tell, leading_neurons
from reports.neuron_card import lead, page
from reports.page import render
from reports.report import write_report
from tests.lake import make_lake, planted_influence, write_folder
from tests.texts import add_texts
from warehouse.connection import connect, frame

# what Markdown and a table could take for something else
WORDS = {0: "|", 1: "**", 2: "\n\n", 3: " ", 4: " sea", 5: None, 6: "<b>", 7: "`", 8: "_x_", 9: "ing"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = write_folder(
        tmp_path_factory.mktemp("card") / "source",
        planted_influence(200, n_plateau=8, elbow=80),
        documents=12, positions=20, d_model=8, losses=True,
    )  # fmt: skip
    import_folder(
        add_texts(folder, WORDS, 12), folder.parent / "lake", "pl*nted", "texts", "counts", say=lambda line: None
    )
    return folder.parent / "lake"


@pytest.fixture(scope="module")
def session(lake):
    return Session(connect(lake))


@pytest.fixture(scope="module")
def card(session):
    of = measured(session.con, frame(session.con, "from runs")["run"][0])
    return cards(session, of, [0])[0]


def test_every_part_is_on_the_page(card):
    text = page(card, "pl*nted", "- Seed: 0", "rt neuron 0")
    for part in (
        "# Neuron L0N0 of pl\\*nted\n",
        "Of 200 neurons of layer 0 it has rank 6\u00a0[2,\u00a08]",
        "It lies in the plateau. In 100 % of the resamples",
        "## Influence",
        "| rare ", "| common ", "| all ",
        "Rare minus common: ",
        "In the spectra of weights it belongs to the group `plateau`.",
        "## Where it is most active",
        "## Where ablating it changes the loss most",
        "## Tokens that it promotes and suppresses",
        "## Neurons whose activation goes with its own",
        "Over 240 positions.",
        "Which part of its effect goes through the final norm: no values in",
        "No pass over layers has read this layer",
        "- Seed: 0",
        "Command: `rt neuron 0`",
    ):  # fmt: skip
        assert part in text, part


def test_tokens_cannot_break_a_table(card, tmp_path):
    for table in (contexts(card, "activation"), contexts(card, "delta_loss"), logits(card)):
        lines = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    first = logits(card).splitlines()[2:]
    assert [re.split(r" *(?<!\\)\| *", line)[2] for line in first[:10]] == [
        "\\|", "\\*\\*", "\\\\n\\\\n", "\u2423", "\u2423sea", "\\[id:5\\]", "\\<b\\>", "\\`", "\\_x\\_", "ing"
    ]  # fmt: skip
    html = render(page(card, "planted", "- x"), tmp_path)
    assert "&lt;b&gt;" in html
    assert html.count("<table>") == 6


def test_the_marked_token_is_bold_whatever_it_is(session, card, tmp_path):
    html = render(contexts(card, "delta_loss"), tmp_path)
    assert len(re.findall(r"<td><strong>[^<]+</strong></td>", html)) == 10
    assert shown(" a b") == "\u2423a\u2423b"


def test_an_interval_that_is_not_there_has_no_brackets():
    assert between({"estimate": 1.5, "low": float("nan"), "high": float("nan")}) == "1.50"
    assert between({"estimate": 1.5, "low": 1.25, "high": 2.0}) == "1.50\u00a0[1.25,\u00a02]"


def test_words_where_little_is_known(tmp_path):
    lake = make_lake(tmp_path, planted_influence(12, elbow=6), documents=1, positions=8, activation=False)
    con = connect(lake)
    (card,) = cards(Session(con), measured(con, frame(con, "from runs")["run"][0]), [2])
    said = lead(card)
    assert said.startswith("Of 12 neurons it has rank ")
    assert "There are no intervals: " in said
    assert "It is in no regime: " in said
    assert "whether that is beyond chance is not known" in said
    text = page(card, "planted", "- x")
    assert "The text around is not known" in text
    assert "Not known: no activations in this run." in text
    assert "nan" not in text


def test_no_rare_position(lake):
    con = connect(lake, where="target_id < 20")
    (card,) = cards(Session(con), measured(con, frame(con, "from runs")["run"][0]), [2])
    assert lead(card) == "No position has a rare token: what it does there is not known."
    assert "nan" not in page(card, "planted", "- x")


def test_the_section_of_a_report(lake, tmp_path):
    made = write_report(connect(lake), tmp_path / "report.md", only=NEEDED, html=True)
    assert made.failed == ()
    text = made.path.read_text()
    section = text[text.index(f"## {TITLE}") :]
    names = re.findall(r"<summary>(L0N\d+): in the plateau in [\d.]+ % of the resamples of 12 documents", section)
    assert 1 < len(names) == len(re.findall(r"^\| L0N\d+ .* (?:boost|suppress), q", section, re.MULTILINE)) <= 10
    assert section.count("Where ablating it changes the loss most:") == len(names)
    assert f"`rt neuron {names[0]}` tells all" in section
    assert text.rindex("\n## ") == text.index(f"## {TITLE}") - 1


def test_a_section_per_run_and_none_without_a_plateau(lake, session, tmp_path):
    run = frame(session.con, "from runs")["run"][0]
    assert "### " not in leading_neurons(session, {run: "one"}, 1)
    small = Session(connect(make_lake(tmp_path, planted_influence(12, elbow=6), documents=6, positions=8)))
    run = frame(small.con, "from runs")["run"][0]
    text = leading_neurons(small, {run: "one_"})
    assert text.endswith("No neuron is in a plateau: the section on its stability says why.")
    assert "### b\\*" in leading_neurons(small, {run: "b*", "r-0000000000": "c"})


def test_the_section_needs_its_tables(lake, tmp_path):
    assert not can_tell(NEEDED[:1])
    text = write_report(connect(lake), tmp_path / "report.md", only=["influence"]).path.read_text()
    assert TITLE not in text


def test_a_section_that_fails_takes_nothing_with_it(lake, tmp_path, monkeypatch):
    def fail(session, names):
        raise RuntimeError("no luck")

    monkeypatch.setattr(reports.report, "leading_neurons", fail)
    made = write_report(connect(lake), tmp_path / "report.md", only=NEEDED)
    assert made.failed == (TITLE,)
    text = made.path.read_text()
    assert "RuntimeError: no luck" in text[text.index(f"## {TITLE}") :]
    assert "## Influence" in text
    with pytest.raises(RuntimeError):
        write_report(connect(lake), tmp_path / "strict.md", only=NEEDED, strict=True)


def test_a_short_card_has_fewer_rows(session, card):
    (short,) = cards(session, card.of, [0], GLANCE)
    assert short.tables["contexts"].height == 6
    assert short.tables["influence"].equals(card.tables["influence"], null_equal=True)
