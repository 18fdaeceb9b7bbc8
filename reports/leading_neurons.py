"""The section of a report about the neurons that lead the plateau: a line for each, and a short card that opens."""

from collections.abc import Collection, Mapping, Sequence

from queries import Session
from queries.cards import GLANCE, NEEDED, Card, cards, leaders, measured
from queries.stats.words import counted
from reports.card_tables import between, contexts, listed, logits, partners, percent, q_value, rank
from reports.markdown import MISSING, cell, details, escape, rows
from reports.neuron_card import lead

TITLE = "The plateau's leading neurons"
_CONTEXTS = {"activation": "Where it is most active:", "delta_loss": "Where ablating it changes the loss most:"}
_READ = (
    "The neurons of the plateau with the most influence on rare tokens, for those who look before they count: nothing "
    "is tested here, and extremes are not what is typical. Brackets hold 95 % intervals over documents; *in plateau*: "
    "the share of resamples of the documents in which the neuron is; *core*: it is in at least 80 % of them; "
    "*rare / common*: ln of the ratio of its influences, over the network's."
)


def can_tell(tables: Collection[str]) -> bool:
    """Whether a report with the tables of these analyses can have the section."""
    return set(NEEDED) <= set(tables)


def leading_neurons(session: Session, names: Mapping[str, str], n: int = 10) -> str:
    """The section, for each of the runs `names` (run -> what people call it)."""
    parts = [f"## {TITLE}", _READ]
    for run, name in names.items():
        of = measured(session.con, run)
        chosen = leaders(session, run, n)
        found = cards(session, of, chosen, GLANCE) if chosen else []
        parts += [f"### {escape(name)}"] if len(names) > 1 else []
        parts += _run_parts(found) if found else ["No neuron is in a plateau: the section on its stability says why."]
    return "\n\n".join(parts)


def _run_parts(found: Sequence[Card]) -> list[str]:
    """The table of the neurons of one run, then their cards."""
    header = ["Neuron", "Rank", "Influence, nats", "In plateau", "Core", "Sign", "Rare / common", "Promotes"]
    more = f"`rt neuron {found[0].name}` tells all that is known of a neuron, also of one that is not among these."
    return [rows(header, [_line(card) for card in found], [False] * len(header)), more, *map(_short_card, found)]


def _line(card: Card) -> list[str]:
    """One row of the table."""
    influence, stable = (card.row(part, token_class="rare") for part in ("influence", "stability"))
    sign = f"{cell(influence['sign_group'])}, q {q_value(card, 'influence', influence['q'])}"
    place = [rank(influence), between(influence), between(stable), cell(stable["is_core"]), sign]
    promoted = listed(card, "promoted", 4) if "logits" in card.tables else MISSING
    return [card.name, *place, between(card.row("contrast", contrast="relative")), promoted]


def _short_card(card: Card) -> str:
    """A card of a few rows that opens on a click."""
    parts = [lead(card)]
    for chosen_by, title in _CONTEXTS.items():
        parts += [title, contexts(card, chosen_by)]
    parts += ["Tokens that it promotes and suppresses:", logits(card)]
    parts += ["Neurons whose activation goes with its own:", partners(card)]
    share = percent(card.row("stability", token_class="rare")["estimate"])
    n_documents = counted(card.row("influence", token_class="rare")["n_documents"], "document")
    return details(f"{card.name}: in the plateau in {share} of the resamples of {n_documents}", "\n\n".join(parts))
