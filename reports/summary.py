"""The first page: what each claim of the literature comes to in these runs, a line each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from queries import Analysis, Claim
from reports.markdown import MISSING, anchor, bounded, cell, escape, rows, significant
from reports.sections import Outcome

_VERDICTS = {"supported": "**supported**", "contradicted": "**contradicted**", "undecidable": "not decidable"}
_READ = (
    "Where a claim is about positions, these are the rare tokens; the sections have the common ones. *Supported* "
    "needs an interval and a null model that agree, *contradicted* an interval that excludes what is claimed, or a "
    "null model that explains it where an effect would have been seen; *not decidable* (`undecidable` in the tables) "
    "means that these data allow either, and the section says what is missing. A dash in place of a verdict: the "
    "number is the answer. *About N documents*: with so many, the interval would exclude the null if the estimate "
    "stayed as it is; without it, something other than documents is missing, and the section says what. Brackets hold "
    "95 % intervals; *null* is the mean of the closest null model, whose kinds each section names; *q* is the p-value "
    "corrected for the number of tests."
)
MIN_DOCUMENTS = 10  # that a verdict needs
_FAR = 100  # times as many documents: a guess from so far off is not a number


def _link(outcome: Outcome) -> str:
    """The name of the reference that links to the section."""
    return outcome.slug.replace("_", "-")


def _measured(found: Mapping[str, Any]) -> str:
    """`estimate [low, high]`, which a line does not break."""
    if not _is_known(found["low"]):
        return significant(found["estimate"])
    return f"{significant(found['estimate'])}\u00a0[{significant(found['low'])},\u00a0{significant(found['high'])}]"


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def documents_needed(found: Mapping[str, Any], now: int) -> int | None:
    """Documents at which the interval would exclude the null, its width falling with the root of their number.

    None where it excludes the null already, or the estimate is at the null: then documents are not what is missing.

    >>> documents_needed({"estimate": 0.2, "low": -0.2, "high": 0.6, "null": 0.0}, 10)
    40
    """
    near = found["low"] if found["estimate"] > found["null"] else found["high"]
    away = abs(found["estimate"] - found["null"])
    if not all(_is_known(value) for value in (near, away)) or away == 0:
        return None
    ratio = abs(found["estimate"] - near) / away
    return math.ceil(now * ratio**2 - 1e-9) if ratio > 1 else None


def _verdict(found: Mapping[str, Any], by_documents: bool) -> str:
    """In words; where documents are what is missing, how many would do."""
    words = _VERDICTS.get(found["verdict"] or "", MISSING)
    if found["verdict"] != "undecidable" or not by_documents or not found.get("n"):
        return words
    if found["n"] < MIN_DOCUMENTS:
        return f"{words}; at least {MIN_DOCUMENTS} documents"
    needed = documents_needed(found, found["n"])
    if needed is None:
        return words
    often = needed / found["n"]
    about = f"about {float(f'{needed:.2g}'):,.0f}" if often < _FAR else f"over {_FAR} times as many"
    return f"{words}; {about} documents"


def _in_one_cell(found: Mapping[str, Any] | None, floors: Sequence[float], by_documents: bool) -> str:
    """What one of several runs says: verdict, number, null and q."""
    if found is None:
        return MISSING
    numbers = {"null": significant(found["null"]), "q": bounded(found["q"], floors)}
    extra = [f"{name} {text}" for name, text in numbers.items() if text != MISSING]
    return "; ".join([_verdict(found, by_documents), _measured(found), *extra])


def _findings(analysis: Analysis, outcome: Outcome) -> list[tuple[Claim, dict[str, dict[str, Any]]]]:
    """Each claim with what each run says of it."""
    if outcome.table is None or outcome.table.is_empty() or outcome.error:
        return []
    found = ((claim, claim.findings(outcome.table)) for claim in analysis.claims)
    return [(claim, {row["run"]: row for row in table.iter_rows(named=True)}) for claim, table in found]


def claims(outcomes: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """The table of claims: a line per claim, its verdict and numbers, side by side where there are several runs."""
    body, used, reasons = [], [], []
    runs = list(names)
    for outcome in outcomes:
        floors = outcome.analysis.p_floors if outcome.analysis else ()
        by_documents = outcome.analysis is not None and outcome.analysis.resampled == "documents"
        for claim, of_run in _findings(outcome.analysis, outcome) if outcome.analysis else []:
            if not of_run:
                continue
            used.append(outcome)
            for run, found in of_run.items():
                if found["verdict"] and found["reason"]:
                    named = f" ({escape(names.get(run, run))})" if len(runs) > 1 else ""
                    reasons.append(f"- *{escape(claim.statement)}*{named}: {escape(found['reason'])}.")
            statement = f"[{escape(claim.statement)}][{_link(outcome)}]"
            if len(runs) == 1:
                found = of_run.get(runs[0], {"verdict": "", **dict.fromkeys(("estimate", "low", "null", "q"))})
                line = [
                    _verdict(found, by_documents),
                    statement,
                    _measured(found),
                    cell(found["null"]),
                    bounded(found["q"], floors),
                ]
            else:
                line = [statement, *(_in_one_cell(of_run.get(run), floors, by_documents) for run in runs)]
            body.append([*line, escape(claim.measure), escape(claim.source)])
    if not body:
        return ""
    one = ["Verdict", "Claim", "Estimate", "Null", "q"]
    header = [*(one if len(runs) == 1 else ["Claim", *map(escape, names.values())]), "What is measured", "Claimed in"]
    why = ["What the verdicts rest on:", "\n".join(reasons)] if reasons else []
    return "\n\n".join([rows(header, body, [name in ("Null", "q") for name in header]), _READ, *why])


def others(outcomes: Sequence[Outcome]) -> str:
    """Questions that the table of claims does not answer, each with why or with its answer; empty if there are none."""
    bullets = []
    for outcome in outcomes:
        if outcome.error:
            said = "failed; see its section."
        elif outcome.table is None or outcome.table.is_empty():
            said = "no answer; see its section."
        elif outcome.analysis is None or not outcome.analysis.claims:
            said = "see its section."
        else:
            continue
        bullets.append(f"- [{escape(outcome.title)}][{_link(outcome)}]: {said}")
    return "\n".join(bullets)


def references(outcomes: Sequence[Outcome]) -> str:
    """Where the links of this page lead: kept out of the table, which stays narrow enough to read as plain text."""
    return "\n".join(f"[{_link(outcome)}]: #{anchor(outcome.title)}" for outcome in outcomes)


def summary(outcomes: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """The summary: the table of claims, what it leaves open, and the targets of its links."""
    return "\n\n".join(part for part in (claims(outcomes, names), others(outcomes), references(outcomes)) if part)
