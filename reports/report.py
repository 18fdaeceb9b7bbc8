"""Write a report: run the analyses, draw their figures, put the page and its files in place at once."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import queries
from queries.needs import missing
from queries.parallel import Workers
from reports import page, provenance
from reports.assembly import Facts, report_text
from reports.charts import write_figure
from reports.checkpoints import read_checkpoints
from reports.leading_neurons import TITLE, can_tell, leading_neurons
from reports.markdown import block, escape
from reports.places import check_report, selected
from reports.provenance import Source
from reports.sections import Outcome, named, show
from warehouse.errors import RtError

_SUFFIXES = (".svg", ".png", ".parquet")


@dataclass(frozen=True)
class Report:
    """What was written: the Markdown file, the HTML page if one was asked for, and the sections that failed."""

    path: Path
    html_path: Path | None
    failed: tuple[str, ...]


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder beside the final one; its files move into place at the end, or vanish if anything is raised."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # inside the folder: moving a file is then a rename on the same disk
        stage = Path(tempfile.mkdtemp(prefix=".rt-report-", dir=folder))
    except OSError as error:
        raise RtError(
            f"cannot write a report in {folder}: {error.strerror}", hint="choose another place with --output"
        ) from None
    try:
        yield stage
        # the page last: it never shows a figure that is not there yet
        for path in sorted(stage.iterdir(), key=lambda path: path.suffix in (".md", ".html")):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _described(error: Exception) -> str:
    hint = f"\nhint: {error.hint}" if isinstance(error, RtError) and error.hint else ""
    return f"{type(error).__name__}: {error}{hint}"


def _has_estimate(table: pl.DataFrame) -> bool:
    return bool(table["estimate"].cast(pl.Float64).is_finite().any())


class _Reporter:
    """The state of one report: what it is about, and the tables so far."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        seed: int,
        parameters: Mapping[str, Any],
        source: Source,
        strict: bool,
        progress: Callable[[str], None],
        steps: queries.Connect | None,
    ) -> None:
        self.strict, self.progress = strict, progress
        self.session = queries.Session(con, seed, parameters, steps)
        self.runs = provenance.read_runs(con, parameters)
        self.names = provenance.labels(self.runs)
        self.of_sweeps = set(self.runs.filter(pl.col("sweep").is_not_null())["run"])
        self.facts = Facts(self.runs, self.names, read_checkpoints(self.session.steps), parameters, source, seed)
        self.tables: dict[str, pl.DataFrame] = {}
        self.raised: dict[str, Exception] = {}

    def compute(self, slugs: Sequence[str], workers: Workers) -> None:
        """Compute the tables of `slugs` side by side; `answer` finds them, or what they raised."""
        possible = []
        for slug in slugs:
            with suppress(Exception):  # `answer` meets it again
                if not self._missing(queries.load(slug)):
                    possible.append(slug)
        for slug, result in workers.tables(possible, self.progress).items():
            if isinstance(result, Exception):
                self.raised[slug] = result
            else:
                self.session.give(slug, result)

    def _missing(self, analysis: queries.Analysis) -> list[str]:
        return missing(self.session.connection(analysis), analysis)

    def answer(self, slug: str) -> Outcome:
        """Run one analysis; what it raises becomes part of its outcome, unless strict."""
        outcome = Outcome(slug)
        try:
            analysis = outcome.analysis = queries.load(slug)
            outcome.missing = self._missing(analysis)
            if outcome.missing:
                return outcome
            outcome.table = self._table(analysis)
            if not outcome.table.is_empty():
                outcome.answer = named(analysis.answer(outcome.table), self.names)
                outcome.shown = show(analysis, outcome.table, self.names)
                self.tables[slug] = outcome.table
        except Exception as error:
            if self.strict:
                raise
            return replace(outcome, error=_described(error))
        if "run" in outcome.table.columns:
            seen = set(outcome.table["run"])
            asked = self.of_sweeps if analysis.over_steps else set(self.names)
            outcome.absent = [name for run, name in self.names.items() if run in asked - seen]
        return outcome

    def _table(self, analysis: queries.Analysis) -> pl.DataFrame:
        if analysis.slug in self.raised:
            raise self.raised[analysis.slug]
        if not self.session.has(analysis.slug):
            self.progress(f"analysing {analysis.slug}")
        return self.session.table(analysis)

    def leading_neurons(self) -> tuple[str, str]:
        """The section about the neurons that lead the plateau, if there are the tables for it; and what it raised."""
        if not can_tell(self.tables):
            return "", ""
        self.progress("looking at the plateau's leading neurons")
        try:
            return leading_neurons(self.session, self.names), ""
        except Exception as error:
            if self.strict:
                raise
            said = _described(error)
            return f"## {TITLE}\n\n**This section failed; nothing else depends on it.**\n\n{block(said, 'text')}", said

    def write_table(self, slug: str, folder: Path) -> None:
        """The whole table of an analysis as Parquet: of one that was asked for, or whose table another's SQL reads."""
        path = folder / f"{slug}.parquet"
        if not path.exists():
            self.session.table(queries.load(slug)).write_parquet(path)

    def figure(self, outcome: Outcome, folder: Path) -> Callable[[], str] | None:
        """What writes the figure of an outcome and gives its caption; None, with a note, where there is none."""
        if outcome.analysis is None or outcome.slug not in self.tables:
            return None
        chart = outcome.analysis.chart
        if lacking := [slug for slug in chart.tables if slug not in self.tables]:
            outcome.figure_note = f"No figure: it also draws {', '.join(lacking)}, which has no table here."
            return None
        if not any(_has_estimate(self.tables[slug]) for slug in chart.tables):
            outcome.figure_note = "No figure: there is no estimate to draw; the table says why."
            return None
        tables = {slug: self.tables[slug] for slug in chart.tables}
        return partial(write_figure, chart.kind, tables, {**chart.options, "labels": self.names}, folder, outcome.slug)

    def draw(self, outcome: Outcome, figure: Callable[[], str]) -> bool:
        """Have the figure of an outcome written; whether it was."""
        self.progress(f"drawing {outcome.slug}")
        try:
            said = (figure(), provenance.sizes(self.runs, self.names))
            outcome.caption = " ".join(part for part in said if part)
        except Exception as error:
            if self.strict:
                raise
            outcome.figure_note = f"No figure: drawing it failed with {escape(_described(error))}."
            return False
        outcome.figure = True
        return True


def _place(outcome: Outcome) -> tuple[int, str]:
    """Where an analysis stands in the report: by chapter, then by name."""
    chapters = queries.CHAPTERS
    place = chapters.index(outcome.chapter) if outcome.chapter in chapters else len(chapters)
    return place, outcome.slug


def _silent(message: str) -> None:
    del message


def write_report(
    con: duckdb.DuckDBPyConnection,
    output: Path,
    *,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    source: Source | None = None,
    only: Sequence[str] = (),
    html: bool = False,
    strict: bool = False,
    progress: Callable[[str], None] = _silent,
    command: str = "",
    steps: queries.Connect | None = None,
    workers: Workers | None = None,
) -> Report:
    """Answer every question, or those of `only`, about the runs that `con` sees, in the Markdown file `output`.

    Beside it go `<slug>.svg`, `<slug>.png` and `<slug>.parquet` (the whole table, never rounded), and with `html` the
    same as one self-contained page. `workers` compute the tables and draw the figures, with the same seed and
    parameters and connections that see what `con` sees; without any, this process does. `steps` connects to all
    checkpoints, see `queries.Session`. Questions about what the lake has not are only named, unless they are in `only`.
    `source` is what chose the runs and positions that `con` sees, for the reader. An analysis that raises takes its
    section with it and nothing else, and is named in `failed`; with `strict` it is raised. Whatever is raised, an older
    report stays as it was. The same seed on the same runs gives the same bytes.
    Raises `QueryError` for an unknown slug, `RtError` for a path that cannot be.
    """
    check_report(output, only, html)
    slugs = selected(only)
    reporter = _Reporter(
        con, seed, {**queries.PARAMETERS, **(parameters or {})}, source or Source(), strict, progress, steps
    )
    with _staged(output.parent) as stage:
        if workers:
            reporter.compute(slugs, workers)
        outcomes = sorted((reporter.answer(slug) for slug in slugs), key=_place)
        unasked = [outcome for outcome in outcomes if outcome.is_elsewhere and outcome.slug not in only]
        outcomes = [outcome for outcome in outcomes if outcome not in unasked]
        _answer_for_figures(reporter, outcomes)
        failed = {outcome.slug for outcome in outcomes if outcome.error}
        figures = [(outcome, figure) for outcome in outcomes if (figure := reporter.figure(outcome, stage))]
        if workers:
            figures = [(outcome, workers.start(figure)) for outcome, figure in figures]
        for outcome in outcomes:
            if outcome.slug in reporter.tables:
                for slug in (outcome.slug, *(outcome.analysis.uses if outcome.analysis else ())):
                    reporter.write_table(slug, stage)
        leading, raised = reporter.leading_neurons()
        failed |= {outcome.slug for outcome, figure in figures if not reporter.draw(outcome, figure)}
        text = report_text(reporter.facts, outcomes, unasked, command, leading)
        (stage / output.name).write_text(text, encoding="utf-8")
        html_path = output.with_suffix(".html") if html else None
        if html_path:
            progress("writing the page")
            (stage / html_path.name).write_text(page.render(text, stage), encoding="utf-8")
        made = {path.name for path in stage.iterdir()}
    for slug in slugs:
        for suffix in _SUFFIXES:
            # what an older report had and this one has not would contradict the page beside it
            if f"{slug}{suffix}" not in made:
                (output.parent / f"{slug}{suffix}").unlink(missing_ok=True)
    names = [slug for slug in slugs if slug in failed]
    return Report(output, html_path, (*names, *([TITLE] if raised else [])))


def _answer_for_figures(reporter: _Reporter, outcomes: Sequence[Outcome]) -> None:
    """Run what was not asked for, but is drawn in the figure of something that was."""
    asked = {outcome.slug for outcome in outcomes}
    charts = [outcome.analysis.chart for outcome in outcomes if outcome.analysis and outcome.slug in reporter.tables]
    known = set(queries.slugs())
    for slug in dict.fromkeys(slug for chart in charts for slug in chart.tables):
        if slug not in asked and slug in known:
            reporter.answer(slug)
