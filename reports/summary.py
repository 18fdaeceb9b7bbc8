"""The first page: what each claim of the literature comes to in these runs, a line each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from queries import Analysis, Claim
from reports.lacking import Lack, lacking
from reports.markdown import MISSING, anchor, bounded, cell, escape, rows, significant
from reports.sections import Outcome, elsewhere

_VERDICTS = {"supported": "**supported**", "contradicted": "**contradicted**", "undecidable": "not decidable"}
_READ = (
    "Where a claim is about positions, these are the rare tokens; the sections have the common ones. *Supported*, of "
    "an effect: every condition of its section is met, be it a null model that does not explain it, an interval beyond "
    "what it is held against, or both; of an absence (such as no clusters): a null model explains the data, and an "
    "effect that matters would have been seen. *Contradicted*: an interval excludes what is claimed, or a null model "
    "explains it where an effect would have been seen. *Not decidable* (`undecidable` in the tables): these data allow "
    "either; beside it stands what is missing. A dash in place of a verdict: the number is the answer. *About N "
    "documents*: with so many, the interval would exclude the null if the estimate stayed as it is. *Power*: how often "
    "an effect that matters would be seen, measured by planting it here; below 80 %, not seeing it says nothing. "
    "Brackets hold 95 % intervals; *null* is the mean of the closest null model, whose kinds each section names; *q* "
    "is the p-value corrected for the number of tests."
)


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


def _lack(found: Mapping[str, Any], analysis: Analysis, claim: Claim) -> Lack | None:
    """What is missing where the verdict is `undecidable`."""
    if found["verdict"] != "undecidable":
        return None
    return lacking(
        found,
        by_documents="documents" in analysis.resampled and not claim.is_of_weights,
        counts_documents=analysis.counts == "documents",
    )


def _verdict(found: Mapping[str, Any]) -> str:
    """In words, with what is missing."""
    words = _VERDICTS.get(found["verdict"] or "", MISSING)
    return f"{words}; {found['lack'].brief}" if found["lack"] else words


def _why(found: Mapping[str, Any]) -> str:
    """What the verdict rests on, then what is missing: a sentence each; empty where neither is known."""
    lack = found["lack"].words if found["lack"] else ""
    return " ".join(
        f"{escape(text)}."
        for text in (found["reason"] or "", f"{lack[:1].upper()}{lack[1:]}")
        if found["verdict"] and text
    )


def _in_one_cell(found: Mapping[str, Any] | None, floors: Sequence[float]) -> str:
    """What one of several runs says: verdict, number, null and q."""
    if found is None:
        return MISSING
    numbers = {"null": significant(found["null"]), "q": bounded(found["q"], floors)}
    extra = [f"{name} {text}" for name, text in numbers.items() if text != MISSING]
    return "; ".join([_verdict(found), _measured(found), *extra])


def _findings(analysis: Analysis | None, outcome: Outcome) -> list[tuple[Claim, dict[str, dict[str, Any]]]]:
    """Each claim with what each run says of it, and what the run lacks where it says nothing."""
    if analysis is None or outcome.table is None or outcome.table.is_empty() or outcome.error:
        return []
    found = []
    for claim in analysis.claims:
        rows_of = claim.findings(outcome.table).iter_rows(named=True)
        found.append((claim, {row["run"]: {**row, "lack": _lack(row, analysis, claim)} for row in rows_of}))
    return found


def claims(outcomes: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """The table of claims: a line per claim, its verdict and numbers, side by side where there are several runs."""
    body, reasons = [], []
    runs = list(names)
    for outcome in outcomes:
        floors = outcome.analysis.p_floors if outcome.analysis else ()
        for claim, of_run in _findings(outcome.analysis, outcome):
            if not of_run:
                continue
            reasons += _reasons(claim, of_run, names)
            statement = f"[{escape(claim.statement)}][{_link(outcome)}]"
            if len(runs) == 1:
                found = of_run.get(runs[0], dict.fromkeys(("verdict", "estimate", "low", "null", "q", "lack")))
                numbers = [_measured(found), cell(found["null"]), bounded(found["q"], floors)]
                line = [_verdict(found), statement, *numbers]
            else:
                line = [statement, *(_in_one_cell(of_run.get(run), floors) for run in runs)]
            body.append([*line, escape(claim.measure), escape(claim.source)])
    if not body:
        return ""
    one = ["Verdict", "Claim", "Estimate", "Null", "q"]
    header = [*(one if len(runs) == 1 else ["Claim", *map(escape, names.values())]), "What is measured", "Claimed in"]
    why = ["What the verdicts rest on:", "\n".join(reasons)] if reasons else []
    return "\n\n".join([rows(header, body, [name in ("Null", "q") for name in header]), _READ, *why])


def _reasons(claim: Claim, of_run: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """A bullet for each run whose verdict has a reason, or lacks something."""
    found = []
    for run, row in of_run.items():
        if why := _why(row):
            named = f" ({escape(names.get(run, run))})" if len(names) > 1 else ""
            found.append(f"- *{escape(claim.statement)}*{named}: {why}")
    return found


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


def unasked_questions(unasked: Sequence[Outcome]) -> str:
    """Questions about what the lake has not, which have no section, and what they need; empty if there are none."""
    bullets = [f"- {escape(outcome.title)} It needs {elsewhere(outcome)}." for outcome in unasked]
    return "\n\n".join(["Not asked of this lake:", "\n".join(bullets)]) if bullets else ""


def summary(outcomes: Sequence[Outcome], unasked: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """The summary: the table of claims, what it leaves open or unasked, and the targets of its links."""
    parts = (claims(outcomes, names), others(outcomes), unasked_questions(unasked), references(outcomes))
    return "\n\n".join(part for part in parts if part)
