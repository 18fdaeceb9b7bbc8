"""One neuron as a page of Markdown: what `queries.cards` knows of it, in words and tables."""

from collections.abc import Mapping
from typing import Any

from queries.cards import Card
from queries.stats.verdict import LEVEL
from queries.stats.words import counted
from reports.card_tables import (
    REGIMES,
    SPACE,
    absent,
    between,
    contexts,
    known,
    logits,
    partners,
    percent,
    q_value,
    rank,
    records,
    shown,
)
from reports.markdown import cell, code, escape, rows, significant

CLASSES = ("rare", "common", "all")
_FACTS = {
    "mean_activation": "Mean activation: what ablation sets it to",
    "sd_activation": "Standard deviation of the activation",
    "in_norm": "Length of its row of W_in (`up` where gated)",
    "gate_norm": "Length of its row of the gate",
    "out_norm": "Length of its row of W_out",
    "logit_variance": "Variance of the cosine of that row with the unembedding, over tokens",
    "null_space_share": "Share of that row in directions that the unembedding hardly reads",
}
_PATHS = {"norm_share": "Through the final norm", "frequency_share": "Along the token frequencies"}
_CONTEXTS = {
    "activation": "Where it is most active",
    "delta_loss": "Where ablating it changes the loss most",
}
_SIGN = {
    "boost": "without it the loss is higher: it boosts the right token",
    "suppress": "without it the loss is lower: it suppresses the right token",
    "none": "its effects cancel",
}
_READ = (
    "A card describes one neuron; it tests nothing. Its numbers are rows of the analyses, where their nulls and "
    "caveats are. Brackets hold 95 % intervals over documents. *delta*: the loss of the next token with the neuron set "
    "to its mean, minus the loss, in nats; positive: the neuron helps. *Influence*: the mean of |delta| over the "
    "positions of a class. Contexts are those with the largest size of activation or delta, of all positions, so they "
    "show extremes, not what is typical. In a context, *token* is what the model has just read and *next* what it has "
    f"to predict; {SPACE} is a space of a token. A correlation is the largest of many: some of it is luck. A token is "
    "promoted by a positive activation; its effect is what one unit of activation adds to its logit, over the mean "
    "token's, at scale 1 of the final norm. Mean and deviation of the activation and the pass over layers are of all "
    "positions of the run, whatever `--where` chose."
)
_GATED = " The MLP is gated: a neuron's sign is arbitrary, and activations of both signs occur."


def page(card: Card, label: str, asked: str, command: str = "") -> str:
    """The whole card; `label` is what people call its run, `asked` the list of what the command line chose."""
    parts = [f"# Neuron {card.name} of {escape(label)}", lead(card)]
    parts += ["## Influence", *_influence(card)]
    for chosen_by, title in _CONTEXTS.items():
        parts += [f"## {title}", contexts(card, chosen_by)]
    parts += ["## Tokens that it promotes and suppresses", logits(card)]
    parts += ["## Neurons whose activation goes with its own", partners(card)]
    parts += ["## How it acts", _path(card), _facts(card)]
    parts += ["## In the pass over layers", _layer(card)]
    parts += ["## How to read it", _READ + (_GATED if card.of.is_gated else "")]
    parts += ["What this card was asked for:", asked, *([f"Command: {code(command)}"] if command else [])]
    return "\n\n".join(parts) + "\n"


def lead(card: Card) -> str:
    """The neuron in a few sentences: its rank, regime and stability on rare tokens, and its sign."""
    found, stable = card.row("influence", token_class="rare"), card.row("stability", token_class="rare")
    if not found:
        return f"What it does to the loss is not known: {card.absent['influence']}."
    if not found["n"]:
        return "No position has a rare token: what it does there is not known."
    where = "" if card.of.layer is None else f" of layer {card.of.layer}"
    said = [
        f"Of {counted(card.of.n_neurons, 'neuron')}{where} it has rank {rank(found)} by influence on rare tokens, "
        f"{between(found)} nats ({counted(found['n'], 'position')} of {counted(found['n_documents'], 'document')})."
    ]
    if found["reason"]:
        said.append(f"There are no intervals: {escape(found['reason'])}.")
    if stable:
        said.append(_place(stable))
    if found["sign_group"]:
        said.append(f"On average over rare tokens, {_SIGN[found['sign_group']]}{_beyond(card, found['q'])}.")
    return " ".join(said)


def _beyond(card: Card, q: float) -> str:
    """Whether a sign is more than chance."""
    if not known(q):
        return "; whether that is beyond chance is not known"
    return f"{'' if q < LEVEL else ', which is not beyond chance'} (q {q_value(card, 'influence', q)})"


def _place(stable: Mapping[str, Any]) -> str:
    """The regime of a neuron and how stable its place is."""
    if not stable["regime"]:
        return f"It is in no regime: {escape(stable['reason'])}."
    said = f"It lies in the {REGIMES[stable['regime']]}. "
    said += f"In {percent(stable['estimate'])} of the resamples of documents it is in the plateau"
    return f"{said}: one of the stable core." if stable["is_core"] else f"{said}."


def _influence(card: Card) -> list[str]:
    """The tables of influence by class and of rare against common tokens, and the group in the spectra."""
    header = ["Tokens", "Influence", "Rank", "Mean delta", "q", "Sign", "Regime", "In plateau", "Core", "Positions"]
    body = []
    for token_class in CLASSES:
        found = card.row("influence", token_class=token_class)
        stable = card.row("stability", token_class=token_class)
        if found:
            q_text = q_value(card, "influence", found["q"])
            signed = between(found, "mean_delta", "mean_delta_low", "mean_delta_high")
            own = [token_class, between(found), rank(found), signed, q_text, cell(found["sign_group"])]
            place = [cell(REGIMES.get(stable.get("regime") or "")), between(stable), cell(stable.get("is_core"))]
            body.append([*own, *place, cell(found["n"])])
    parts = [rows(header, body, [False] * len(header))] if body else [absent(card, "influence")]
    parts.append(_contrast(card))
    if card.spectra_group:
        parts.append(f"In the spectra of weights it belongs to the group `{card.spectra_group}`.")
    else:
        why = "the run has no weights" if not card.of.has_weights else "it has no regime, or is not of the stable core"
        parts.append(f"In the spectra of weights it belongs to no group: {why}.")
    return parts


def _contrast(card: Card) -> str:
    """Rare against common tokens, in a sentence for each of the two ways to compare."""
    plain, own = card.row("contrast", contrast="difference"), card.row("contrast", contrast="relative")
    if not plain:
        return f"Rare against common tokens: {card.absent['contrast']}."
    said = f"Rare minus common: {between(plain)} nats (q {q_value(card, 'contrast', plain['q'])}). "
    said += f"ln(rare / common), over the network's: {between(own)} (q {q_value(card, 'contrast', own['q'])})."
    reason = plain["reason"] or own["reason"]
    return said + (f" {escape(reason[:1].upper() + reason[1:])}." if reason else "")


def _path(card: Card) -> str:
    """Which part of the effect goes through the norm, and along the frequencies."""
    if "path" not in card.tables:
        return f"Which part of its effect goes through the final norm: {card.absent['path']}."
    body = [
        [words, token_class, between(row), cell(row["mainly"])]
        for measure, words in _PATHS.items()
        for token_class in CLASSES
        if (row := card.row("path", measure=measure, token_class=token_class))
    ]
    return rows(["Share of its effect", "Tokens", "Share", "Mainly"], body, [False] * 4)


def _facts(card: Card) -> str:
    """Moments and weights, with the rank among all neurons."""
    if "facts" not in card.tables:
        return f"Weights: {card.absent['facts']}."
    found = {row["quantity"]: row for row in records(card, "facts")}
    body = [
        [words, significant(found[name]["amount"]), cell(found[name]["rank"])]
        for name, words in _FACTS.items()
        if name in found
    ]
    return rows(["", "Value", f"Rank of {card.of.n_neurons:,}"], body, [False, True, True])


def _layer(card: Card) -> str:
    """What the pass over layers adds."""
    found = card.row("layer")
    if not found:
        return absent(card, "layer")
    low, high = found["types_low"], found["types_high"]
    types = cell(low) if low == high else f"{low:,} to {high:,}"
    said = (
        f"Kurtosis {significant(found['kurtosis'])} (3: like a normal law); {types} of "
        f"{counted(found['n_types'], 'token type')} hold 90 % of its activation mass "
        f"({counted(found['n_positions'], 'position')})."
    )
    if not found["types"]:
        return said
    pairs = zip(found["types"], found["shares"], strict=True)
    listed = ", ".join(f"{escape(shown(token))} ({percent(share)})" for token, share in pairs)
    return f"{said} Most of it is at: {listed}."
