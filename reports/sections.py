"""The Markdown of one analysis: answer, figure, table, how to read it, and the SQL that made it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from queries import Analysis, statement
from queries.needs import extraction, importable
from reports.markdown import MISSING, anchor, block, cell, code, details, escape, fill_in, rows, table

_NOTES = ("reason",)  # sentences that would make a table too wide: they go below it, numbered
_INTERVAL = ("estimate", "low", "high")
_LONG = 20  # rows: a longer table opens on a click


def title_of(analysis: Analysis) -> str:
    """The question in one line."""
    return " ".join(analysis.question.split())


@dataclass
class Outcome:
    """What became of one analysis: its table, or the error; `missing` are the needs that hold no value."""

    slug: str
    analysis: Analysis | None = None
    table: pl.DataFrame | None = None
    answer: str = ""
    shown: str = ""
    error: str = ""
    figure: bool = False
    figure_note: str = ""
    caption: str = ""
    missing: Sequence[str] = ()
    absent: Sequence[str] = field(default_factory=tuple)

    @property
    def over_steps(self) -> bool:
        """Whether it is about training steps."""
        return self.analysis is not None and self.analysis.over_steps

    @property
    def title(self) -> str:
        """The question, or the slug where the analysis could not even be loaded."""
        return title_of(self.analysis) if self.analysis else f"The analysis {self.slug}"

    @property
    def is_elsewhere(self) -> bool:
        """Whether the question is about something that the lake has not."""
        there = self.table is not None and not self.table.is_empty()
        return bool(self.analysis and self.analysis.subject and not self.error and not there)

    @property
    def chapter(self) -> str:
        """The chapter it belongs to."""
        return self.analysis.chapter if self.analysis else "Not loaded"


def elsewhere(outcome: Outcome) -> str:
    """What the question is about that the lake has not, and the command that adds it."""
    analysis = outcome.analysis
    return f"{escape(analysis.subject)} ({code(analysis.subject_from)})" if analysis else ""


def _numbered(reasons: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """A number for each row that has a reason, and the list of the different reasons."""
    known = [reason or "" for reason in reasons]
    different = list(dict.fromkeys(reason for reason in known if reason))
    marks = [str(different.index(reason) + 1) if reason else "" for reason in known]
    return marks, [f"{number}. {escape(reason)}" for number, reason in enumerate(different, start=1)]


def _with_notes(frame: pl.DataFrame, keys: Sequence[str], floors: Sequence[float]) -> str:
    """The table of one run, its reasons as numbers with the sentences below."""
    name = next((name for name in _NOTES if name in frame.columns), "")
    if not name:
        return table(frame, keys, floors)
    marks, notes = _numbered(frame[name].to_list())
    rest = frame.drop(name)
    if not notes:
        return table(rest, keys, floors)
    marked = rest.with_columns(pl.Series("note", marks, dtype=pl.String))
    return "\n\n".join([table(marked, keys, floors), "Notes:", "\n".join(notes)])


def _estimate(row: Mapping[str, Any]) -> str:
    """`estimate [low, high]` in one cell."""
    estimate, low, high = (cell(row.get(name)) for name in _INTERVAL)
    return estimate if MISSING in (low, high) else f"{estimate} [{low}, {high}]"


def _side_by_side(excerpt: pl.DataFrame, whole: pl.DataFrame, keys: Sequence[str], names: Mapping[str, str]) -> str:
    """One row per key of the excerpt of any run, one column `estimate [low, high]` per run, filled from `whole`."""
    runs = sorted(whole["run"].unique().to_list())
    # a stable sort: rows that only a later run's excerpt has go to their group, not to the end
    wanted = excerpt.select(keys).unique(maintain_order=True)
    if len(keys) > 1:
        wanted = wanted.sort(keys[:-1], maintain_order=True)
    words = [
        name for name, dtype in excerpt.schema.items() if dtype == pl.String and name not in ("run", *keys, *_NOTES)
    ]
    found = {tuple(row[name] for name in ("run", *keys)): row for row in whole.iter_rows(named=True)}
    grid = [[found.get((run, *key)) for run in runs] for key in wanted.iter_rows()]
    marks, notes = _numbered([row.get("reason") if row else None for line in grid for row in line])
    mark = iter(marks)
    body = []
    for key, line in zip(wanted.iter_rows(), grid, strict=True):
        cells = []
        for row in line:
            said = [cell(row[name]) for name in words if row and row[name] is not None]
            note = next(mark)
            parts = [_estimate(row) if row else MISSING, *said, *([f"note {note}"] if note else [])]
            cells.append("; ".join(parts))
        body.append([*(cell(value, is_id=True) for value in key), *cells])
    right = [*(wanted.schema[name].is_numeric() for name in keys), *(not words for _ in runs)]
    header = [*(escape(name) for name in keys), *(escape(names.get(run, run)) for run in runs)]
    lead = f"Cells: estimate [low, high]{''.join(f'; {escape(name)}' for name in words)}."
    return "\n\n".join([lead, rows(header, body, right), *(["Notes:", "\n".join(notes)] if notes else [])])


def _with_reasons(excerpt: pl.DataFrame, whole: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The excerpt with the reason of every row without an estimate, where it left the column out."""
    on = [name for name in keys if name in excerpt.columns]
    if "reason" in excerpt.columns or "reason" not in whole.columns or whole.select(on).is_duplicated().any():
        return excerpt
    without = whole.filter(pl.col("estimate").is_nan() | pl.col("estimate").is_null())
    return excerpt.join(without.select(*on, "reason"), on=on, how="left", maintain_order="left")


def show(analysis: Analysis, whole: pl.DataFrame, names: Mapping[str, str]) -> str:
    """The excerpt of a table as Markdown: as it is for one run, with a column per run for several."""
    excerpt = analysis.excerpt(whole)
    keys = [name for name in analysis.keys if name != "run"]
    if len(names) > 1 and "run" in whole.columns and set(keys) <= set(excerpt.columns):
        n_rows = excerpt.select(keys).n_unique()
        shown = _side_by_side(excerpt, whole, keys, names)
    else:
        n_rows = excerpt.height
        own = excerpt.drop("run") if len(names) == 1 and "run" in excerpt.columns else excerpt
        shown = _with_notes(_with_reasons(own, whole, analysis.keys), analysis.keys, analysis.p_floors)
    if n_rows > _LONG:
        shown = details(f"The table: {n_rows:,} rows", shown)
    if excerpt.height < whole.height:
        shown += f"\n\n{excerpt.height:,} of {whole.height:,} rows; all of them are in the Parquet file."
    return shown


def _meanings(analysis: Analysis, whole: pl.DataFrame) -> str:
    """What each column of the table is."""
    left_out = "left out" in analysis.resampled
    how = analysis.resampled if left_out else f"resampling {analysis.resampled}"
    unit = f"unit: {analysis.unit}" if analysis.unit else "without a unit"
    common = {
        "n": f"How many {analysis.counts} the estimate rests on.",
        "reason": "Why there is no estimate, or why the verdict is what it is.",
    }
    meaning = {**common, **analysis.meanings}
    lines = [f"- `estimate`, `low`, `high`: The estimate, {unit}, and the ends of its 95 % interval, by {how}."]
    for name in whole.columns:
        if name in _INTERVAL and name not in analysis.meanings:
            continue
        text = " ".join(meaning.get(name, "").split())
        lines.append(f"- {code(name)}: {text}" if text else f"- {code(name)}")
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sql(analysis: Analysis, parameters: Mapping[str, Any], condition: str, shown: dict[str, str]) -> str:
    """The SQL, ready to be pasted; of what a section before has word for word, `shown` knows the title."""
    same = shown.setdefault(statement(analysis.sql) + analysis.matrix, title_of(analysis))
    if same != title_of(analysis):
        return f"**SQL.** Made from the same rows as [{escape(same)}](#{anchor(same)}), where the SQL is."
    lead = (
        "Pasted into the DuckDB shell that `rt sql` opens on the lake, this gives the rows from which the table above "
        f"is estimated{', for every run of the lake' if not condition else ''}."
    )
    if analysis.matrix:
        lead += " The values of all neurons at these positions are read beside, as by the last statement."
    if analysis.uses:
        lead += " It reads a table of this report: start the shell in the report's folder, with `--lake` or `RT_LAKE`."
    first = [f"create or replace temp view {slug} as from '{slug}.parquet';" for slug in analysis.uses]
    if condition:
        # views and macros of the lake then see these positions only
        first.insert(0, f"create or replace temp view tokens as select * from warehouse.main.tokens where {condition};")
    view, _, column = analysis.matrix.partition(".")
    last = [f"select run, token_index, neuron, {column} from {view};"] if view else []
    statements = "\n".join([*first, fill_in(analysis.sql, parameters), *last])
    return details("The SQL that made it", f"{lead}\n\n{block(statements, 'sql')}")


def _figure(outcome: Outcome) -> list[str]:
    """The figure with its caption, and the file of the table; a click on the figure opens it as SVG."""
    slug = outcome.slug
    file = f"The whole table, not rounded: [{slug}.parquet]({slug}.parquet)"
    if not outcome.figure:
        return [*([f"*{outcome.figure_note}*"] if outcome.figure_note else []), file]
    alternative = outcome.caption.partition(". ")[0].rstrip(".") or outcome.title
    caption = [f"**Figure.** {outcome.caption}"] if outcome.caption else []
    return [f"[![{escape(alternative)}]({slug}.png)]({slug}.svg)", *caption, file]


def _nothing(outcome: Outcome) -> str:
    if outcome.is_elsewhere:
        return f"**Nothing to compare.** This question needs {elsewhere(outcome)}."
    if not outcome.missing:
        return (
            "**No rows.** What this question needs was extracted, but no position of the chosen runs is left for it "
            "to count: every one was filtered out or belongs to no token class."
        )
    columns = ", ".join(map(code, outcome.missing))
    return (
        f"**Not extracted.** This question needs {columns}, and the lake holds no value of it. "
        f"Run `{extraction(outcome.missing)}` to measure a model"
        f"{', or bring these columns in with `rt import`' if importable(outcome.missing) else ''}."
    )


def _result(outcome: Outcome) -> list[str]:
    """The part that depends on how it went."""
    if outcome.error:
        return ["**This analysis failed; the rest of the report does not depend on it.**", block(outcome.error, "text")]
    if outcome.table is None or outcome.table.is_empty():
        return [_nothing(outcome)]
    absent = f"No rows for: {', '.join(map(escape, outcome.absent))}." if outcome.absent else ""
    return [*([absent] if absent else []), outcome.answer, *_figure(outcome), outcome.shown]


def named(answer: str, names: Mapping[str, str]) -> str:
    """An answer with the runs called by their names; of a single run nothing is said, it is on top of the page."""
    for run, name in names.items():
        if len(names) > 1:
            answer = answer.replace(code(run), escape(name))
        else:
            answer = re.sub(rf"{code(run)}[,:] (\w)", lambda match: match.group(1).upper(), answer)
    return answer


def section(
    outcome: Outcome, parameters: Mapping[str, Any], condition: str = "", shown: dict[str, str] | None = None
) -> str:
    """The section of one analysis, heading included; `condition` on `tokens` is what chose the positions.

    `shown`, SQL -> title, is what the sections before have; the SQL of this one is added.
    """
    parts = [f"### {outcome.title}", *_result(outcome)]
    analysis = outcome.analysis
    if analysis is not None:
        if analysis.explanation:
            parts += ["#### How to read it", analysis.explanation]
        if outcome.table is not None and not outcome.table.is_empty():
            parts.append(details("What the columns are", _meanings(analysis, outcome.table)))
        if analysis.caveats:
            parts.append(f"**Caveats.** {_sentence(analysis.caveats)}")
        if analysis.source:
            parts.append(f"**Source.** {_sentence(analysis.source)}")
        parts.append(_sql(analysis, parameters, condition, {} if shown is None else shown))
    return "\n\n".join(parts)
