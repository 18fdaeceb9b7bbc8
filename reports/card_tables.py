"""The tables of a neuron's card: contexts, promoted tokens, partners; and how a card writes tokens and intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from queries.cards import Card
from queries.stats.words import counted
from reports.markdown import MISSING, bounded, cell, escape, rows, significant

REGIMES = {"plateau": "plateau", "power_law": "power law", "decay": "decay"}
SPACE = "\u2423"  # an open box: a space that would not be seen


def contexts(card: Card, chosen_by: str) -> str:
    """The positions with the largest activation or delta, as a concordance: text before, token, next, after."""
    found = [row for row in records(card, "contexts") if row["chosen_by"] == chosen_by]
    if not found:
        return f"Not known: no {'activations' if chosen_by == 'activation' else 'changes of the loss'} in this run."
    header = ["Activation", "delta", "Before", "Token", "Next", "After", "Document"]
    body = [
        [
            *(significant(row[name]) for name in ("activation", "delta_loss")),
            *(_text(row["before"]), _marked(row["token"]), escape(shown(row["target"])), _text(row["after"])),
            escape(row["name"] or str(row["document"])),
        ]
        for row in found
    ]
    note = "" if any(row["before"] for row in found) else "\n\nThe text around is not known: the run has no windows."
    return rows(header, body, [True, True, True, *[False] * 4]) + note


def logits(card: Card) -> str:
    """The tokens that the neuron promotes and suppresses, side by side."""
    found = records(card, "logits")
    if not found:
        return absent(card, "logits")
    ends = [[row for row in found if row["direction"] == each] for each in ("promoted", "suppressed")]
    body = [
        [str(place), *(text for row in pair for text in (escape(shown(row["token"])), significant(row["effect"])))]
        for place, pair in enumerate(zip(*ends, strict=True), start=1)
    ]
    return rows(["#", "Promoted", "Effect", "Suppressed", "Effect"], body, [True, False, True, False, True])


def listed(card: Card, direction: str, n: int) -> str:
    """The first `n` tokens that the neuron promotes, or suppresses, one after another."""
    found = [row for row in records(card, "logits") if row["direction"] == direction]
    return ", ".join(escape(shown(row["token"])) for row in found[:n])


def partners(card: Card) -> str:
    """The neurons with the largest correlations."""
    found = records(card, "partners")
    if not found:
        return absent(card, "partners")
    body = [
        [card.of.name(row["partner"]), significant(row["r"]), cell(REGIMES.get(row["regime"] or "")),
         cell(row["influence_rank"])]
        for row in found
    ]  # fmt: skip
    table = rows(["Neuron", "r", "Regime (rare)", "Rank (rare)"], body, [False, True, False, True])
    return f"{table}\n\nOver {counted(found[0]['n'], 'position')}."


def shown(token: str | None) -> str:
    """A token with its spaces visible.

    >>> shown(" sea") == chr(0x2423) + "sea"
    True
    """
    return MISSING if token is None else token.replace(" ", SPACE)


def between(row: Mapping[str, Any], name: str = "estimate", low: str = "low", high: str = "high") -> str:
    """`estimate [low, high]`, which a line does not break; without brackets where there is no interval."""
    if not row or not known(row[low]):
        return significant(row[name]) if row else MISSING
    return f"{significant(row[name])}\u00a0[{significant(row[low])},\u00a0{significant(row[high])}]"


def q_value(card: Card, part: str, q: float) -> str:
    """A corrected p of an analysis: `<= 0.001` where it is the smallest that the draws allow."""
    return bounded(q, card.p_floors(part))


def rank(row: Mapping[str, Any]) -> str:
    """The rank with its interval."""
    if row["rank"] is None or row["rank_low"] is None:
        return cell(row["rank"])
    return f"{row['rank']:,}\u00a0[{row['rank_low']:,},\u00a0{row['rank_high']:,}]"


def _marked(token: str | None) -> str:
    return MISSING if token is None else f"**{escape(shown(token))}**"


def _text(text: str | None) -> str:
    return escape(text or "")


def percent(share: float) -> str:
    """A share as `24 %` or `99.9 %`."""
    return f"{100 * share:.3g} %" if known(share) else MISSING


def known(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and not math.isnan(value)


def records(card: Card, part: str) -> Sequence[dict[str, Any]]:
    """The rows of a part; none where it is absent."""
    return card.tables[part].to_dicts() if part in card.tables else []


def absent(card: Card, part: str) -> str:
    """Why a part has nothing, as a sentence."""
    reason = card.absent[part]
    return f"{reason[:1].upper()}{reason[1:]}."
